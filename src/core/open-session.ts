import { compareVersions, createSelector, keyOfSelector } from '../token/index.ts'
import type { Adoption, Carried } from './carried.ts'
import { ResponseCookies } from './cookies.ts'
import { encodeField, type FieldChanges, SessionFields } from './data.ts'
import type { Engine } from './engine.ts'
import { SessionGoneError, SessionSupersededError, SojournError } from './errors.ts'
import type { EndReason } from './events.ts'
import { CONFLICTS_MAX, TOMBSTONE_MS, USER_LENGTH_MAX } from './limits.ts'
import { nextEnd } from './policy.ts'
import type { SessionRecord } from './record.ts'
import type { HeaderLine, LoginOptions, Session } from './session.ts'
import type { Change, ChangeResult } from './store.ts'

/** Where the session of a request stands. */
type State =
  /** Nothing is stored under its key. */
  | { readonly kind: 'empty' }
  | { readonly kind: 'live'; readonly record: RecordMeta }
  /** The token is from before a login, or of a secret unknown here: reads as empty, and only `login` writes. */
  | { readonly kind: 'detached'; readonly reason: () => SojournError }

type RecordMeta = Pick<SessionRecord, 'version' | 'user' | 'startedAt' | 'createdAt' | 'lastSeenAt' | 'expiresAt'>

/** How a session came out of `open`. */
export interface Opening {
  readonly selector?: Buffer
  readonly key?: string
  readonly generation?: number
  readonly record?: SessionRecord
  /** What the client carries, and the Cookie header that it sent. */
  readonly carried?: Carried
  readonly presented?: string
  /** Taken over from another library. */
  readonly adopted?: Adoption
  /** Whether the client sent a token of ours. */
  readonly isPresented?: boolean
  /** The generation to hand out, where the client presented its predecessor. */
  readonly successor?: number
  /** Opened outside a request: changes are no use by the visitor. */
  readonly unattended?: boolean
  readonly detached?: () => SojournError
  /** Stored fields that do not fit the schema: they take their initial value, or none. */
  readonly resetFields?: readonly string[]
  readonly initial: object
}

/** The only implementation of {@link Session}. What is not in that interface is for `Sessions` and the adapters. */
export class OpenSession<Data extends object> implements Session<Data> {
  readonly #engine: Engine<Data>
  readonly #openedAt: number
  #state: State
  readonly #fields: SessionFields
  #selector: Buffer | undefined
  #key: string | undefined
  #generation: number
  /** The grace of this generation's predecessor ends then. */
  #graceEndsAt: number
  readonly #cookies: ResponseCookies
  #carried: Carried | undefined
  #isSent = false
  /** What this request has asked for and is not done. */
  #turnCount = 0
  #isPresented: boolean
  readonly #unattended: boolean

  constructor(engine: Engine<Data>, opening: Opening) {
    const { record, detached } = opening
    this.#engine = engine
    this.#openedAt = engine.clock.now()
    this.#selector = opening.selector
    this.#key = opening.key
    this.#generation = opening.generation ?? 1
    this.#graceEndsAt = record?.retired[0] ?? 0
    this.#fields = new SessionFields(record?.fields ?? new Map(), opening.initial)
    this.#state = record
      ? { kind: 'live', record }
      : detached
        ? { kind: 'detached', reason: detached }
        : { kind: 'empty' }
    this.#isPresented = opening.isPresented ?? false
    this.#unattended = opening.unattended ?? false
    this.#carried = opening.carried
    const { tokens, carrying } = engine
    const setting = { policy: engine.policy.cookie, tokens, carrying }
    this.#cookies = new ResponseCookies(setting, opening.presented ?? '', opening.successor)
    for (const name of opening.resetFields ?? []) this.#fields.reset(name, opening.initial)
    // `session.views = 1` for `session.data.views = 1` would be lost without a word.
    Object.preventExtensions(this)
  }

  get key(): string {
    this.#selector ??= this.#key === undefined ? createSelector() : undefined
    return (this.#key ??= keyOfSelector(this.#selector ?? createSelector()))
  }

  get isNew(): boolean {
    return this.#state.kind !== 'live'
  }

  get user(): string | null {
    return this.#meta.user
  }

  get createdAt(): Date {
    return new Date(this.#meta.createdAt)
  }

  get lastSeenAt(): Date {
    return new Date(this.#meta.lastSeenAt)
  }

  get expiresAt(): Date {
    return new Date(this.#meta.expiresAt)
  }

  get data(): Data {
    return this.#fields.proxy as Data
  }

  set data(values: Data) {
    if (typeof values !== 'object' || values === null || Array.isArray(values)) {
      throw new TypeError('session.data is an object of fields; to empty it assign what initial() gives, or logout()')
    }
    this.#fields.replace(values)
  }

  update<Name extends keyof Data & string>(
    field: Name,
    compute: (value: Data[Name]) => Data[Name],
  ): Promise<Data[Name]> {
    return this.#turn(() => this.#update(field, compute as (value: unknown) => unknown)) as Promise<Data[Name]>
  }

  async login(user: string, options: LoginOptions = {}): Promise<void> {
    if (typeof user !== 'string' || user === '' || user.length > USER_LENGTH_MAX || !user.isWellFormed()) {
      throw new TypeError(
        `login(user): a user is text of 1 to ${USER_LENGTH_MAX} characters; for a number give String(id)`,
      )
    }
    const { data } = options
    if (data !== undefined && data !== 'keep' && data !== 'reset') {
      throw new TypeError("login(user, { data }): data is 'keep' or 'reset'")
    }
    await this.#turn(async () => {
      this.#assertNotSent('login')
      if (data === 'reset') this.#fields.replace(await this.#engine.initial())
      if (this.#state.kind === 'live' && (await this.#loginLive(user))) return
      if (this.#state.kind === 'live') await this.#leaveDeadSession()
      if (this.#state.kind === 'detached') this.#becomeNew() // its data is `initial()` and what the handler assigned
      await this.#create({ user })
    })
  }

  logout(): Promise<void> {
    return this.#turn(() => this.#end('logout'))
  }

  async rotate(): Promise<void> {
    await this.#turn(async () => {
      this.#assertAttached()
      if (this.#state.kind !== 'live' || this.#engine.clock.now() <= this.#graceEndsAt) return
      const result = this.#required(await this.#apply({ rotate: true }))
      if (result.pending && result.generation === this.#generation) this.#cookies.token = result.generation + 1
    })
  }

  async save(): Promise<void> {
    await this.#turn(() => this.#write('explicit'))
  }

  /** Writes what changed and resolves the headers for the response. Afterwards the session is taken as sent. */
  async commit(): Promise<HeaderLine[]> {
    if (this.#isUntouched) {
      this.#isSent = true
      return []
    }
    // What only read does not wait for the writes of other requests.
    if (this.#engine.turns.isBusy(this.key) && this.#hasNothingToWrite) {
      this.#isSent = true
      return this.#cookies.take()
    }
    await this.#turn(async () => {
      const { version } = this.#meta
      await this.#write('implicit')
      const wroteNothing = compareVersions(version, this.#meta.version) === 0
      if (wroteNothing && this.#cookies.token !== undefined) await this.#withdrawDeadToken(this.#cookies.token)
    })
    this.#isSent = true
    return this.#selector ? this.#cookies.take(this.#selector) : this.#cookies.take()
  }

  /** Begins a session with what the client had with another library. */
  async adopt({ data, user }: Adoption): Promise<void> {
    await this.#turn(async () => {
      for (const [name, value] of Object.entries(data)) this.#fields.set(name, value)
      try {
        await this.#create(user === undefined ? {} : { user })
      } catch (error) {
        if (!(error instanceof SojournError) || error.status === 503) throw error
        await this.#leaveDeadSession() // what does not fit here must not fail every request of its client
      }
    })
  }

  /** Tells what was assigned after the response had begun and not saved. Call it when the response has ended. */
  finish(): void {
    if (!this.#isSent) return
    const fields = this.#fields.changedNames
    if (fields.length > 0) this.#engine.events.emit('lateChange', { key: this.key, fields })
  }

  /** Ends the session, if there is one. */
  async end(reason: EndReason): Promise<void> {
    await this.#turn(() => this.#end(reason))
  }

  /** A visitor without a session, for whom nobody has asked anything: no key was drawn yet. */
  get #isUntouched(): boolean {
    return this.#state.kind === 'empty' && this.#key === undefined && !this.#fields.isChanged
  }

  get #hasNothingToWrite(): boolean {
    return this.#turnCount === 0 && this.#cookies.token === undefined && !this.#touchIsDue && !this.#fields.isChanged
  }

  get #touchIsDue(): boolean {
    const { policy, clock } = this.#engine
    return this.#state.kind === 'live' && clock.now() - this.#state.record.lastSeenAt >= policy.touchEveryMs
  }

  get #meta(): RecordMeta {
    if (this.#state.kind === 'live') return this.#state.record
    const now = this.#openedAt
    const expiresAt = nextEnd(this.#engine.policy, now, now)
    return {
      version: { incarnation: 0, sequence: 0 },
      user: null,
      startedAt: now,
      createdAt: now,
      lastSeenAt: now,
      expiresAt,
    }
  }

  /** Runs a task when every earlier change of this node to this session is done. A logout or login in between may have changed the key. */
  async #turn<T>(task: () => Promise<T>): Promise<T> {
    const key = this.key
    this.#turnCount += 1
    try {
      return await this.#engine.turns.run(key, () => (this.key === key ? task() : this.#turn(task)))
    } finally {
      this.#turnCount -= 1
    }
  }

  async #update(field: string, compute: (value: unknown) => unknown): Promise<unknown> {
    if (typeof field !== 'string' || typeof compute !== 'function') {
      throw new TypeError("update(field, compute) takes a field's name and a function: update('views', (n) => n + 1)")
    }
    this.#assertAttached()
    if (this.#state.kind === 'empty') {
      const value = computed(field, compute, this.#fields.base(field).value)
      await this.#create({ computed: { [field]: value } })
      return value
    }
    for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts++) {
      const { stamp, value, changed } = this.#fields.base(field)
      const next = computed(field, compute, value)
      const changes = new Map([[field, encodeField(field, next)]])
      await this.#check(changes, { [field]: next })
      const result = await this.#apply({ fields: changes, ...(changed ? {} : { expect: { field, stamp } }) })
      if (result.outcome === 'conflict') {
        this.#fields.updated(field, result.field)
        continue
      }
      const { version } = this.#required(result)
      this.#fields.updated(field, { stamp: version, value: changes.get(field) ?? null })
      return next
    }
    throw new SojournError(
      'conflict',
      503,
      `update(${JSON.stringify(field)}) lost ${CONFLICTS_MAX} races for the field; spread what so many requests change at once over several fields`,
      { field },
    )
  }

  async #write(how: 'explicit' | 'implicit'): Promise<void> {
    if (this.#state.kind === 'detached') {
      if (this.#fields.isChanged) throw this.#state.reason()
      return
    }
    if (this.#state.kind === 'empty') {
      if (this.#fields.isChanged) await this.#create()
      return
    }
    const changes = this.#fields.changes()
    if (changes.size === 0 && !this.#touchIsDue) return
    if (changes.size > 0) await this.#check(changes)
    const result = await this.#apply({ fields: changes })
    if (result.outcome === 'applied') this.#fields.applied(changes, result.version)
    else this.#cookies.set({})
    if (result.outcome === 'applied' || changes.size === 0) return
    if (how === 'explicit' || result.outcome === 'superseded') this.#required(result)
    this.#engine.events.emit('changeDropped', { key: this.key, fields: [...changes.keys()] })
  }

  /** A request in flight across a later login, a logout or the first use of its successor must not put its token over the newer cookie. */
  async #withdrawDeadToken(token: number): Promise<void> {
    const options = this.#carried ? { carried: this.#carried } : {}
    const record = await this.#engine.store.call('read', (store) => store.read(this.key, options))
    if (!record || token < record.floor || this.#isUsedSuccessor(token, record.generation)) this.#cookies.set({})
  }

  /** Whether a token that was to be handed out has been presented meanwhile, when the record is at `generation`. */
  #isUsedSuccessor(token: number, generation: number): boolean {
    return token > this.#generation && token <= generation
  }

  /** @param computed what `update` made of a field: it counts only once it is stored */
  async #create({ user, computed = {} }: { user?: string; computed?: object } = {}): Promise<void> {
    this.#assertNotSent('a session that is not stored yet')
    const changes = new Map(this.#fields.changes(true))
    for (const [field, value] of Object.entries(computed)) changes.set(field, encodeField(field, value))
    await this.#check(changes, computed, 'all')
    const login = user === undefined ? {} : { login: { user } }
    const { version, generation, carried } = this.#required(await this.#applyCreation({ fields: changes, ...login }))
    const { now, expiresAt } = this.#times()
    const record = { version, user: user ?? null, startedAt: now, createdAt: now, lastSeenAt: now, expiresAt }
    this.#state = { kind: 'live', record }
    this.#fields.applied(changes, version)
    for (const field of Object.keys(computed)) {
      this.#fields.updated(field, { stamp: version, value: changes.get(field) ?? null })
    }
    this.#cookies.set({ token: generation })
    this.#cookies.seen = carried ? { carried, version } : { version }
    this.#engine.events.emit('created', { key: this.key })
    if (user !== undefined) this.#engine.events.emit('login', { key: this.key, user })
  }

  /** @returns whether the session was still there to log in */
  async #loginLive(user: string): Promise<boolean> {
    const changes = this.#fields.changes()
    await this.#check(changes)
    const result = await this.#apply({ fields: changes, login: { user } })
    if (result.outcome !== 'applied') return false
    this.#fields.applied(changes, result.version)
    this.#generation = result.generation
    this.#graceEndsAt = 0
    this.#cookies.token = result.generation
    if (this.#state.kind === 'live') {
      const { now, expiresAt } = this.#times()
      this.#state = { kind: 'live', record: { ...this.#state.record, user, startedAt: now, expiresAt } }
    }
    this.#engine.events.emit('login', { key: this.key, user })
    return true
  }

  async #end(reason: EndReason): Promise<void> {
    this.#assertAttached()
    const { store, clock, events } = this.#engine
    if (this.#state.kind === 'live') {
      const { key, user } = this
      const now = clock.now()
      const end = { key, endedAt: now, forgetAt: now + TOMBSTONE_MS }
      const generation = this.#unattended ? {} : { generation: this.#generation }
      const result = await store.call('end', (store) => store.end({ ...end, ...generation }, this.#carried))
      if (result === 'superseded') throw new SessionSupersededError()
      if (result === 'ended') events.emit('ended', { key, user, reason })
    }
    await this.#becomeEmpty()
    if (this.#isPresented) this.#cookies.set({ clear: true })
  }

  async #becomeEmpty(): Promise<void> {
    this.#fields.restart(await this.#engine.initial())
    this.#becomeNew()
  }

  /** What it held may be another user's, so that no change of it goes into the session that `login` makes. */
  async #leaveDeadSession(): Promise<void> {
    const fields = this.#fields.changedNames
    if (fields.length > 0) this.#engine.events.emit('changeDropped', { key: this.key, fields })
    await this.#becomeEmpty()
  }

  #becomeNew(): void {
    this.#state = { kind: 'empty' }
    this.#selector = createSelector()
    this.#key = keyOfSelector(this.#selector)
    this.#generation = 1
    this.#graceEndsAt = 0
    this.#carried = undefined
    this.#cookies.set({})
  }

  #times(): { now: number; expiresAt: number } {
    const now = this.#engine.clock.now()
    const startedAt = this.#state.kind === 'live' ? this.#state.record.startedAt : now
    return { now, expiresAt: nextEnd(this.#engine.policy, now, startedAt) }
  }

  async #apply(parts: Partial<Change>): Promise<ChangeResult> {
    const { policy, store, carrying } = this.#engine
    if (carrying) this.#assertNotSent('a change of a session that travels with its client')
    const { now, expiresAt } = this.#times()
    const change: Change = {
      key: this.key,
      operation: this.#engine.nextOperation(),
      now,
      expiresAt: parts.login ? nextEnd(policy, now, now) : expiresAt,
      generation: this.#generation,
      ...(this.#unattended ? { unattended: true } : {}),
      ...parts,
    }
    const result = await store.call('apply', (store) => store.apply(change, this.#carried))
    if (result.outcome === 'applied') this.#carried = result.carried
    if (result.outcome === 'applied' && this.#state.kind === 'live') {
      const used = this.#unattended ? {} : { lastSeenAt: now, expiresAt }
      this.#state = { kind: 'live', record: { ...this.#state.record, version: result.version, ...used } }
      this.#cookies.seen = result
      const { token } = this.#cookies
      if (token !== undefined && this.#isUsedSuccessor(token, result.generation)) this.#cookies.token = undefined
    }
    return result
  }

  /** A creation whose fate is unknown is not tried again under the same key, where it would find itself. */
  async #applyCreation(parts: Partial<Change>): Promise<ChangeResult> {
    try {
      return await this.#apply({ create: true, ...parts })
    } catch (error) {
      this.#selector = createSelector()
      this.#key = keyOfSelector(this.#selector)
      throw error
    }
  }

  /** @throws where the answer is not `applied` */
  #required(result: ChangeResult): Extract<ChangeResult, { outcome: 'applied' }> {
    if (result.outcome === 'applied') return result
    throw result.outcome === 'superseded' ? new SessionSupersededError() : new SessionGoneError()
  }

  async #check(changes: FieldChanges, replaced: object = {}, fields: FieldChanges | 'all' = changes): Promise<void> {
    this.#fields.checkSize(changes, this.#engine.policy.bytesMax)
    await this.#engine.assertValid(() => ({ ...this.#fields.toObject(), ...replaced }), fields)
  }

  #assertAttached(): void {
    if (this.#state.kind !== 'detached') return
    throw this.#state.reason()
  }

  #assertNotSent(what: string): void {
    if (!this.#isSent) return
    throw new SojournError(
      'headers_sent',
      500,
      `${what} sets a cookie, and the response has begun already; do it before the first byte`,
    )
  }
}

/** @throws TypeError for a promise: `compute` may be called again, and what it has awaited would be stale by then */
function computed(field: string, compute: (value: unknown) => unknown, value: unknown): unknown {
  const result = compute(value)
  if (!(result instanceof Promise)) return result
  result.catch(() => {})
  throw new TypeError(
    `update(${JSON.stringify(field)}): its function must be synchronous; await before update(), and compute in it`,
  )
}
