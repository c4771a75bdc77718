import { networkInterfaces } from 'node:os'
import { formatAddress, type HostAndPort, parseAddress } from './address.ts'

const EVERY_INTERFACE: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/** An address of this machine; `internal`: only this machine reaches it. */
interface OwnHost {
  readonly address: string
  readonly family: string
  readonly internal: boolean
}

/**
 * Where the others reach a node that was not told. One that listens on every interface takes the one of its addresses that
 * is among the peers, since the others know it by that; else its first that other machines reach. Two nodes must never
 * have the same, and a node must have it again after a restart: keys are placed by it.
 */
export function findOwnAddress(
  { host, port }: HostAndPort,
  peers: readonly string[],
  hosts: readonly OwnHost[] = Object.values(networkInterfaces()).flatMap((found) => found ?? []),
): string {
  if (!EVERY_INTERFACE.has(host)) return formatAddress({ host, port })
  const own = new Set(hosts.map(({ address }) => address))
  const known = peers.map(parseAddress).find((peer) => peer?.port === port && own.has(peer.host))
  if (known) return formatAddress(known)
  const reachable = hosts.filter(({ address, internal }) => !internal && !address.startsWith('fe80:'))
  const first = reachable.find(({ family }) => family === 'IPv4') ?? reachable[0]
  return formatAddress({ host: first?.address ?? '127.0.0.1', port })
}
