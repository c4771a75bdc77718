/**
 * Sessions for WebSockets of the library `ws` 8, on the server of any framework.
 *
 * Exported from `sojourn/ws`.
 *
 * @module
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import {
  type Duration,
  type HeaderLine,
  type Session,
  type Sessions,
  SojournError,
  toMilliseconds,
  type WatchEnd,
} from '../core/index.ts'
import { checkArguments } from './arguments.ts'
import { headersOf, statusOf } from './head.ts'
import { checkOrigins, isWelcome, type Origins } from './origin.ts'

export type { Origins }

/** The part of a WebSocket of `ws` that the adapter uses. */
export interface WebSocketLike {
  close(code: number, reason: string): void
  on(event: 'error', listener: (error: Error) => void): unknown
  once(event: 'close', listener: () => void): unknown
  emit(event: string | symbol, ...args: unknown[]): boolean
}

/** The part of a `WebSocketServer` of `ws` that the adapter uses. */
export interface WebSocketServerLike<Client extends WebSocketLike> {
  readonly options: { readonly noServer?: boolean | undefined }
  shouldHandle(request: IncomingMessage): boolean | Promise<boolean>
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, callback: (client: Client) => void): void
  on(event: 'headers', listener: (headers: string[], request: IncomingMessage) => void): unknown
  emit(event: 'connection', client: Client, request: IncomingMessage): boolean
}

/** Options of {@link sessionUpgrade}. */
export interface UpgradeOptions {
  /** Refuses with 401 who is not logged in. Default: `false`. */
  requireUser?: boolean | undefined

  /**
   * Refuses with 401 who has no session. With `false` a visitor without one is let in: his `sessions.of(request)` is
   * empty, nothing can be stored in it, and a later login does not reach his socket. Default: `true`.
   */
  requireSession?: boolean | undefined

  /**
   * From which sites pages may connect; others are refused with 403. A browser lets every site connect, with the cookies
   * of yours as far as `SameSite` allows, and sends the site in `Origin`. Either as browsers send it
   * (`['https://shop.example']`), or a function that answers. Behind a proxy that sends another `Host` than the browser
   * did, the origins have to be given. Who sends no `Origin` is no browser, and is let in.
   *
   * Default: the site that `Host` names.
   */
  origins?: Origins | undefined

  /**
   * Which incoming messages are a use of the session by the visitor, as a request is. Pings and pongs are none; nor, where
   * you say so, are messages that a page sends by itself. Default: every message.
   */
  isUse?: ((message: unknown, isBinary: boolean) => boolean) | undefined

  /** How often the store is asked whether a session with open sockets goes on, where nobody tells: see `sessions.watch`. Default: `'5s'`. */
  every?: Duration | undefined
}

const NAMES = ['requireUser', 'requireSession', 'origins', 'isUse', 'every'] satisfies (keyof UpgradeOptions)[]

/** The close code of a socket whose session is over; the reason says why: `logout`, `revoked`, `expired`, `superseded`, … */
const CODE_OVER = 4401
const CODES: Partial<Record<WatchEnd, number>> = { closed: 1001, unreachable: 1013 }

/**
 * A listener for `server.on('upgrade', …)` that lets those in who have a session: `sessions.of(request)` in the listener of
 * `connection`. An upgrade is a request: it opens the session by its cookies, is a use of it, and its answer sets cookies
 * as every answer does. It is refused with 401 without a session, 403 from a foreign site, 503 with `Retry-After` while
 * the store is away.
 *
 * From then on incoming messages are uses of the session (at most one write in 1/20 of the idle timeout), and the socket
 * closes when the session is over, on whichever node it ended: code 4401, and for a reason `logout`, `revoked`, `stolen`,
 * `expired` (a timeout), `superseded` (a login has changed the token: connect again), … While the store is away sockets
 * stay until their session's known end is over (1013). `sessions.close()` closes them (1001). No message that comes after
 * the end reaches a listener.
 *
 * `sessions.of(request)` is the session as it was at the upgrade: `await session.reload()` reads it again. `update` and
 * `save` go on serving, `login` is for requests alone.
 *
 * @example
 * ```ts
 * import { WebSocketServer } from 'ws'
 * import { sessionUpgrade } from 'sojourn/ws'
 *
 * const sockets = new WebSocketServer({ noServer: true })
 * server.on('upgrade', sessionUpgrade(sessions, sockets, { requireUser: true }))
 * sockets.on('connection', (socket, request) => {
 *   const session = sessions.of(request)
 *   socket.on('message', () => session.update('views', (views) => views + 1))
 * })
 * ```
 *
 * @throws TypeError for arguments that do not fit
 */
export function sessionUpgrade<Data extends object, Client extends WebSocketLike>(
  sessions: Sessions<Data>,
  server: WebSocketServerLike<Client>,
  options: UpgradeOptions = {},
): (request: IncomingMessage, socket: Duplex, head: Buffer) => void {
  checkUpgrade(sessions, server, options)
  const { requireUser = false, requireSession = true, origins, isUse, every } = options
  const answers = new WeakMap<IncomingMessage, HeaderLine[]>()
  server.on('headers', (headers, request) => {
    for (const [name, value] of answers.get(request) ?? []) headers.push(`${name}: ${value}`)
  })

  return (request, socket, head) => {
    const leave = (): void => void socket.destroy()
    socket.on('error', leave)
    const refused = (error: unknown): void => refuse(socket, error)
    void admit(request).then((session) => {
      socket.off('error', leave)
      server.handleUpgrade(request, socket, head, (client) => {
        answers.delete(request)
        accompany(client, session)
        server.emit('connection', client, request)
      })
    }, refused)
  }

  async function admit(request: IncomingMessage): Promise<Session<Data>> {
    if (!(await server.shouldHandle(request))) throw new Refusal(400, 'no WebSocket is served here')
    if (!isWelcome(request, origins)) {
      throw new Refusal(403, 'this Origin is neither the Host nor among the `origins` of sessionUpgrade()')
    }
    const session = await sessions.open(request)
    if (requireSession && session.isNew) throw new Refusal(401, 'no session')
    if (requireUser && session.user === null) throw new Refusal(401, 'nobody is logged in')
    answers.set(request, await sessions.commit(session))
    return session
  }

  function accompany(client: Client, session: Session<Data>): void {
    sessions.finish(session)
    client.on('error', () => {}) // a broken frame, or a lost connection, is the client's affair and ends no process
    let isOver = false
    const over = (end: WatchEnd): void => {
      isOver = true
      client.close(CODES[end] ?? CODE_OVER, end)
    }
    const watch = sessions.watch(session, over, every === undefined ? {} : { every })
    client.once('close', () => watch.stop())

    // Until the client has answered the close, `ws` goes on handing out what it sends.
    const emit = client.emit.bind(client)
    client.emit = (event, ...args) => {
      if (event !== 'message') return emit(event, ...args)
      if (isOver) return false
      if (!isUse || isUse(args[0], args[1] === true)) watch.use()
      return emit(event, ...args)
    }
  }
}

/** An upgrade that is not granted. */
class Refusal extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

function refuse(socket: Duplex, error: unknown): void {
  if (!(error instanceof Refusal) && !(error instanceof SojournError)) console.error(error)
  const status = statusOf(error)
  const said = error instanceof Refusal ? error.message : error instanceof SojournError ? error.code : ''
  const body = `${STATUS_CODES[status] ?? status}${said && `: ${said}`}\n`
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...Object.entries(headersOf(error)).map(([name, value]) => `${name}: ${value}`),
  ]
  socket.once('finish', () => socket.destroy())
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
}

function checkUpgrade<Data extends object, Client extends WebSocketLike>(
  sessions: Sessions<Data>,
  server: WebSocketServerLike<Client>,
  { requireUser, requireSession, origins, every, ...functions }: UpgradeOptions,
): void {
  const usage = 'sessionUpgrade(sessions, webSocketServer)'
  checkArguments(usage, sessions, functions, NAMES)
  if (typeof server?.handleUpgrade !== 'function' || server.options?.noServer !== true) {
    throw new TypeError(`${usage}: give a server that was made with new WebSocketServer({ noServer: true })`)
  }
  for (const [name, value] of Object.entries({ requireUser, requireSession })) {
    if (value !== undefined && typeof value !== 'boolean') throw new TypeError(`${usage}: ${name} is true or false`)
  }
  checkOrigins(usage, origins)
  if (every !== undefined) toMilliseconds('every', every)
}
