/** Real WebSocket servers and clients of `ws`, with sessions. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { connect as connectTcp, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { sessionUpgrade, type UpgradeOptions } from '../../../src/adapters/ws.ts'
import type { Session, Sessions } from '../../../src/core/index.ts'
import { portOf } from '../../support/ports.ts'

/** So often that a test need not wait for it. */
export const OFTEN = 10
/** So seldom that a test never sees it. */
export const NEVER = '1h'

export interface SocketServer<Data extends object> {
  readonly port: number
  readonly server: Server
  /** A message of the client to the application, as it comes. */
  readonly messages: string[]
  /** What answers a message of a client. Default: the message. */
  answer: (message: string, session: Session<Data>, client: WebSocket) => unknown
  /** The sockets that are open. */
  readonly clients: Set<WebSocket>
}

export interface Connected {
  readonly client: WebSocket
  /** Set-Cookie headers of the answer to the upgrade. */
  readonly cookies: readonly string[]
  /** Sends a message, and resolves the answer. */
  readonly ask: (message: string) => Promise<string>
  readonly closed: Promise<{ code: number; reason: string }>
}

/** A server with sockets for who has a session; it ends with the test. */
export async function serveSockets<Data extends object>(
  t: Pick<TestContext, 'after'>,
  sessions: Sessions<Data>,
  options: UpgradeOptions = {},
  server: Server = createServer(),
): Promise<SocketServer<Data>> {
  const sockets = new WebSocketServer({ noServer: true, path: '/live' })
  server.on('upgrade', sessionUpgrade(sessions, sockets, options))
  if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening')
  const served: SocketServer<Data> = {
    port: portOf(server),
    server,
    messages: [],
    answer: (message) => message,
    clients: sockets.clients,
  }
  sockets.on('connection', (client: WebSocket, request: IncomingMessage) => {
    const session = sessions.of(request)
    client.on('message', (data: Buffer) => {
      const message = data.toString()
      served.messages.push(message)
      void (async () => {
        try {
          client.send(String(await served.answer(message, session, client)))
        } catch (error) {
          client.send(`error ${(error as { code?: string }).code ?? String(error)}`)
        }
      })()
    })
  })
  t.after(async () => {
    for (const client of sockets.clients) client.terminate()
    server.closeAllConnections()
    if (server.listening) await once(server.close(), 'close')
  })
  return served
}

export interface Asking {
  readonly cookie?: string | undefined
  readonly origin?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** A client whose upgrade was granted. */
export async function connect(t: Pick<TestContext, 'after'>, port: number, asking: Asking = {}): Promise<Connected> {
  const client = open(port, asking)
  t.after(() => client.terminate())
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    client.once('close', (code, reason) => resolve({ code, reason: String(reason) }))
  })
  let cookies: readonly string[] = []
  client.once('upgrade', ({ headers }) => void (cookies = headers['set-cookie'] ?? []))
  await new Promise<void>((resolve, reject) => {
    client.once('open', resolve)
    client.once('unexpected-response', (_, { statusCode }) => reject(new Error(`refused with ${statusCode}`)))
  })
  return {
    client,
    cookies,
    closed,
    async ask(message) {
      const answered = once(client, 'message')
      client.send(message)
      const [answer]: Buffer[] = await Promise.race([
        answered,
        closed.then(({ code }) => assert.fail(`closed with ${code}`)),
      ])
      return String(answer)
    },
  }
}

/** What a client is answered that is let in by nobody. */
export async function refusal(
  port: number,
  asking: Asking = {},
): Promise<{ status: number | undefined; retryAfter: string | undefined; body: string }> {
  const client = open(port, asking)
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    client.once('unexpected-response', (_, answer) => resolve(answer))
    client.once('open', () => {
      client.terminate()
      reject(new Error('it was let in'))
    })
  })
  return { status: response.statusCode, retryAfter: response.headers['retry-after'], body: await text(response) }
}

function open(port: number, { cookie, origin, path = '/live', headers = {} }: Asking): WebSocket {
  const client = new WebSocket(`ws://127.0.0.1:${port}${path}`, {
    headers: { ...(cookie ? { cookie } : {}), ...headers },
    ...(origin === undefined ? {} : { origin }),
  })
  client.on('error', () => {})
  return client
}

/** An upgrade as its client writes it, with a header line of the test's own. */
export function askByHand(port: number, cookie: string, line: string = 'Sec-WebSocket-Version: 13'): Socket {
  const socket = connectTcp(port, '127.0.0.1')
  socket.write(
    `GET /live HTTP/1.1\r\nHost: x\r\nCookie: ${cookie}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${line}\r\n\r\n`,
  )
  return socket
}

/** Resolves when it is closed, by whatever: `once` of `node:events` rejects with an error that came before. */
export function gone(socket: { once(event: 'close', listener: () => void): unknown }): Promise<void> {
  return new Promise((resolve) => socket.once('close', resolve))
}

/** The cookies that a client has after an answer with these Set-Cookie headers. */
export function withCookies(cookie: string, lines: readonly string[]): string {
  const pairs = new Map(cookie.split('; ').map((pair) => [pair.slice(0, pair.indexOf('=')), pair]))
  for (const line of lines) {
    const [pair = ''] = line.split(';')
    pairs.set(pair.slice(0, pair.indexOf('=')), pair)
  }
  return [...pairs.values()].join('; ')
}
