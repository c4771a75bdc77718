import { LABEL_LENGTH_MAX } from './limits.ts'

/** A request as Node, Express, Fastify (`headers` is an object) or fetch (`headers` is `Headers`) have it. */
export interface RequestLike {
  readonly headers:
    | { get(name: string): string | null }
    | Readonly<Record<string, string | readonly string[] | undefined>>
  /** Node's socket, where there is one: tells plain http from TLS. */
  readonly socket?: object
  /** The client's address, as Express and Fastify find it behind the proxies that they are told to trust. */
  readonly ip?: string | undefined
}

export function headerOf(headers: RequestLike['headers'], name: string): string | undefined {
  if (typeof headers.get === 'function') return headers.get(name) ?? undefined
  const value = (headers as Readonly<Record<string, string | readonly string[] | undefined>>)[name]
  return typeof value === 'string' ? value : value?.join('; ')
}

/** The default of `clientLabel`: address and user agent. */
export function toClientLabel({ headers, ip, socket }: RequestLike): string {
  const address = ip ?? (socket && 'remoteAddress' in socket ? String(socket.remoteAddress) : undefined)
  return [address, headerOf(headers, 'user-agent')].filter(Boolean).join(' ')
}

/** What `clientLabel` says of a request, cut to its bound; nothing where it fails, since a label is worth no request. */
export function labelOf(request: RequestLike, clientLabel: (request: RequestLike) => string): string {
  try {
    const label: unknown = clientLabel(request) // by whoever has no types
    return typeof label === 'string' ? toLabel(label) : ''
  } catch {
    return ''
  }
}

/** Cut to its bound. */
export function toLabel(text: string): string {
  return text.slice(0, LABEL_LENGTH_MAX).toWellFormed()
}
