// oxlint-disable-next-line no-restricted-imports -- These two parse text and open nothing.
import { isIPv4, isIPv6 } from 'node:net'

const UNIX_BYTES = [0, 0, 0] as const

/** The bytes that `ip_hash` hashes: three of an IPv4 address, all sixteen of an IPv6 one, zeros for a Unix socket. */
export function toHashedBytes(clientIp: string): readonly number[] {
  if (typeof clientIp === 'string') {
    if (isIPv4(clientIp)) return clientIp.split('.', 3).map(Number)
    if (isIPv6(clientIp)) return toIpv6Bytes(clientIp)
    if (clientIp.startsWith('unix:')) return UNIX_BYTES
  }
  throw new TypeError(
    `clientIp must be an IPv4 or IPv6 address or "unix:", not ${JSON.stringify(clientIp)}; ` +
      'take it from the connection, or from X-Forwarded-For of a proxy that you trust',
  )
}

function toIpv6Bytes(address: string): number[] {
  const [bare = ''] = address.split('%', 1)
  const [head = '', tail] = bare.split('::', 2)
  const headBytes = toGroupBytes(head)
  if (tail === undefined) return headBytes
  const tailBytes = toGroupBytes(tail)
  const zeros = Array.from({ length: 16 - headBytes.length - tailBytes.length }, () => 0)
  return [...headBytes, ...zeros, ...tailBytes]
}

function toGroupBytes(groups: string): number[] {
  if (groups === '') return []
  return groups.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}
