import { ADDRESS_BYTES_MAX } from './limits.ts'

export interface HostAndPort {
  readonly host: string
  readonly port: number
}

const ADDRESS = /^(?:\[([\da-fA-F:.]+(?:%\w+)?)\]|([^\s:[\]/@]+)):(\d{1,5})$/

/** The host and port of `host:port` or `[::1]:port`; `undefined` for anything else. */
export function parseAddress(address: string): HostAndPort | undefined {
  const match = address.length <= ADDRESS_BYTES_MAX ? ADDRESS.exec(address) : null
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  return host !== undefined && port >= 1 && port <= 65535 ? { host, port } : undefined
}

/** Inverse of {@link parseAddress}. */
export function formatAddress({ host, port }: HostAndPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
