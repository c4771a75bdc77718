import { createSelector, keyOfSelector, type ValidToken } from '../token/index.ts'
import type { Adoption, Carried } from './carried.ts'
import { ResponseCookies } from './cookies.ts'
import type { Engine } from './engine.ts'
import { type SojournError, SessionGoneError, SessionSupersededError } from './errors.ts'
import type { Fields } from './old-sessions.ts'
import { nextEnd } from './policy.ts'
import type { SessionRecord } from './record.ts'
import type { HeaderLine } from './session.ts'
import type { Change, ChangeResult } from './store.ts'
import type { Twin } from './moving/twin.ts'
import type { Link } from './moving/view.ts'

/**
 * Where the session of a request stands. `empty`: nothing is stored under its key. `detached`: the token is from before a
 * login; it reads as empty, and only `login` writes.
 */
type Kind = 'empty' | 'live' | 'detached'

type RecordMeta = Pick<
  SessionRecord,
  'version' | 'user' | 'startedAt' | 'createdAt' | 'lastSeenAt' | 'expiresAt' | 'isStale'
>

/** How a session came out of `open`. */
export interface Opening {
  /** Of ours, as it was sent. */
  readonly token?: Pick<ValidToken, 'selector'>
  readonly key?: string
  readonly generation?: number
  readonly record?: SessionRecord
  /** What the client carries, and the Cookie header that it sent. */
  readonly carried?: Carried
  readonly header?: string
  /** Whether the client is to be told what it carries now. */
  readonly isToCarry?: boolean
  /** Taken over from another library. */
  readonly adopted?: Adoption
  /** The old session that it is, in the same store. */
  readonly origin?: { readonly id: string; readonly text: string; readonly fields: Fields }
  /** The old session that goes on beside it, and this request's hold of it. */
  readonly link?: Link | undefined
  readonly twin?: Twin<never>
  /** Who is logged in there by now, where that has changed. */
  readonly userThere?: string | null
  /** A generation to hand out as it is. */
  readonly given?: number
  /** Whether opening it changed it. */
  readonly isUsed?: boolean
  /** Whether the client sent a token of ours. */
  readonly isPresented?: boolean
  /** The generation to hand out, where the client presented its predecessor. */
  readonly successor?: number
  /** Whether the newest generation was presented, by whom it was given to. */
  readonly isCurrent?: boolean
  /** Whether the first of several secrets made the token. */
  readonly isOfSigner?: boolean
  /** Opened outside a request: changes are no use by the visitor. */
  readonly unattended?: boolean
  readonly detached?: () => SojournError
  /** Stored fields that do not fit the schema: they take their initial value, or none. */
  readonly resetFields?: readonly string[]
  readonly initial: object
}

export type Applied = Extract<ChangeResult, { outcome: 'applied' }>

/**
 * What one request knows of a session beside its data: under which key and generation it stands, what the store knows of
 * its user and times, and what its client is to be told. Every change of it goes to the store from here.
 */
export class Life<Data extends object> {
  readonly cookies: ResponseCookies
  readonly isUnattended: boolean
  /** The session of another library that goes on beside it. */
  readonly twin: Twin<Data> | undefined
  readonly #engine: Engine<Data>
  readonly #openedAt: number
  /** What is stored, of a live session. */
  #record: RecordMeta | undefined
  /** Why it is detached. */
  #detached: Opening['detached']
  #token: Opening['token']
  #selector: Buffer | undefined
  #key: string | undefined
  #generation: number
  #carried: Carried | undefined
  /** From then on the token may be rotated: each browser has one issue of it, and its predecessor is not served any more. */
  #rotatesAt: number
  /** From then on a request rotates it. */
  #rotationIsDueAt: number

  constructor(engine: Engine<Data>, opening: Opening) {
    const { record, detached } = opening
    this.#engine = engine
    this.#openedAt = engine.clock.now()
    this.#token = opening.token
    this.#key = opening.key
    this.#generation = opening.generation ?? 1
    this.#rotatesAt = rotatesAt(engine, opening)
    this.#rotationIsDueAt = rotationIsDueAt(engine, opening)
    this.#record = record
    this.#detached = record ? undefined : detached
    this.isUnattended = opening.unattended ?? false
    this.twin = opening.twin ?? engine.moving?.twinOf(opening, () => this.key)
    this.#carried = opening.carried
    const { policy, tokens, carrying } = engine
    const carriage = carrying && { sessions: carrying, header: opening.header ?? '' }
    this.cookies = new ResponseCookies(policy, tokens, opening.successor, carriage)
    if (record && opening.given !== undefined) {
      this.cookies.token = opening.given
      this.cookies.seen = record
    }
    if (record && opening.isToCarry) this.cookies.seen = { carried: opening.carried, version: record.version }
    // Where nothing can be rotated the token itself is signed anew, so that a secret can roll.
    if (record && opening.isOfSigner === false && carrying?.rotates === false) this.cookies.token = this.#generation
  }

  get kind(): Kind {
    if (this.#record) return 'live'
    return this.#detached ? 'detached' : 'empty'
  }

  /** The key, drawn when it is first asked for. */
  get key(): string {
    this.#selector ??= this.#key === undefined ? createSelector() : undefined
    return (this.#key ??= keyOfSelector(this.#selector ?? createSelector()))
  }

  get hasKey(): boolean {
    return this.#key !== undefined
  }

  /** The generation under which the request began, or of its login. */
  get generation(): number {
    return this.#generation
  }

  /** What the client carries, or is to carry. */
  get carried(): Carried | undefined {
    return this.#carried
  }

  get meta(): RecordMeta {
    if (this.#record) return this.#record
    const now = this.#openedAt
    const expiresAt = nextEnd(this.#engine.policy, now, now)
    const version = { incarnation: 0, sequence: 0 }
    return { version, user: null, startedAt: now, createdAt: now, lastSeenAt: now, expiresAt }
  }

  get touchIsDue(): boolean {
    const { policy, clock } = this.#engine
    if (!this.#record || this.#record.isStale) return false
    return clock.now() - this.#record.lastSeenAt >= policy.touchEveryMs
  }

  /** Whether this request is to hand out a successor. */
  get rotationIsDue(): boolean {
    const { clock, carrying } = this.#engine
    const now = clock.now()
    if (!this.#record || this.cookies.token !== undefined || carrying?.rotates === false) return false
    if (this.#record.isStale) return false
    return now >= this.#rotationIsDueAt && now > this.#rotatesAt
  }

  /** Whether {@link rotate} would do anything. */
  get mayRotate(): boolean {
    return this.#record !== undefined && this.#engine.clock.now() > this.#rotatesAt
  }

  /** Whether a token that was to be handed out has been presented meanwhile, when the record is at `generation`. */
  isUsedSuccessor(token: number, generation: number): boolean {
    return token > this.#generation && token <= generation
  }

  /** Sends a change of the session; where it was applied, this request and its client know the new version. */
  async apply(parts: Partial<Change>): Promise<ChangeResult> {
    const { policy, store } = this.#engine
    const { now, expiresAt } = this.#times()
    const began: Change = {
      key: this.key,
      operation: this.#engine.nextOperation(),
      now,
      expiresAt: parts.login ? nextEnd(policy, now, now) : expiresAt,
      generation: this.#generation,
      ...(this.isUnattended ? { unattended: true } : {}),
      ...parts,
    }
    const change = this.twin ? await this.twin.prepare(began, this.#anySelector) : began
    const result = await store.call('apply', (store) => store.apply(change, this.#carried))
    if (this.twin) await this.twin.follow(change, result)
    if (result.outcome === 'applied') this.#carried = result.carried
    if (result.outcome === 'applied' && this.#record) {
      const { user, startedAt, createdAt, isStale = false } = this.#record
      const lastSeenAt = this.isUnattended ? this.#record.lastSeenAt : now
      const endsAt = this.isUnattended ? this.#record.expiresAt : change.expiresAt
      this.#record = { version: result.version, user, startedAt, createdAt, lastSeenAt, expiresAt: endsAt, isStale }
      this.cookies.seen = result
      const { token } = this.cookies
      if (token !== undefined && this.isUsedSuccessor(token, result.generation)) this.cookies.token = undefined
    }
    return result
  }

  /** Stores a session for the first time. */
  async create({ login, ...parts }: Pick<Change, 'fields' | 'login'>): Promise<Applied> {
    const change = { create: true, ...parts, ...(login ? { login } : {}) }
    const result = required(await this.#applyCreation(change))
    const { version, generation } = result
    const { now, expiresAt } = this.#times()
    const user = login?.user ?? null
    const record = { version, user, startedAt: now, createdAt: now, lastSeenAt: now, expiresAt }
    this.#record = record
    this.cookies.set({ token: generation })
    this.cookies.seen = result
    return result
  }

  /** Hands out a successor, together with other changes. */
  async rotate(parts: Pick<Change, 'fields'> = {}): Promise<ChangeResult> {
    const result = await this.apply({ ...parts, rotate: true })
    const isOurs = result.outcome === 'applied' && result.pending && result.generation === this.#generation
    if (isOurs) this.cookies.successor = this.#generation + 1
    return result
  }

  /** Makes a stored session a user's. */
  async login(user: string, parts: Pick<Change, 'fields'>): Promise<ChangeResult> {
    const result = await this.apply({ ...parts, login: { user } })
    if (result.outcome !== 'applied') return result
    this.#generation = result.generation
    this.#neverRotated()
    this.cookies.token = result.generation
    if (this.#record) {
      this.#record = { ...this.#record, user, startedAt: this.#record.lastSeenAt }
    }
    return result
  }

  /** The store's record was read again. */
  reread(record: SessionRecord): void {
    this.#record = record
    this.twin?.reread(record)
  }

  /** Whether the client is to be told nothing. */
  get tellsNothing(): boolean {
    return this.cookies.isEmpty && !this.twin?.hasCookie
  }

  /** The headers for the response, once. */
  takeHeaders(): HeaderLine[] {
    const { startedAt } = this.meta
    const endsAt = startedAt + this.#engine.policy.absoluteTimeoutMs
    const selector = this.cookies.token === undefined ? undefined : this.#anySelector
    const lines = this.cookies.take(selector, endsAt - this.#engine.clock.now())
    const old = this.twin?.takeCookie()
    return old === undefined ? lines : [...lines, ['set-cookie', old], ['cache-control', 'no-store']]
  }

  /** Goes on under a key of its own, with nothing stored. */
  becomeNew(): void {
    this.#record = undefined
    this.#detached = undefined
    this.#token = undefined
    this.#selector = createSelector()
    this.#key = keyOfSelector(this.#selector)
    this.#generation = 1
    this.#carried = undefined
    this.#neverRotated()
    this.cookies.set({})
    this.twin?.becomeNew()
  }

  get #anySelector(): Buffer | undefined {
    return this.#selector ?? this.#token?.selector
  }

  #neverRotated(): void {
    this.#rotatesAt = 0
    this.#rotationIsDueAt = Infinity
  }

  /** @throws SojournError where this request may write nothing */
  assertAttached(): void {
    if (this.#detached) throw this.#detached()
  }

  #times(): { now: number; expiresAt: number } {
    const now = this.#engine.clock.now()
    const startedAt = this.#record?.startedAt ?? now
    return { now, expiresAt: nextEnd(this.#engine.policy, now, startedAt) }
  }

  /** A creation whose fate is unknown is not tried again under the same key, where it would find itself. */
  async #applyCreation(parts: Partial<Change>): Promise<ChangeResult> {
    try {
      return await this.apply(parts)
    } catch (error) {
      this.#selector = createSelector()
      this.#key = keyOfSelector(this.#selector)
      throw error
    }
  }
}

/** @throws where the answer is not `applied` */
export function required(result: ChangeResult): Applied {
  if (result.outcome === 'applied') return result
  throw result.outcome === 'superseded' ? new SessionSupersededError() : new SessionGoneError()
}

/** Twice the grace after the first use of a generation: then all answers with others of its issues have arrived, and the requests of before. */
function rotatesAt<Data extends object>({ policy }: Engine<Data>, { record, isCurrent }: Opening): number {
  if (record && !isCurrent) return Infinity
  const graceEndsAt = record?.retired[0]
  return graceEndsAt === undefined ? 0 : graceEndsAt + policy.graceMs
}

/** A token of a secret that signs no more is due at once. */
function rotationIsDueAt<Data extends object>(
  { policy }: Engine<Data>,
  { record, isCurrent, isOfSigner }: Opening,
): number {
  if (!record || !isCurrent) return Infinity
  if (isOfSigner === false && !policy.header) return 0
  const graceEndsAt = record.generation > record.floor ? record.retired[0] : undefined
  const usedSince = graceEndsAt === undefined ? record.startedAt : graceEndsAt - policy.graceMs
  return usedSince + policy.rotateEveryMs
}
