import type { IncomingMessage } from 'node:http'

/** Origins as browsers send them, or who says whether one is welcome. */
export type Origins = readonly string[] | ((origin: string, request: IncomingMessage) => boolean)

/** Whether the page that asks may: a browser says where it is from, and lets it ask with the cookies of every site. */
export function isWelcome(request: IncomingMessage, origins: Origins | undefined): boolean {
  const origin = request.headers.origin ?? request.headers['sec-websocket-origin']
  if (origin === undefined) return true
  if (typeof origin !== 'string') return false
  if (typeof origins === 'function') return origins(origin, request)
  return origins ? origins.includes(origin) : isOwn(origin, request)
}

/** @throws TypeError for what no browser sends, and what would let nobody in */
export function checkOrigins(usage: string, origins: Origins | undefined): void {
  if (origins === undefined || typeof origins === 'function') return
  if (!Array.isArray(origins)) {
    throw new TypeError(`${usage}: origins is a list, ['https://shop.example'], or a function of an origin`)
  }
  for (const origin of origins) {
    const written = URL.parse(String(origin))?.origin
    if (written === origin && written !== 'null') continue
    const hint = written === undefined || written === 'null' ? 'https://shop.example' : written
    throw new TypeError(
      `${usage}: origins has ${JSON.stringify(origin)}, which no browser sends; write it as '${hint}'`,
    )
  }
}

function isOwn(origin: string, { headers, socket }: IncomingMessage): boolean {
  const url = URL.parse(origin)
  const isSecure = ('encrypted' in socket && socket.encrypted === true) || headers['x-forwarded-proto'] === 'https'
  if (!url || (isSecure && url.protocol !== 'https:')) return false
  // By the scheme of the origin, so that a default port is none in both.
  return URL.parse(`${url.protocol}//${headers.host}`)?.host === url.host && url.host !== ''
}
