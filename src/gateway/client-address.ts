import { BlockList, isIP, isIPv4 } from 'node:net'

const UNIX = 'unix:'
const MAPPED_PREFIX = '::ffff:'

/** Says whether an address belongs to a proxy whose word is believed. */
export type Trust = (address: string) => boolean

/** Who sent a request, as far as it can be believed. */
export interface Sender {
  /** The right-most address that is not a trusted proxy's; always an address, or `unix:`. */
  readonly clientIp: string

  /** The believed addresses from the client to the connection's peer: what X-Forwarded-For may say onward. */
  readonly chain: readonly string[]

  /** Whether the connection's peer is a trusted proxy, so that its other forwarding headers are believed too. */
  readonly isPeerTrusted: boolean
}

export function toTrust(trustProxy: readonly string[]): Trust {
  const list = new BlockList()
  const isUnixTrusted = trustProxy.includes(UNIX)
  for (const entry of trustProxy) {
    if (entry !== UNIX) addEntry(list, entry)
  }
  return (address) => (address === UNIX ? isUnixTrusted : list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6'))
}

export function toSender(peerAddress: string | undefined, forwardedFor: string | undefined, isTrusted: Trust): Sender {
  const peer = toPlainAddress(peerAddress)
  const chain = [peer]
  const claims = forwardedFor?.split(',') ?? []
  let clientIp = peer
  while (isTrusted(clientIp)) {
    const claimed = toAddress(claims.pop())
    // A proxy that is trusted wrote something that is no address: the last one that was is the best that is known.
    if (claimed === undefined) break
    chain.unshift(claimed)
    clientIp = claimed
  }
  return { clientIp, chain, isPeerTrusted: isTrusted(peer) }
}

/** A server that listens on `::` sees IPv4 clients as mapped addresses, which nginx by default does not. */
function toPlainAddress(address: string | undefined): string {
  if (address === undefined) return UNIX
  const [bare = address] = address.split('%', 1)
  if (!bare.startsWith(MAPPED_PREFIX)) return bare
  const mapped = bare.slice(MAPPED_PREFIX.length)
  return isIPv4(mapped) ? mapped : bare
}

/** Some proxies add the port: `192.0.2.1:5678`, `[2001:db8::1]:5678`. */
function toAddress(claim: string | undefined): string | undefined {
  const text = claim?.trim() ?? ''
  const [, bracketed, dotted] = /^(?:\[([^\]]+)\]|(\d+\.\d+\.\d+\.\d+))(?::\d+)?$/.exec(text) ?? []
  const address = bracketed ?? dotted ?? text
  return isIP(address) > 0 && !address.includes('%') ? address : undefined
}

function addEntry(list: BlockList, entry: string): void {
  const [address = '', prefix, ...rest] = entry.split('/')
  const version = isIP(address)
  const bits = prefix === undefined ? undefined : Number(prefix)
  const bitsMax = version === 4 ? 32 : 128
  const isPrefixValid = bits === undefined || (/^\d+$/.test(prefix ?? '') && bits <= bitsMax)
  if (version === 0 || !isPrefixValid || rest.length > 0) {
    throw new TypeError(
      `trustProxy lists addresses and CIDR ranges, as "127.0.0.1" or "10.0.0.0/8", not ${JSON.stringify(entry)}`,
    )
  }
  list.addSubnet(address, bits ?? bitsMax, version === 4 ? 'ipv4' : 'ipv6')
}
