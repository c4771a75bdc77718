/** A client that shows what came over the wire, byte by byte, and reads it strictly: one response and nothing after it. */

import { connect, type Socket } from 'node:net'

export interface WireRequest {
  path: string
  method?: string
  headers?: Readonly<Record<string, string>>
  body?: string
}

export interface WireResponse {
  readonly status: number
  readonly reason: string
  /** Lower-case names, in the order of sending. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Buffer
  /** The body in UTF-8. */
  readonly text: string

  /** The values under a name. */
  all(name: string): string[]
  /** The only value under a name, or `undefined`. */
  header(name: string): string | undefined
}

export interface Exchange {
  readonly socket: Socket
  /** What came so far. */
  received(): string
  /** Resolves once what came so far holds the text. */
  shows(text: string): Promise<void>
  /** Resolves when the server has closed the connection. Rejects unless exactly one whole response came. */
  response: Promise<WireResponse>
}

/** Asks on a connection of its own, which the server closes after the response. */
export function ask(port: number, { path, method = 'GET', headers = {}, body }: WireRequest): Exchange {
  const socket = connect(port, '127.0.0.1')
  const chunks: Buffer[] = []
  const lines = Object.entries({ host: 'localhost', connection: 'close', ...headers })
  if (body !== undefined) lines.push(['content-length', `${Buffer.byteLength(body)}`])
  const head = [`${method} ${path} HTTP/1.1`, ...lines.map(([name, value]) => `${name}: ${value}`)].join('\r\n')
  socket.write(`${head}\r\n\r\n${body ?? ''}`)
  const received = (): string => Buffer.concat(chunks).toString('latin1')
  socket.on('data', (chunk) => {
    chunks.push(chunk)
    socket.emit('shown')
  })
  const response = new Promise<WireResponse>((resolve, reject) => {
    socket.on('error', reject)
    socket.on('close', () => {
      try {
        resolve(parseResponse(Buffer.concat(chunks), method))
      } catch (error) {
        reject(error)
      }
    })
  })
  response.catch(() => {}) // a test that looks at the bytes alone does not await it
  return {
    socket,
    received,
    response,
    shows: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (received().includes(text)) resolve()
        }
        socket.on('shown', look)
        socket.on('close', () => reject(new Error(`closed without ${JSON.stringify(text)}: ${received()}`)))
        look()
      }),
  }
}

/** Reads a whole response, chunked or not. Throws where a byte is missing or too many. */
export function parseResponse(bytes: Buffer, method = 'GET'): WireResponse {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd < 0) throw new Error(`no whole head: ${JSON.stringify(bytes.toString('latin1'))}`)
  const [statusLine = '', ...lines] = bytes.subarray(0, headEnd).toString('latin1').split('\r\n')
  const [, status, reason = ''] = /^HTTP\/1\.1 (\d{3}) (.*)$/.exec(statusLine) ?? []
  const headers = lines.map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
  })
  const all = (name: string): string[] => headers.filter(([key]) => key === name).map(([, value]) => value)
  const header = (name: string): string | undefined => {
    const values = all(name)
    if (values.length > 1) throw new Error(`${name} came ${values.length} times: ${values.join(' | ')}`)
    return values[0]
  }
  const hasBody = method !== 'HEAD' && status !== '204' && status !== '304'
  const rest = bytes.subarray(headEnd + 4)
  const length = header('content-length')
  const chunked = header('transfer-encoding') === 'chunked'
  const body = !hasBody ? Buffer.alloc(0) : chunked ? dechunk(rest) : rest
  if (!hasBody && rest.length > 0) throw new Error(`a body where none may be: ${rest.toString('latin1')}`)
  if (hasBody && length !== undefined && Number(length) !== body.length) {
    throw new Error(
      `content-length says ${length}, ${body.length} bytes came: ${body.toString('latin1').slice(0, 300)}`,
    )
  }
  return { status: Number(status), reason, headers, body, text: body.toString(), all, header }
}

function dechunk(bytes: Buffer): Buffer {
  const chunks: Buffer[] = []
  for (let at = 0; ;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd < 0) throw new Error('the chunked body was cut')
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString('latin1'), 16)
    const end = lineEnd + 2 + size
    if (bytes.subarray(end, end + 2).toString('latin1') !== '\r\n') throw new Error('the chunked body was cut')
    if (size === 0) {
      if (end + 2 !== bytes.length)
        throw new Error(`bytes after the response: ${bytes.subarray(end + 2).toString('latin1')}`)
      return Buffer.concat(chunks)
    }
    chunks.push(bytes.subarray(lineEnd + 2, end))
    at = end + 2
  }
}

/** The `Cookie` header of a client that was given these cookies. */
export function cookieHeader(response: WireResponse): string {
  const lines = response.all('set-cookie').map((line) => line.slice(0, `${line};`.indexOf(';')))
  return lines.join('; ')
}

const nameOf = (line: string): string => line.slice(0, line.indexOf('='))

/** The names of the session's cookies that the response sets. */
export function ownCookies(response: WireResponse): string[] {
  return response
    .all('set-cookie')
    .map(nameOf)
    .filter((name) => name.startsWith('__Host-sid'))
}

/** The Set-Cookie lines of others. */
export function foreignCookies(response: WireResponse): string[] {
  return response.all('set-cookie').filter((line) => !nameOf(line).startsWith('__Host-sid'))
}
