import { checkKey, checkRevokeUser, checkUser } from './arguments.ts'
import { decodeValue } from './codec.ts'
import { endSession } from './ending.ts'
import { type Duration, TIMER_MS_MAX, toMilliseconds } from './duration.ts'
import { Engine } from './engine.ts'
import { SessionGoneError, SessionInvalidError, SessionSupersededError, SojournError } from './errors.ts'
import type { SessionEventName, SessionListener } from './events.ts'
import { WATCH_EVERY_MS } from './limits.ts'
import { OpenSession } from './open-session.ts'
import { Opener } from './opener.ts'
import { endOf, type SessionsOptions } from './policy.ts'
import { headerOf, type RequestLike } from './request.ts'
import type { HeaderLine, Session } from './session.ts'
import { RequestSlot } from './slot.ts'
import type { Clock, Logger, StoreStats } from './store.ts'
import { endSessionsOf, listSessions, type UserSession } from './users.ts'
import { type SessionWatch, type WatchEnd, Watches } from './watch.ts'

/** A session as `get` reads it, outside a request. A copy: changing it changes nothing. */
export interface SessionView<Data extends object> {
  readonly key: string
  readonly user: string | null
  readonly createdAt: Date
  readonly lastSeenAt: Date
  readonly expiresAt: Date
  readonly data: Data
}

/** Whether the sessions can be served, for probes. */
export interface Health {
  readonly ok: boolean
  readonly store: string
  /** Why not. */
  readonly error?: { readonly code: string; readonly message: string }
}

/** Counters since the start of this process; what the store adds by itself is in {@link StoreStats}. */
export interface SessionStats extends StoreStats {
  readonly events: Readonly<Record<string, number>>
  /** Calls to the store, by name. */
  readonly storeCalls: Readonly<Record<string, number>>
}

/** The sessions of one application. Made by `createSessions`; opens nothing until `ready` or the first request. */
export interface Sessions<Data extends object> {
  /** Opens the store. Rejects with the reason; may be called again. Without it the first request opens the store, within the deadline. */
  ready(): Promise<void>

  /**
   * The session of this request, that an adapter (or {@link open}) has opened.
   *
   * @throws SojournError `no_session` where the request did not pass the adapter
   */
  of(request: object): Session<Data>

  /**
   * Reads the session of a request, for frameworks without an adapter; {@link of} finds it from then on. No cookie, no
   * store call.
   */
  open(request: RequestLike): Promise<Session<Data>>

  /** Writes what changed in a session and resolves the headers to add to the response. Call it before the first byte. */
  commit(session: Session<Data>): Promise<HeaderLine[]>

  /**
   * Whether {@link commit} would write nothing and add no header. The session is then taken as sent, and the response need
   * not be held back.
   */
  isSettled(session: Session<Data>): boolean

  /** To be called when the response has ended: raises `lateChange` for what was assigned after the commit and not saved. */
  finish(session: Session<Data>): void

  /**
   * Watches the session of a connection that stays open, such as a stream of events; `sojourn/ws` does it for WebSockets.
   * An end through this node, or one of which the store tells this node, is heard at once. Every other end is found by
   * asking the store again, every 5 s by default, and when its time is over.
   *
   * @param ended called once, and never before this method has returned, when the session is over for this connection
   * @param options.every how often the store is asked again, once for all watches of a session
   * @returns a watch to be stopped when the connection is closed; of a session that is not stored it tells nothing
   * @example
   * ```ts
   * app.get('/prices', (req, res) => {
   *   const watch = sessions.watch(sessions.of(req), () => res.end())
   *   res.on('close', () => watch.stop())
   *   res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
   * })
   * ```
   */
  watch(
    session: Session<Data>,
    ended: (end: WatchEnd) => void,
    options?: { every?: Duration | undefined },
  ): SessionWatch

  /** Reads a session outside a request; no use by the visitor. One that travels in a cookie is nowhere else: `undefined`. */
  get(key: string): Promise<SessionView<Data> | undefined>

  /** {@link Session.update} outside a request. Its idle timeout goes on. @throws SessionGoneError when there is none */
  update<Name extends keyof Data & string>(
    key: string,
    field: Name,
    compute: (value: Data[Name]) => Data[Name],
  ): Promise<Data[Name]>

  /**
   * Ends a session on every node. Resolves whether there was one; of a session that travels in a cookie, whether it was
   * not ended before.
   */
  revoke(key: string): Promise<boolean>

  /**
   * The live sessions in which this user is logged in, newest login first, as a page of devices shows them. Asks the store
   * for 100 at a time, as far as it is iterated.
   *
   * @example
   * ```ts
   * for await (const { key, client, lastSeenAt } of sessions.list('ada')) console.log(key, client, lastSeenAt)
   * ```
   * @param user as `login` was given it
   * @throws TypeError for what is no user, at once; SojournError while it is iterated, `unsupported` where the store cannot
   */
  list(user: string): AsyncIterable<UserSession>

  /**
   * Ends every session in which this user is logged in, on every node, and every login of theirs that is under way (it
   * rejects with `login_revoked`). A login that begins later stands. Asks the store for 100 sessions at a time, and where it
   * rejects some may have ended: call it again.
   *
   * @param user as `login` was given it
   * @param options.except key of one that goes on, as after a change of password: `session.key`
   * @returns how many it ended; `undefined` where sessions travel with their clients, and nobody counts them
   * @throws TypeError for what is no user
   * @throws SojournError `unsupported` where the store cannot
   */
  revokeUser(user: string, options?: { except?: string | undefined }): Promise<number | undefined>

  /** Ends every session on every node, as after a leak. @throws SojournError `unsupported` where the store cannot */
  revokeAll(): Promise<void>

  /** Listens; the result stops it. */
  on<Name extends SessionEventName>(name: Name, listener: SessionListener<Name>): () => void

  health(): Promise<Health>
  stats(): SessionStats

  /**
   * Refuses what starts from now on, ends every {@link watch} (`closed`), waits for what is under way, and closes the
   * store. Call it after the server has stopped taking requests and answered those that it had.
   *
   * @param options.deadline longest time to wait for calls under way; default `'10s'`
   */
  close(options?: { deadline?: Duration | undefined }): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** {@link Sessions} on this clock and logger. `createSessions` gives the defaults. */
export function openSessions<Data extends object>(
  options: SessionsOptions<Data>,
  surroundings: { clock: Clock; logger: Logger },
): Sessions<Data> {
  return new SessionsOfStore(new Engine(options, surroundings), options.store.name)
}

class SessionsOfStore<Data extends object> implements Sessions<Data> {
  readonly #engine: Engine<Data>
  readonly #opener: Opener<Data>
  readonly #watches: Watches<Data>
  readonly #storeName: string
  /** Whether a cookie is set that browsers would drop over plain http, and nobody was told. */
  #mayWarn: boolean
  readonly #ofRequest = new RequestSlot<OpenSession<Data>>('sojourn session')

  constructor(engine: Engine<Data>, storeName: string) {
    this.#engine = engine
    this.#opener = new Opener(engine)
    this.#watches = new Watches(engine)
    this.#storeName = storeName
    const { header, cookie } = engine.policy
    this.#mayWarn = !header && cookie.secure && process.env['NODE_ENV'] !== 'production'
  }

  ready(): Promise<void> {
    return this.#engine.ready()
  }

  of(request: object): Session<Data> {
    const session = this.#ofRequest.get(request)
    if (session) return session
    throw new SojournError(
      'no_session',
      500,
      'sessions.of(request): no session was opened for this request; register the adapter before this handler (Express: app.use(session(sessions)), Fastify: app.register(session(sessions))), and see whether its `skip` leaves this request out',
    )
  }

  async open(request: RequestLike): Promise<Session<Data>> {
    const opened = this.#opener.open(request)
    const opening = opened instanceof Promise ? await opened : opened
    let session = new OpenSession(this.#engine, opening, request)
    if (opening.adopted && !(await session.adopt(opening.adopted))) {
      session = new OpenSession(this.#engine, await this.#opener.openAfter(opening, request), request)
    }
    if (opening.userThere !== undefined && !(await session.follow(opening.userThere))) {
      session = new OpenSession(this.#engine, await this.#opener.open(request), request)
    }
    this.#ofRequest.set(request, session)
    this.#warnOfPlainHttp(request)
    return session
  }

  commit(session: Session<Data>): Promise<HeaderLine[]> {
    return asOpen(session).commit()
  }

  isSettled(session: Session<Data>): boolean {
    return asOpen(session).settle()
  }

  finish(session: Session<Data>): void {
    asOpen(session).finish()
  }

  watch(
    session: Session<Data>,
    ended: (end: WatchEnd) => void,
    { every }: { every?: Duration | undefined } = {},
  ): SessionWatch {
    const { standing } = asOpen(session)
    if (typeof ended !== 'function') throw new TypeError('watch(session, ended): give a function that hears of the end')
    const everyMs = toMilliseconds('every', every ?? WATCH_EVERY_MS, TIMER_MS_MAX)
    return this.#watches.watch(standing, ended, everyMs)
  }

  async get(key: string): Promise<SessionView<Data> | undefined> {
    checkKey('get', key)
    const record = await this.#opener.read(key)
    if (!record) return undefined
    const entries: [string, unknown][] = Object.entries(await this.#engine.initial()).filter(
      ([name]) => !record.fields.has(name),
    )
    for (const [name, { value }] of record.fields) if (value !== null) entries.push([name, decodeValue(name, value)])
    return {
      key,
      user: record.user,
      createdAt: new Date(record.createdAt),
      lastSeenAt: new Date(record.lastSeenAt),
      expiresAt: new Date(endOf(this.#engine.policy, record)),
      data: Object.fromEntries(entries) as Data,
    }
  }

  async update<Name extends keyof Data & string>(
    key: string,
    field: Name,
    compute: (value: Data[Name]) => Data[Name],
  ): Promise<Data[Name]> {
    checkKey('update', key)
    for (;;) {
      const session = await this.#unattended(key)
      try {
        return await session.update(field, compute)
      } catch (error) {
        if (!(error instanceof SessionSupersededError)) throw error // a login came between: begin again under it
      }
    }
  }

  async revoke(key: string): Promise<boolean> {
    checkKey('revoke', key)
    if (this.#engine.carrying) return this.#revokeUnseen(key)
    let found
    try {
      found = await this.#opener.find(key, { fresh: true })
    } catch (error) {
      if (error instanceof SessionInvalidError) return this.#revokeUnseen(key) // what is damaged can be ended all the same
      throw error
    }
    if (!found) return false
    await new OpenSession(this.#engine, { ...found, initial: {}, unattended: true }).end('revoked')
    return true
  }

  list(user: string): AsyncIterable<UserSession> {
    checkUser('list', user)
    return listSessions(this.#engine, user)
  }

  async revokeUser(user: string, options: { except?: string | undefined } = {}): Promise<number | undefined> {
    checkRevokeUser(user, options)
    const { except } = options
    if (this.#engine.findsUsers) return endSessionsOf(this.#engine, user, except)
    await this.#engine.store.call('endUser', async (store) => {
      if (!store.endUser) throw unsupported('end the sessions of a user')
      if (except !== undefined) throw unsupported('end the sessions of a user but for one')
      await store.endUser(user, this.#engine.clock.now())
    })
    return undefined
  }

  async revokeAll(): Promise<void> {
    await this.#engine.store.call('endAll', async (store) => {
      if (!store.endAll) throw unsupported('end all sessions at once')
      await store.endAll(this.#engine.clock.now())
    })
  }

  on<Name extends SessionEventName>(name: Name, listener: SessionListener<Name>): () => void {
    return this.#engine.events.on(name, listener)
  }

  async health(): Promise<Health> {
    try {
      await this.#engine.store.call('check', (store) => store.check())
      return { ok: true, store: this.#storeName }
    } catch (error) {
      const { code, message } =
        error instanceof SojournError ? error : new SojournError('store_unavailable', 503, String(error))
      return { ok: false, store: this.#storeName, error: { code, message } }
    }
  }

  stats(): SessionStats {
    const { events, store } = this.#engine
    return { events: { ...events.counts }, storeCalls: { ...store.counts }, ...store.stats }
  }

  close(options: { deadline?: Duration | undefined } = {}): Promise<void> {
    this.#watches.close()
    return this.#engine.close(toMilliseconds('deadline', options.deadline ?? '10s', TIMER_MS_MAX))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Browsers drop a Secure cookie that comes over plain http, except from localhost: a login that never sticks. */
  #warnOfPlainHttp({ headers, socket }: RequestLike): void {
    if (!this.#mayWarn) return
    const host = headerOf(headers, 'host')
    if (
      socket === undefined ||
      ('encrypted' in socket && socket.encrypted) ||
      host === undefined ||
      headerOf(headers, 'x-forwarded-proto') === 'https'
    )
      return
    if (/^(localhost|[^:]+\.localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/i.test(host)) return
    this.#mayWarn = false
    this.#engine.logger.warn(
      { host },
      'browsers drop a Secure cookie over plain http; use https, or cookie: { secure: false } in development',
    )
  }

  async #revokeUnseen(key: string): Promise<boolean> {
    return (await endSession(this.#engine, { key, user: null, reason: 'revoked' })) === 'ended'
  }

  async #unattended(key: string): Promise<OpenSession<Data>> {
    if (this.#engine.carrying) throw unsupported('reach a session outside a request of its client')
    const found = await this.#opener.find(key)
    if (!found) throw new SessionGoneError()
    const initial = await this.#engine.initial()
    const { generation } = found.record
    return new OpenSession(this.#engine, { ...found, generation, initial, unattended: true })
  }
}

function unsupported(what: string): SojournError {
  return new SojournError('unsupported', 501, `this store cannot ${what}`)
}

function asOpen<Data extends object>(session: Session<Data>): OpenSession<Data> {
  if (session instanceof OpenSession) return session
  throw new TypeError('give the session that sessions.open(request) or sessions.of(request) returned')
}
