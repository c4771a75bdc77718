import { randomBytes } from 'node:crypto'
import { createKeyRing, createTokenCodec, type TokenCodec } from '../token/index.ts'
import type { CarriedSessions } from './carried.ts'
import { SessionInvalidError } from './errors.ts'
import { type EndReason, EventBus } from './events.ts'
import { ENDS_REMEMBERED_MAX } from './limits.ts'
import { type Policy, type SessionsOptions, toPolicy } from './policy.ts'
import { MovingIn } from './moving/moving-in.ts'
import { fieldOfIssue, type SchemaIssue, type StandardSchema } from './standard-schema.ts'
import type { Clock, Logger, OperationId } from './store.ts'
import { closedError, StoreCalls, within } from './store-calls.ts'
import { Turns } from './turns.ts'

/** What every session of one `createSessions` shares. */
export class Engine<Data extends object> {
  readonly policy: Policy
  readonly clock: Clock
  readonly logger: Logger
  readonly events: EventBus
  readonly tokens: TokenCodec
  readonly store: StoreCalls
  /** Where the store's sessions travel with their clients. */
  readonly carrying: CarriedSessions | undefined
  /** Where another library keeps sessions in the same store. */
  readonly moving: MovingIn<Data> | undefined
  /** Whether the store finds the sessions of a user, and by an index that keys are to leave. */
  readonly findsUsers: boolean
  readonly hasUserIndex: boolean
  readonly turns: Turns = new Turns()
  readonly #slot = randomBytes(9).toString('base64url')
  /** What is to be done when a login elsewhere may have superseded tokens of a session that is held. */
  whenTokensChanged: (key: string) => void = () => {}
  #operationCount = 0
  readonly #ended = new Map<string, EndReason>()
  #closing: Promise<void> | undefined
  readonly #initial: (() => Data) | undefined
  #initialNames: readonly string[] | undefined
  readonly #schema: StandardSchema<Data> | undefined

  constructor(options: SessionsOptions<Data>, { clock, logger }: { clock: Clock; logger: Logger }) {
    this.policy = toPolicy(options)
    this.clock = clock
    this.logger = logger
    this.events = new EventBus(logger)
    const keyRing = createKeyRing(options.secret)
    this.tokens = createTokenCodec(keyRing, this.policy.header?.name ?? this.policy.cookie.name)
    this.#initial = options.initial
    this.#schema = options.schema
    const store = options.store.open({
      keyRing,
      clock,
      logger,
      deadlineMs: this.policy.deadlineMs,
      absoluteTimeoutMs: this.policy.absoluteTimeoutMs,
      cookie: this.policy.cookie,
      dropped: (key) => this.tellEnd(key, null, 'dropped'),
      ended: (key, user, reason) => this.tellEnd(key, user, reason),
      tokensChanged: (key) => this.whenTokensChanged(key),
      raise: (name, event) => this.events.emit(name, event),
    })
    this.carrying = store.carried
    checkCarrying(this.carrying, this.policy)
    this.findsUsers = store.users !== undefined
    this.hasUserIndex = store.users?.leave !== undefined
    if (this.policy.maxSessionsPerUser && !this.findsUsers) {
      throw new TypeError(
        `maxSessionsPerUser needs a store that finds the sessions of a user, which ${options.store.name} cannot`,
      )
    }
    this.moving = store.oldSessions && new MovingIn(this, store.oldSessions)
    this.store = new StoreCalls(store, options.store.name, this.policy.deadlineMs, this.events)
  }

  nextOperation(): OperationId {
    this.#operationCount += 1
    return { slot: this.#slot, count: this.#operationCount }
  }

  /** Raises `ended`, once: a key is drawn at random and never used again. */
  tellEnd(key: string, user: string | null, reason: EndReason): void {
    if (this.#ended.has(key)) return
    this.#ended.set(key, reason)
    const [oldest] = this.#ended.keys()
    if (this.#ended.size > ENDS_REMEMBERED_MAX && oldest !== undefined) this.#ended.delete(oldest)
    this.events.emit('ended', { key, user, reason })
  }

  /** Why a session ended, if this node has told it and remembers. */
  toldEnd(key: string): EndReason | undefined {
    return this.#ended.get(key)
  }

  async ready(): Promise<void> {
    this.assertOpen()
    await this.store.ready()
  }

  get isClosed(): boolean {
    return this.#closing !== undefined
  }

  /** @throws SojournError `closed` once {@link close} was called */
  assertOpen(): void {
    if (this.#closing) throw closedError()
  }

  /** Lets the changes under way, and those that wait for their turn, come to their end within the time; then closes the store. */
  close(deadlineMs: number): Promise<void> {
    this.#closing ??= (async () => {
      const startedAt = performance.now()
      await within(deadlineMs, this.turns.drained())
      await this.store.close(Math.max(1, deadlineMs - (performance.now() - startedAt)))
    })()
    return this.#closing
  }

  /** The data of a new session. */
  async initial(): Promise<object> {
    const values = await this.#makeInitial()
    this.#initialNames ??= Object.keys(values)
    return values
  }

  /** Whether a stored session needs nothing of `initial()`, so that it need not be called: it lacks no field. */
  needsNothingOfInitial(fields: ReadonlyMap<string, unknown>): boolean {
    return this.#initialNames?.every((name) => fields.has(name)) ?? false
  }

  async #makeInitial(): Promise<object> {
    if (this.#initial) return checkInitial(this.#initial())
    if (!this.#schema) return {}
    const result = await this.#schema['~standard'].validate({})
    return result.issues ? {} : result.value
  }

  get hasSchema(): boolean {
    return this.#schema !== undefined
  }

  /** What is wrong with this data, by field; `undefined` for the whole. Empty without a schema. */
  async issues(values: () => object): Promise<ReadonlyMap<string | undefined, SchemaIssue>> {
    const found = new Map<string | undefined, SchemaIssue>()
    if (!this.#schema) return found
    const result = await this.#schema['~standard'].validate(values())
    for (const issue of result.issues ?? []) {
      const field = fieldOfIssue(issue)
      if (!found.has(field)) found.set(field, issue)
    }
    return found
  }

  /** @throws SessionInvalidError when one of these fields, or the whole, does not fit the schema */
  async assertValid(values: () => object, fields: ReadonlyMap<string, unknown> | 'all'): Promise<void> {
    for (const [field, issue] of await this.issues(values)) {
      if (field !== undefined && fields !== 'all' && !fields.has(field)) continue
      const where = field === undefined ? 'the session' : `session field ${JSON.stringify(field)}`
      throw new SessionInvalidError(`${where} does not fit the schema: ${issue.message}`, field)
    }
  }
}

/** @throws TypeError for what a session that travels with its client cannot do */
function checkCarrying(carrying: CarriedSessions | undefined, policy: Policy): void {
  if (!carrying) return
  if (policy.header) throw new TypeError('a sealed session travels in cookies, which a header carrier does not have')
  if (!carrying.rotates && Number.isFinite(policy.rotateEveryMs)) {
    throw new TypeError('rotateEvery needs a memory of the token that was used last; give cookieStore its revocations')
  }
}

/** `() => { views: 0 }` returns nothing, and the fields of an async function's promise are none. */
function checkInitial(values: object): object {
  if (typeof values === 'object' && values !== null && !Array.isArray(values) && !(values instanceof Promise)) {
    return values
  }
  throw new TypeError('initial() must return an object of fields, at once: () => ({ views: 0 }), with the parentheses')
}
