import { once } from 'node:events'
import { createServer, request, type IncomingHttpHeaders, type RequestListener, type Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { createGateway, type Gateway, type GatewayOptions } from '../../../src/gateway/index.ts'

export interface Backend {
  readonly url: string
  readonly port: number
  readonly server: Server
  /** What arrived so far. */
  readonly counts: { connections: number; requests: number }
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: string[]
  readonly body: Buffer
}

/** A server on a free port that ends with its test. */
export async function startBackend(t: TestContext, listener: RequestListener, port = 0): Promise<Backend> {
  const counts = { connections: 0, requests: 0 }
  const server = createServer(listener)
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    counts.connections += 1
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('request', () => (counts.requests += 1))
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    // A connection that was upgraded is no longer the server's, but it keeps the server from closing.
    for (const socket of sockets) socket.destroy()
    return stop(server)
  })
  return { url: `http://127.0.0.1:${portOf(server)}`, port: portOf(server), server, counts }
}

export async function stop(server: Server): Promise<void> {
  if (!server.listening) return
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

/** Port 1 is tcpmux, which nobody runs, and no server gets it by chance: connections to it are refused. */
export const REFUSING_URL = 'http://127.0.0.1:1'

export async function startGateway(
  t: TestContext,
  options: GatewayOptions,
): Promise<{ gateway: Gateway; url: string; port: number }> {
  const gateway = createGateway(options)
  const url = await gateway.listen()
  t.after(() => gateway.close({ deadline: 0 }))
  return { gateway, url, port: Number(new URL(url).port) }
}

export async function send(
  url: string,
  options: { method?: string; headers?: Record<string, string> | string[]; body?: string | Buffer } = {},
): Promise<Answer> {
  const { body, ...rest } = options
  const outgoing = request(url, { agent: false, ...rest })
  outgoing.end(body)
  const [response] = await once(outgoing, 'response')
  return {
    status: response.statusCode,
    headers: response.headers,
    rawHeaders: response.rawHeaders,
    body: await buffer(response),
  }
}

/** A raw connection, to say what an HTTP client would not. */
export async function openSocket(t: TestContext, port: number, text: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  socket.write(text)
  return socket
}

/** Reads from a socket until the text holds what is looked for. */
export async function readUntil(socket: Socket, wanted: string): Promise<string> {
  let text = ''
  return new Promise((resolve, reject) => {
    const settle = (outcome: () => void): void => {
      socket.off('readable', read).off('end', end).off('error', reject)
      outcome()
    }
    const read = (): void => {
      for (let chunk: Buffer | null = socket.read(); chunk; chunk = socket.read()) text += chunk.toString('latin1')
      if (text.includes(wanted)) settle(() => resolve(text))
    }
    const end = (): void => settle(() => reject(new Error(`ended before ${wanted}: ${text}`)))
    socket.on('readable', read).on('end', end).on('error', reject)
    read()
  })
}

/** What a socket says until its end. */
export async function readAll(socket: Socket): Promise<string> {
  return (await buffer(socket)).toString('latin1')
}

function portOf(server: Server): number {
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('not listening on a port')
  return address.port
}
