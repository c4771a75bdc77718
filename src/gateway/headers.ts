import type { IncomingMessage } from 'node:http'
import type { Sender } from './client-address.ts'

const HOP_BY_HOP = [
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
] as const

/** What a server behind the gateway may believe, and what a client could therefore forge. */
const FORWARDING = /^(?:forwarded|x-real-ip|x-forwarded-.*)$/

/** The headers of a request for the server behind, as a flat list of names and values. */
export function toRequestHeaders(request: IncomingMessage, { chain, isPeerTrusted }: Sender): string[] {
  const { headers, rawHeaders } = request
  const dropped = hopByHopNames(headers.connection)
  dropped.add('x-forwarded-for')
  // Node has answered `Expect: 100-continue` already.
  dropped.add('expect')
  if (headers['transfer-encoding'] !== undefined) dropped.add('content-length')
  const kept = keep(rawHeaders, (name) => !dropped.has(name) && (isPeerTrusted || !FORWARDING.test(name)))
  kept.push('X-Forwarded-For', chain.join(', '))
  if (!isPeerTrusted || headers['x-forwarded-proto'] === undefined) {
    kept.push('X-Forwarded-Proto', 'http')
  }
  if (headers.host !== undefined && (!isPeerTrusted || headers['x-forwarded-host'] === undefined)) {
    kept.push('X-Forwarded-Host', headers.host)
  }
  return kept
}

/** The headers of a response for the client, as a flat list of names and values, bytes kept as they are. */
export function toResponseHeaders(rawHeaders: readonly (Buffer | string)[]): string[] {
  const flat = rawHeaders.map((part) => (typeof part === 'string' ? part : part.toString('latin1')))
  let connection = ''
  for (let index = 0; index < flat.length; index += 2) {
    if (flat[index]?.toLowerCase() === 'connection') connection += `,${flat[index + 1]}`
  }
  const dropped = hopByHopNames(connection)
  return keep(flat, (name) => !dropped.has(name))
}

function hopByHopNames(connection = ''): Set<string> {
  const named = connection.split(',').map((token) => token.trim().toLowerCase())
  return new Set([...HOP_BY_HOP, ...named])
}

function keep(flat: readonly string[], isKept: (name: string) => boolean): string[] {
  const kept: string[] = []
  for (let index = 0; index < flat.length; index += 2) {
    const [name = '', value = ''] = flat.slice(index, index + 2)
    if (isKept(name.toLowerCase())) kept.push(name, value)
  }
  return kept
}
