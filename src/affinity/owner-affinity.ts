import {
  checkCookieName,
  claimedKeyOf,
  DEFAULT_COOKIE_NAMES,
  readFirstCookie,
  rendezvousHolders,
} from '../token/index.ts'
import type { Affinity, AffinityOptions, AffinityServer, AffinityWalk, RequestHeaders } from './affinity.ts'
import { isUsable, markPicked, type Peer, Peers } from './peers.ts'
import { chooseOnce, RoundRobinWalk } from './round-robin.ts'

/** A server whose sessions live in the mesh. */
export interface OwnerServer extends AffinityServer {
  /**
   * The `address` of this server's `meshStore`, letter for letter, such as `10.0.0.1:7373`: it decides which sessions the
   * server owns.
   */
  readonly mesh: string

  /** The `zone` of its `meshStore`. Default: `''`, as there. */
  readonly zone?: string
}

/** Options of {@link ownerAffinity}. */
export interface OwnerAffinityOptions extends AffinityOptions {
  /** The `cookie.name` of `createSessions`. Default: `__Host-sid`, and `sid` where a request has no such cookie. */
  readonly cookieName?: string

  /** The `copies` of `meshStore`: how many servers keep each session. Default: `2`, as there. */
  readonly copies?: number | 'all'
}

/** An {@link Affinity} that looks at the session's cookie and not at the client's address. */
export interface OwnerAffinity<S extends OwnerServer> extends Affinity<S> {
  choose(clientIp: string | undefined, headers?: RequestHeaders): S | undefined
  begin(clientIp: string | undefined, headers?: RequestHeaders): AffinityWalk<S>
}

/**
 * Sends a request to the server that owns its session in the mesh, then to the session's backups, then to the others. An
 * owner serves without asking another server, so that neither reads nor writes take a hop.
 *
 * The key comes from the session's cookie, read without the secret, and the place from the key, computed as the mesh
 * does: nothing is asked and nothing is remembered. A client keeps its server behind NAT and while its address changes,
 * and a login or a rotation moves nobody. A server that is down or failed is taken for one that has left the mesh, and
 * a failed one is tried once no other is left. A request without a session goes round robin, by weight; an owner's share has no weight.
 *
 * **A wrong route costs one hop and nothing else.** Every server serves every session, so a wrong or missing `mesh`, a
 * membership that differs, a forged or mangled cookie, or several of one name only make the server ask the owner.
 *
 * **In production** nginx, HAProxy or Envoy stands in front, and nothing has to be configured there: any server may be
 * chosen, and asks the owner where it holds no copy. With `n` servers and 2 copies that is a hop for `(n-2)/n` of the
 * reads and `(n-1)/n` of the writes. nginx's `hash $cookie_… consistent` is not this choice: it hashes the whole token,
 * which changes at login and rotation, with another function, so its server is the owner for one in `n`.
 *
 * @example
 * ```ts
 * import { ownerAffinity } from 'sojourn/affinity'
 * import { createGateway } from 'sojourn/gateway'
 *
 * const servers = [
 *   { name: 'a', url: 'http://10.0.0.1:3000', mesh: '10.0.0.1:7373' },
 *   { name: 'b', url: 'http://10.0.0.2:3000', mesh: '10.0.0.2:7373' },
 * ]
 * const gateway = createGateway({ servers, affinity: ownerAffinity(servers) })
 * ```
 *
 * @throws TypeError when `servers` is empty, repeats a name or a `mesh`, or a server or an option does not fit.
 */
export function ownerAffinity<S extends OwnerServer>(
  servers: readonly S[],
  options: OwnerAffinityOptions = {},
): OwnerAffinity<S> {
  const { cookieName, copies = 2 } = options
  const peers = new Peers(servers, options)
  const places = toPlaces(peers)
  if (cookieName !== undefined) checkCookieName('cookieName', cookieName)
  if (copies !== 'all' && !(Number.isInteger(copies) && copies >= 1)) {
    throw new TypeError(`copies must be a whole number above 0 or "all", as that of meshStore, not ${String(copies)}`)
  }
  const cookieNames = cookieName === undefined ? DEFAULT_COOKIE_NAMES : [cookieName]
  const begin = (headers: RequestHeaders | undefined): OwnerWalk<S> => {
    const key = headers && keyIn(headers, cookieNames)
    return new OwnerWalk(peers, key === undefined ? [] : toHolders(places, key, copies, peers.nowS()))
  }
  return {
    servers: [...servers],
    choose: (_, headers) => chooseOnce(begin(headers)),
    begin: (_, headers) => begin(headers),
    setDown: (name, down) => peers.setDown(name, down),
  }
}

/** A server as the mesh places keys at it. */
interface Place<S> {
  readonly address: string
  readonly zone: string
  readonly peer: Peer<S>
}

/**
 * Goes to the holders of a session, the owner first; then on by round robin. A failed server that may be back is better
 * than none, so that those are tried at last, where nginx would refuse the request.
 */
class OwnerWalk<S extends OwnerServer> extends RoundRobinWalk<S> {
  readonly #holders: readonly Peer<S>[]

  constructor(peers: Peers<S>, holders: readonly Peer<S>[]) {
    super(peers)
    this.#holders = holders
  }

  protected override pick(nowS: number): Peer<S> | undefined {
    const isNew = (peer: Peer<S>): boolean => !this.tried.has(peer)
    const holder = this.#holders.find((peer) => isNew(peer) && isUsable(peer, nowS))
    if (!holder) return super.pick(nowS) ?? this.peers.all.find((peer) => isNew(peer) && !peer.down)
    markPicked(holder, nowS)
    return holder
  }
}

function toHolders<S>(places: readonly Place<S>[], key: string, copies: number | 'all', nowS: number): Peer<S>[] {
  const members = places.filter(({ peer }) => isUsable(peer, nowS))
  return rendezvousHolders(members, key, copies).map(({ peer }) => peer)
}

function keyIn({ cookie }: RequestHeaders, names: readonly string[]): string | undefined {
  const header = typeof cookie === 'string' ? cookie : cookie?.join('; ')
  const token = header === undefined ? undefined : readFirstCookie(names, header)
  return token === undefined ? undefined : claimedKeyOf(token)
}

function toPlaces<S extends OwnerServer>(peers: Peers<S>): Place<S>[] {
  const names = new Map<string, string>()
  return peers.all.map((peer) => {
    const { name, mesh, zone = '' } = peer.server
    const of = `of server ${JSON.stringify(name)}`
    if (typeof mesh !== 'string' || !/^.+:\d+$/.test(mesh)) {
      throw new TypeError(
        `mesh ${of} must be the address of its meshStore, such as "10.0.0.1:7373", not ${JSON.stringify(mesh)}`,
      )
    }
    if (typeof zone !== 'string') throw new TypeError(`zone ${of} must be text, the zone of its meshStore`)
    const other = names.get(mesh)
    if (other !== undefined) {
      throw new TypeError(`servers ${JSON.stringify(other)} and ${JSON.stringify(name)} have one mesh address: ${mesh}`)
    }
    names.set(mesh, name)
    return { address: mesh, zone, peer }
  })
}
