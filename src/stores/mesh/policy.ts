/** Where the other nodes are: addresses as `host:port`, a name whose every address is a node, or a function that tells. */
export type MeshPeers =
  | readonly string[]
  | { readonly dns: string; readonly port?: number }
  | (() => Promise<readonly string[]>)

/** Options of {@link meshStore}. */
export interface MeshStoreOptions {
  /** Where this node listens for the others. Default: `0.0.0.0:7373`. */
  listen?: { readonly host?: string; readonly port?: number }
  /** Where the others reach this node, `host:port`; the same after a restart. Default: `listen`. */
  address?: string | undefined
  peers: MeshPeers
  /** Nodes that hold each session, its owner included; `'all'` copies every session to every node. Default: 2. */
  copies?: number | 'all'
  /** How many backups have a change before it is acknowledged: one, or every one. Default: `'backup'`. */
  ack?: 'backup' | 'all'
  /**
   * What a part of the fleet does that is cut off: goes on, and what both sides did is merged later; or answers 503
   * unless it is the majority. Default: `'serve'`.
   */
  onPartition?: 'serve' | 'majority'
  /**
   * With fewer copies alive, every change is refused with 503; and a change is acknowledged when so many have it. At most
   * `copies`. Default: 1.
   */
  minCopies?: number
  /**
   * Sessions on one node, as owner or backup, from which on it takes no new ones: creating one fails with `store_full`, 503.
   * What others have acknowledged is kept all the same, so that a few more may come after the loss of a node. Default: 1,000,000.
   */
  maxSessions?: number
  /** Bytes that sessions and remembered ends may take on one node before sessions may not grow; as `maxSessions`. Default: 1 GiB. */
  maxBytes?: number
  /** Copies are spread over zones. Default: one zone. */
  zone?: string | undefined
  /** How many nodes the fleet is meant to have: what a majority is of before the first view. Default: the number of `peers`. */
  expectedNodes?: number
}

/** The options with defaults filled in, checked. */
export interface MeshPolicy {
  readonly listen: { readonly host: string; readonly port: number }
  readonly address: string
  readonly peers: MeshPeers
  readonly copies: number | 'all'
  readonly ack: 'backup' | 'all'
  readonly onPartition: 'serve' | 'majority'
  readonly minCopies: number
  readonly maxSessions: number
  readonly maxBytes: number
  readonly zone: string
  readonly expectedNodes: number
}

/** The port of the mesh where none is given. */
export const DEFAULT_PORT = 7373

const SESSIONS_MAX = 1_000_000
const BYTES_MAX = 1024 ** 3

/** @throws TypeError when an option does not fit */
export function toMeshPolicy(options: MeshStoreOptions): MeshPolicy {
  const { peers, copies = 2, ack = 'backup', onPartition = 'serve', minCopies = 1, zone = '' } = options
  const { maxSessions = SESSIONS_MAX, maxBytes = BYTES_MAX } = options
  const listen = { host: options.listen?.host ?? '0.0.0.0', port: options.listen?.port ?? DEFAULT_PORT }
  const isKnown = Array.isArray(peers) || typeof peers === 'function' || (typeof peers === 'object' && 'dns' in peers)
  if (!isKnown)
    throw new TypeError(
      "meshStore: peers is missing; give addresses such as ['10.0.0.1:7373'], { dns: 'name' }, or a function",
    )
  if (copies !== 'all' && !(Number.isInteger(copies) && copies >= 1))
    throw new TypeError("meshStore: copies is a whole number above 0, or 'all'")
  if (!['backup', 'all'].includes(ack)) throw new TypeError("meshStore: ack is 'backup' or 'all'")
  if (!['serve', 'majority'].includes(onPartition))
    throw new TypeError("meshStore: onPartition is 'serve' or 'majority'")
  if (!(Number.isInteger(minCopies) && minCopies >= 1 && (copies === 'all' || minCopies <= copies)))
    throw new TypeError('meshStore: minCopies is a whole number from 1 to copies')
  for (const [name, value] of Object.entries({ maxSessions, maxBytes }))
    if (!(typeof value === 'number' && value >= 1)) throw new TypeError(`meshStore: ${name} is a number of at least 1`)
  return {
    listen,
    address: options.address ?? `${listen.host}:${listen.port}`,
    peers,
    copies,
    ack,
    onPartition,
    minCopies,
    maxSessions,
    maxBytes,
    zone,
    expectedNodes: options.expectedNodes ?? (Array.isArray(peers) ? Math.max(1, peers.length) : 1),
  }
}
