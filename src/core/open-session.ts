import { compareVersions } from '../token/index.ts'
import { checkLogin, checkUpdate, computed, isUser } from './arguments.ts'
import type { Adoption } from './carried.ts'
import { encodeField, type FieldChanges, SessionFields } from './data.ts'
import { endSession } from './ending.ts'
import type { Engine } from './engine.ts'
import { Entrance } from './entrance.ts'
import { SessionGoneError, SessionSupersededError, SojournError } from './errors.ts'
import type { EndReason } from './events.ts'
import { Life, type Opening, required } from './life.ts'
import { CONFLICTS_MAX } from './limits.ts'
import { endOf } from './policy.ts'
import { labelOf, type RequestLike, toLabel } from './request.ts'
import type { HeaderLine, LoginOptions, Session } from './session.ts'
import { leave } from './user-index.ts'
import type { Standing } from './watched-session.ts'

/** The only implementation of {@link Session}. What is not in that interface is for `Sessions` and the adapters. */
export class OpenSession<Data extends object> implements Session<Data> {
  readonly #engine: Engine<Data>
  readonly #life: Life<Data>
  readonly #fields: SessionFields
  #isSent = false
  /** What this request has asked for and is not done. */
  #turnCount = 0
  readonly #isPresented: boolean
  /** Where it was opened for one. */
  readonly #request: RequestLike | undefined

  constructor(engine: Engine<Data>, opening: Opening, request?: RequestLike) {
    this.#engine = engine
    this.#request = request
    this.#life = new Life(engine, opening)
    this.#fields = new SessionFields(opening.record?.fields ?? new Map(), opening.initial)
    this.#isPresented = opening.isPresented ?? false
    for (const name of opening.resetFields ?? []) this.#fields.reset(name, opening.initial)
    // `session.views = 1` for `session.data.views = 1` would be lost without a word.
    Object.preventExtensions(this)
  }

  get key(): string {
    return this.#life.key
  }

  get isNew(): boolean {
    return this.#life.kind !== 'live'
  }

  get user(): string | null {
    return this.#life.meta.user
  }

  get createdAt(): Date {
    return new Date(this.#life.meta.createdAt)
  }

  get lastSeenAt(): Date {
    return new Date(this.#life.meta.lastSeenAt)
  }

  get expiresAt(): Date {
    return new Date(this.#life.meta.expiresAt)
  }

  /** What there is to watch; `undefined` where nothing is stored. */
  get standing(): Standing | undefined {
    if (this.#life.kind !== 'live') return undefined
    const { key, generation, carried, meta } = this.#life
    const { user, startedAt, lastSeenAt, expiresAt } = meta
    return { key, generation, carried, user, startedAt, lastSeenAt, expiresAt }
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
    checkLogin(user, options)
    const { data, client } = options
    await this.#turn(async () => {
      this.#assertNotSent('login')
      const isAnother = this.user !== null && this.user !== user
      if ((data ?? (isAnother ? 'reset' : 'keep')) === 'reset') this.#fields.replace(await this.#engine.initial())
      const entrance = this.#entrance(user, client)
      if (this.#life.kind === 'live' && (await this.#loginLive(user, entrance))) return
      if (this.#life.kind === 'live') await this.#leaveDeadSession()
      if (this.#life.kind === 'detached') this.#life.becomeNew() // its data is `initial()` and what the handler assigned
      await this.#create({ user, entrance })
    })
  }

  logout(): Promise<void> {
    return this.#turn(() => this.#end('logout'))
  }

  async rotate(): Promise<void> {
    await this.#turn(async () => {
      this.#life.assertAttached()
      this.#assertCarriable()
      if (this.#life.mayRotate) required(await this.#life.rotate())
    })
  }

  async save(): Promise<void> {
    await this.#turn(() => this.#write('explicit'))
  }

  async reload(): Promise<void> {
    await this.#turn(() => this.#reload())
  }

  /** Takes the session as sent, where nothing is to be written and the client is to be told nothing. */
  settle(): boolean {
    const isSettled = this.#isUntouched || (this.#hasNothingToWrite && this.#life.tellsNothing)
    if (isSettled) this.#isSent = true
    return isSettled
  }

  /** Writes what changed and resolves the headers for the response. Afterwards the session is taken as sent. */
  async commit(): Promise<HeaderLine[]> {
    if (this.settle()) return []
    // What only read does not wait for the writes of other requests.
    if (this.#hasNothingToWrite) {
      this.#isSent = true
      return this.#life.takeHeaders()
    }
    await this.#turn(async () => {
      const { version } = this.#life.meta
      await this.#write('implicit')
      const wroteNothing = compareVersions(version, this.#life.meta.version) === 0
      if (wroteNothing && this.#life.cookies.token !== undefined)
        await this.#withdrawDeadToken(this.#life.cookies.token)
    })
    this.#isSent = true
    return this.#life.takeHeaders()
  }

  /** Begins a session with what the client had with another library. @returns whether nobody else has begun it, or ended it */
  async adopt({ data, user }: Adoption): Promise<boolean> {
    return this.#turn(async () => {
      for (const [name, value] of Object.entries(data)) this.#fields.set(name, value)
      try {
        await this.#create(isUser(user) ? { user, entrance: this.#entrance(user) } : {})
        this.#engine.events.emit('adopted', { key: this.key, user: this.user })
      } catch (error) {
        if (!(error instanceof SojournError) || error.status === 503) throw error
        if (error instanceof SessionGoneError) return false
        // What does not fit here must not fail every request of its client.
        if (!this.#engine.moving) await this.#leaveDeadSession()
        else {
          this.#engine.moving.troubles.tell('unfit', error)
          await this.#becomeEmpty()
        }
      }
      return true
    })
  }

  /** Another user is logged in by a server of the other library, or nobody any more. @returns whether nobody else has followed already */
  async follow(user: string | null): Promise<boolean> {
    return this.#turn(async () => {
      if (this.#life.kind !== 'live' || user === this.user) return true
      try {
        if (user !== null) return await this.#loginLive(user, this.#entrance(user))
        const data = this.#fields.toObject()
        await this.#end('logout')
        for (const [name, value] of Object.entries(data)) this.#fields.set(name, value)
        await this.#create()
        return true
      } catch (error) {
        if (error instanceof SessionSupersededError) return false
        if (!(error instanceof SojournError) || error.status === 503) throw error
        this.#engine.moving?.troubles.tell('unfit', error)
        return true
      }
    })
  }

  /** Tells what was assigned after the response had begun and not saved, then and from then on. Call it when the response has ended. */
  finish(): void {
    if (!this.#isSent) return
    this.#tellLateChange()
    let isAsked = false
    this.#fields.whenAssigned = () => {
      if (isAsked) return
      isAsked = true
      // A `save()` that follows has begun by then.
      setImmediate(() => {
        isAsked = false
        if (this.#turnCount === 0) this.#tellLateChange()
      })
    }
  }

  #tellLateChange(): void {
    const fields = this.#fields.changedNames
    if (fields.length > 0) this.#engine.events.emit('lateChange', { key: this.key, fields })
  }

  /** Ends the session, if there is one. */
  async end(reason: EndReason): Promise<void> {
    await this.#turn(() => this.#end(reason))
  }

  /** A visitor without a session, for whom nobody has asked anything: no key was drawn yet. */
  get #isUntouched(): boolean {
    return this.#life.kind === 'empty' && !this.#life.hasKey && !this.#fields.isChanged
  }

  get #hasNothingToWrite(): boolean {
    return (
      this.#turnCount === 0 &&
      this.#life.cookies.token === undefined &&
      !this.#life.touchIsDue &&
      !this.#life.rotationIsDue &&
      !this.#fields.mayBeChanged
    )
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
    checkUpdate(field, compute)
    this.#life.assertAttached()
    if (this.#life.kind === 'empty') {
      const value = computed(field, compute, this.#fields.base(field).value)
      await this.#create({ computed: { [field]: value } })
      return value
    }
    for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts++) {
      const { stamp, value, changed } = this.#fields.base(field)
      const next = computed(field, compute, value)
      const changes = new Map([[field, encodeField(field, next)]])
      await this.#check(changes, { [field]: next })
      this.#assertCarriable()
      const result = await this.#life.apply({ fields: changes, ...(changed ? {} : { expect: { field, stamp } }) })
      if (result.outcome === 'conflict') {
        this.#fields.updated(field, result.field)
        continue
      }
      const { version } = required(result)
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

  async #reload(): Promise<void> {
    this.#life.assertAttached()
    if (this.#life.kind === 'empty') return this.#fields.restart(await this.#engine.initial())
    const { store, clock, policy } = this.#engine
    const { carried, meta, generation } = this.#life
    const options = { atLeast: meta.version, fresh: true, ...(carried ? { carried } : {}) }
    const stored = await store.call('read', (store) => store.read(this.key, options))
    if (!stored || endOf(policy, stored) <= clock.now()) throw new SessionGoneError()
    if (generation < stored.floor) throw new SessionSupersededError()
    const initial = this.#engine.needsNothingOfInitial(stored.fields) ? {} : await this.#engine.initial()
    this.#fields.restart(initial, stored.fields)
    this.#life.reread(stored)
    await this.#engine.assertValid(() => this.#fields.toObject(), 'all')
  }

  async #write(how: 'explicit' | 'implicit'): Promise<void> {
    if (this.#life.kind === 'detached') {
      if (this.#fields.isChanged) this.#life.assertAttached()
      return
    }
    if (this.#life.kind === 'empty') {
      if (this.#fields.isChanged) await this.#create()
      return
    }
    const changes = this.#fields.changes()
    const rotates = how === 'implicit' && this.#life.rotationIsDue
    if (changes.size === 0 && !this.#life.touchIsDue && !rotates) return
    if (changes.size > 0) await this.#check(changes)
    this.#assertCarriable()
    const result = await (rotates ? this.#life.rotate({ fields: changes }) : this.#life.apply({ fields: changes }))
    if (result.outcome === 'applied') this.#fields.applied(changes, result.version)
    else this.#life.cookies.set({})
    if (result.outcome === 'applied' || changes.size === 0) return
    if (how === 'explicit' || result.outcome === 'superseded') required(result)
    this.#engine.events.emit('changeDropped', { key: this.key, fields: [...changes.keys()] })
  }

  /** A request in flight across a later login, a logout or the first use of its successor must not put its token over the newer cookie. */
  async #withdrawDeadToken(token: number): Promise<void> {
    const { carried } = this.#life
    const record = await this.#engine.store.call('read', (store) =>
      store.read(this.key, { fresh: true, ...(carried ? { carried } : {}) }),
    )
    if (!record || token < record.floor || this.#life.isUsedSuccessor(token, record.generation))
      this.#life.cookies.set({})
  }

  /** @param computed what `update` made of a field: it counts only once it is stored */
  async #create({
    user,
    entrance,
    computed = {},
  }: { user?: string; entrance?: Entrance<Data>; computed?: object } = {}): Promise<void> {
    this.#assertNotSent('a session that is not stored yet')
    const changes = new Map(this.#fields.changes(true))
    for (const [field, value] of Object.entries(computed)) changes.set(field, encodeField(field, value))
    await this.#check(changes, computed, 'all')
    const login = user === undefined ? {} : { login: { user } }
    await entrance?.enter(this.key)
    const fields = entrance ? new Map([...changes, ...entrance.fields]) : changes
    const { version } = await this.#life.create({ fields, ...login })
    this.#fields.applied(changes, version)
    for (const field of Object.keys(computed)) {
      this.#fields.updated(field, { stamp: version, value: changes.get(field) ?? null })
    }
    this.#engine.events.emit('created', { key: this.key })
    if (entrance) await this.#settle(entrance)
    if (user !== undefined) this.#engine.events.emit('login', { key: this.key, user })
  }

  /** @returns whether the session was still there to log in */
  async #loginLive(user: string, entrance: Entrance<Data>): Promise<boolean> {
    const changes = this.#fields.changes()
    await this.#check(changes)
    const before = { user: this.user, key: this.key, at: this.#life.meta.startedAt + 1 }
    await entrance.enter(this.key)
    const result = await this.#life.login(user, { fields: new Map([...changes, ...entrance.fields]) })
    if (result.outcome !== 'applied') return false
    this.#fields.applied(changes, result.version)
    await this.#settle(entrance)
    if (before.user !== null && before.user !== user) await leave(this.#engine, before.user, [before])
    this.#engine.events.emit('login', { key: this.key, user })
    return true
  }

  #entrance(user: string, client?: string): Entrance<Data> {
    const { clientLabel } = this.#engine.policy
    const label = client === undefined ? this.#request && labelOf(this.#request, clientLabel) : toLabel(client)
    return new Entrance(this.#engine, user, label ?? '')
  }

  /** A login that may not stand ends its session, before anybody is given its token. */
  async #settle(entrance: Entrance<Data>): Promise<void> {
    try {
      await entrance.settle(this.key)
    } catch (error) {
      await this.#end('revoked').catch(() => this.#becomeEmpty()) // nobody will have the token of what is left
      if (error instanceof SojournError && error.status === 503) this.#life.cookies.set({}) // it says nothing about a session
      throw error
    }
  }

  async #end(reason: EndReason): Promise<void> {
    this.#life.assertAttached()
    if (this.#life.kind === 'live') {
      const { key, user } = this
      const { carried, generation, isUnattended } = this.#life
      await this.#life.twin?.leave()
      const end = { key, user, reason, carried, ...(isUnattended ? {} : { generation }) }
      if ((await endSession(this.#engine, end)) === 'superseded') throw new SessionSupersededError()
      // Nobody waits for it: what stays listed is passed over.
      if (user !== null) void leave(this.#engine, user, [{ key, at: Infinity }])
    }
    await this.#becomeEmpty()
    if (this.#isPresented) this.#life.cookies.set({ clear: true })
  }

  async #becomeEmpty(): Promise<void> {
    this.#fields.restart(await this.#engine.initial())
    this.#life.becomeNew()
  }

  /** What it held may be another user's, so that no change of it goes into the session that `login` makes. */
  async #leaveDeadSession(): Promise<void> {
    const fields = this.#fields.changedNames
    if (fields.length > 0) this.#engine.events.emit('changeDropped', { key: this.key, fields })
    await this.#becomeEmpty()
  }

  async #check(changes: FieldChanges, replaced: object = {}, fields: FieldChanges | 'all' = changes): Promise<void> {
    this.#fields.checkSize(changes, this.#engine.policy.bytesMax)
    await this.#engine.assertValid(() => ({ ...this.#fields.toObject(), ...replaced }), fields)
  }

  /** What travels with its client can change only while the client is still to be told. */
  #assertCarriable(): void {
    if (this.#engine.carrying) this.#assertNotSent('a change of a session that travels with its client')
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
