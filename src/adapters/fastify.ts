/**
 * Sessions for Fastify 5.
 *
 * Exported from `sojourn/fastify`.
 *
 * @module
 */
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeader, ServerResponse } from 'node:http'
import { Stream } from 'node:stream'
import { RequestSlot, type Session, type Sessions } from '../core/index.ts'
import { answerError } from './answer.ts'
import { checkArguments } from './arguments.ts'
import { holdResponse, SessionCommitter } from './gate.ts'
import { headersOf, statusOf } from './head.ts'

/** The part of Fastify's request that `skip` may ask. */
export interface FastifyRequest {
  readonly headers: IncomingHttpHeaders
  readonly method: string
  readonly url: string
  readonly raw: IncomingMessage
}

/** The part of Fastify's reply that the plugin uses. */
export interface FastifyReply {
  readonly raw: ServerResponse
  code(status: number): unknown
  header(name: string, value: string | string[]): unknown
  headers(headers: Record<string, OutgoingHttpHeader>): unknown
  getHeader(name: string): OutgoingHttpHeader | undefined
  getHeaders(): Record<string, OutgoingHttpHeader | undefined>
  removeHeader(name: string): unknown
  hijack(): unknown
}

/** The part of a Fastify instance that the plugin uses. */
export interface Fastify {
  hasRequestDecorator(name: string): boolean
  decorateRequest(name: string, value: { getter(this: object): unknown }): unknown
  addHook(name: 'onRequest', hook: (request: FastifyRequest, reply: FastifyReply) => Promise<void>): unknown
  addHook(
    name: 'onSend',
    hook: (request: FastifyRequest, reply: FastifyReply, payload: unknown) => Promise<unknown>,
  ): unknown
}

/** Options of {@link session}. */
export interface FastifySessionOptions {
  /** Requests without a session, such as those for assets: no store call is made, and `sessions.of` throws `no_session`. Default: none. */
  skip?: ((request: FastifyRequest) => boolean) | undefined
}

/** A plugin for `app.register`. */
export type SessionPlugin = (fastify: Fastify) => Promise<void>

/**
 * Plugin that gives each request a session: `sessions.of(request)`, and `request.session` (typed by
 * `import 'sojourn/fastify/types'`). The session is read in `onRequest` and written in `onSend`, before the first byte of
 * the reply, also where the client has gone away by then; after `reply.hijack()`, before the first byte that is written
 * to `reply.raw`.
 *
 * A session that cannot be read or written goes to the application's error handler. It finds the reply as this plugin
 * found it, with the error's status and `Retry-After` set. So register plugins whose headers belong on every reply (CORS,
 * Helmet) before this one. A hijacked reply has no error handler: it is answered with the status and a short text.
 *
 * @example
 * ```ts
 * await app.register(session(sessions))
 * app.get('/', async (request) => sessions.of(request).data)
 * ```
 */
export function session<Data extends object>(
  sessions: Sessions<Data>,
  options: FastifySessionOptions = {},
): SessionPlugin {
  checkArguments('app.register(session(sessions))', sessions, options, ['skip'])
  const { skip } = options
  const exchanges = new RequestSlot<Exchange<Data>>('sojourn exchange')

  const plugin: SessionPlugin = async (fastify) => {
    // During a move from @fastify/session the name is taken; `sessions.of` finds ours.
    if (!fastify.hasRequestDecorator('session')) {
      fastify.decorateRequest('session', {
        getter() {
          return sessions.of(this)
        },
      })
    }

    fastify.addHook('onRequest', async (request, reply) => {
      if (skip?.(request)) return
      try {
        const opened = await sessions.open(request)
        exchanges.set(request, new Exchange(sessions, opened, reply))
      } catch (error) {
        reply.headers(headersOf(error))
        throw error
      }
    })

    fastify.addHook('onSend', async (request, _, payload) => {
      const exchange = exchanges.get(request)
      try {
        await exchange?.commit()
        return payload
      } catch (error) {
        exchange?.reset(error)
        discard(payload, request.raw)
        throw error
      }
    })
  }
  return Object.assign(plugin, {
    [Symbol.for('skip-override')]: true,
    [Symbol.for('fastify.display-name')]: 'sojourn',
    [Symbol.for('plugin-meta')]: { name: 'sojourn', fastify: '5.x' },
  })
}

/** One request with a session, and its reply. */
class Exchange<Data extends object> {
  readonly #sessions: Sessions<Data>
  readonly #session: Session<Data>
  readonly #reply: FastifyReply
  /** The reply's headers as the plugin found them: what a failed commit goes back to. */
  readonly #before: Record<string, OutgoingHttpHeader>
  #isBegun = false

  constructor(sessions: Sessions<Data>, session: Session<Data>, reply: FastifyReply) {
    this.#sessions = sessions
    this.#session = session
    this.#reply = reply
    this.#before = copyOf(reply.getHeaders())
    reply.raw.on('close', () => sessions.finish(session))
    const hijack = reply.hijack.bind(reply)
    reply.hijack = () => {
      this.#hold()
      return hijack()
    }
  }

  /** Writes the session, once: `onSend` runs again for the answer of an error handler. */
  async commit(): Promise<void> {
    if (this.#isBegun) return
    this.#isBegun = true
    if (this.#sessions.isSettled(this.#session)) return
    for (const [name, value] of await this.#sessions.commit(this.#session)) this.#append(name, value)
  }

  /** Takes back what the handler set, for an answer to this error. */
  reset(error: unknown): void {
    const reply = this.#reply
    for (const name of Object.keys(reply.getHeaders())) reply.removeHeader(name)
    reply.headers({ ...this.#before, ...headersOf(error) })
    reply.code(statusOf(error))
  }

  /** A hijacked reply passes no `onSend`. */
  #hold(): void {
    if (this.#isBegun) return
    this.#isBegun = true
    const { raw } = this.#reply
    holdResponse(raw, new SessionCommitter(this.#sessions, this.#session), (error) => answerError(raw, error))
  }

  /** Adds a header, also to cookies that were set on the raw response, which Fastify would replace. */
  #append(name: string, value: string): void {
    const { raw } = this.#reply
    if (name !== 'set-cookie' && (this.#reply.getHeader(name) ?? raw.getHeader(name)) !== undefined) return
    const set = raw.getHeader(name)
    if (set !== undefined && this.#reply.getHeader(name) === set) this.#reply.header(name, [set].flat().map(String))
    this.#reply.header(name, value)
  }
}

function copyOf(headers: Record<string, OutgoingHttpHeader | undefined>): Record<string, OutgoingHttpHeader> {
  const copy: Record<string, OutgoingHttpHeader> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) copy[name] = Array.isArray(value) ? [...value] : value
  }
  return copy
}

/** Lets go of a stream that will not be sent; Fastify leaves it open. */
function discard(payload: unknown, request: IncomingMessage): void {
  if (typeof payload !== 'object' || payload === null || payload === request) return
  if (payload instanceof Response) return discard(payload.body, request)
  if (payload instanceof ReadableStream) return void payload.cancel().catch(() => {})
  if (!(payload instanceof Stream)) return
  payload.on('error', () => {})
  if ('destroy' in payload && typeof payload.destroy === 'function') payload.destroy()
}
