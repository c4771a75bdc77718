import { compareVersions, parseVersion, readCookies, type ValidToken, type Version } from '../token/index.ts'
import type { Carried } from './carried.ts'
import { endSession } from './ending.ts'
import type { Engine } from './engine.ts'
import { SessionSupersededError, type SojournError } from './errors.ts'
import { fitted } from './fitting.ts'
import { judgeGeneration } from './generation.ts'
import type { Applied, Opening } from './life.ts'
import type { MovingIn } from './moving/moving-in.ts'
import { OpenSession } from './open-session.ts'
import { endOf, nextEnd, type Policy } from './policy.ts'
import type { SessionRecord } from './record.ts'
import { headerOf, labelOf, type RequestLike } from './request.ts'
import type { Change, ChangeResult, ReadOptions } from './store.ts'
import { type Link, linkOf } from './moving/view.ts'
import { takeSeat } from './seats.ts'
import { encodeLogin, encodeUse, LOGIN_FIELD, loginOf, needsSeat, USE_FIELD, useOf, withoutReserved } from './use.ts'

const SUPERSEDED = (): SojournError => new SessionSupersededError()

/** A token of ours, and who sent it. */
interface Presented extends Pick<ValidToken, 'key' | 'generation' | 'issue' | 'isOfSigner'> {
  readonly token: ValidToken
  readonly request: RequestLike
  /** Where sessions travel with their clients: what came with the token. */
  readonly carriage: { readonly carried?: Carried; readonly header?: string }
}

/** Finds out what a client may open. */
export class Opener<Data extends object> {
  readonly #engine: Engine<Data>

  constructor(engine: Engine<Data>) {
    this.#engine = engine
  }

  /** What a request's cookies open: at once, where the store has a copy and nothing is to be written or fitted. */
  open(request: RequestLike): Opening | Promise<Opening> {
    const { policy, tokens, events, carrying, moving } = this.#engine
    const { token, hint } = carriedBy(request, policy)
    const header = ((carrying ?? moving) && headerOf(request.headers, 'cookie')) ?? ''
    if (token === undefined) return this.#blankOrAdopted(header)

    const reading = tokens.read(token)
    if (reading.kind !== 'valid') {
      events.emit('tokenRefused', { reason: reading.kind })
      return this.#blank({})
    }
    const { key, generation, issue, isOfSigner } = reading
    const carriage = carrying?.read(key, generation, header)
    if (carriage && carriage.kind !== 'valid') {
      if (carriage.kind !== 'none') events.emit('tokenRefused', { reason: carriage.kind })
      return this.#blank(carriage.kind === 'unknownSecret' ? {} : { isPresented: true, header })
    }
    const carried = carriage ? { carried: carriage.carried, header } : {}
    const presented = { token: reading, key, generation, issue, isOfSigner, request, carriage: carried }
    // A hint is of another store where the session is in its cookie.
    const seen = hint === undefined || carriage ? undefined : parseVersion(hint)
    if (moving) return this.#openBeside(moving, presented, seen, header)
    return this.#openCopy(presented, seen) ?? this.#openStored(presented, seen)
  }

  async #openStored(presented: Presented, seen: Version | undefined): Promise<Opening> {
    const stored = await this.#read(presented.key, seen, presented.carriage)
    const judged = await this.#judge(presented, stored)
    const opening = stored && this.#mustTakeSeat(stored) ? await this.#seated(presented, stored, judged) : judged
    return (await fitted(this.#engine, opening)) ?? this.#blankFor(presented)
  }

  /** Where another library keeps sessions too: one of ours may go on beside an old one, and who has none may have an old one. */
  async #openBeside(
    moving: MovingIn<Data>,
    presented: Presented,
    seen: Version | undefined,
    header: string,
  ): Promise<Opening> {
    const opening = await this.#openStored(presented, seen)
    if (opening.detached) return opening
    if (!opening.record) return { ...(await moving.open(header)), isPresented: true }
    return moving.beside(opening, header, async () => {
      const again = await this.#judgeAnew(presented)
      return (await fitted(this.#engine, again)) ?? this.#blankFor(presented)
    })
  }

  /** After another request was faster to take over an old session. */
  async openAfter(lost: Opening, request: RequestLike): Promise<Opening> {
    const { moving } = this.#engine
    return moving ? moving.openAfter(lost, headerOf(request.headers, 'cookie') ?? '') : this.#blank({})
  }

  /** What most requests are: they carry the newest token of a session that was in use before, and write nothing to open it. */
  #openCopy(presented: Presented, seen: Version | undefined): Opening | undefined {
    const { store, policy, clock, hasSchema } = this.#engine
    if (hasSchema) return undefined
    this.#engine.assertOpen()
    const stored = store.copy(presented.key, seen)
    const now = clock.now()
    if (!stored || presented.generation !== stored.generation || endOf(policy, stored) <= now) return undefined
    if (seen && isLost(seen, stored)) return undefined
    const use = useOf(stored, stored.fields.get(USE_FIELD))
    if (use.issue !== presented.issue || this.#mustTakeSeat(stored)) return undefined
    return this.#engine.needsNothingOfInitial(stored.fields)
      ? inUse(presented, toOpening(presented, stored, {}), stored)
      : undefined
  }

  async #judge(presented: Presented, stored: SessionRecord | undefined, isFresh = false): Promise<Opening> {
    if (!stored) return this.#blankFor(presented)
    const { key, generation, isOfSigner } = presented
    const initial = this.#engine.needsNothingOfInitial(stored.fields) ? {} : await this.#engine.initial()
    const opening = { ...toOpening(presented, stored, initial), ...this.#linkIn(stored) }
    switch (judgeGeneration(stored, generation, this.#engine.clock.now())) {
      case 'current':
        return this.#current(presented, stored, opening, isFresh)
      case 'grace':
        return opening
      case 'successor':
        return this.#confirm(presented, { ...opening, isCurrent: true, isOfSigner }, stored)
      case 'superseded':
        this.#engine.events.emit('superseded', { key })
        return this.#blank({ key, detached: SUPERSEDED })
      case 'stolen':
        return this.#stolen(presented, stored, opening, isFresh)
    }
  }

  /** The successor was presented for the first time: it is the current one now, and the grace of its predecessors begins. */
  async #confirm(presented: Presented, opening: Opening, record: SessionRecord): Promise<Opening> {
    const { policy, clock } = this.#engine
    const { generation } = presented
    const now = clock.now()
    const graceEndsAt = now + policy.graceMs
    const use = encodeUse({ generation, issue: 0, label: this.#labelOf(presented) })
    const result = await this.#apply(presented, record, now, {
      generation,
      confirm: { generation, graceEndsAt },
      fields: new Map([[USE_FIELD, use]]),
    })
    if (result.outcome !== 'applied') return this.#lost(presented, result)
    const used = { ...record, generation, version: result.version, lastSeenAt: now, retired: [graceEndsAt] }
    const isPending = result.pending && result.generation === generation
    return {
      ...opening,
      ...carriedIn(result),
      isUsed: true,
      record: used,
      ...(isPending ? { successor: generation + 1 } : {}),
    }
  }

  /**
   * The newest generation that was presented. Everybody who presents the one before is given it, in an issue of his own:
   * the browser again whose answer was lost, and a thief. When it was settled long ago that all answers on their way
   * have arrived, a browser has one issue of it left, and the first that is presented then is the only good one.
   */
  async #current(presented: Presented, stored: SessionRecord, opening: Opening, isFresh: boolean): Promise<Opening> {
    const { generation, issue } = presented
    const field = stored.fields.get(USE_FIELD)
    const use = useOf(stored, field)
    if (use.issue !== 0 && use.issue !== issue) return this.#stolen(presented, stored, opening, isFresh)
    if (stored.isStale) return inUse(presented, opening, { pending: false })
    const current = inUse(presented, opening, stored)
    const now = this.#engine.clock.now()
    const settlesAt = (stored.retired[0] ?? 0) + this.#engine.policy.graceMs
    if (use.issue !== 0 || issue === 0 || generation === stored.floor || now <= settlesAt) return current

    const settled = encodeUse({ generation, issue, label: this.#labelOf(presented) })
    const result = await this.#apply(presented, stored, now, {
      generation,
      expect: { field: USE_FIELD, stamp: field?.stamp ?? null },
      fields: new Map([[USE_FIELD, settled]]),
    })
    if (result.outcome === 'conflict') {
      return this.#judgeAnew(presented)
    }
    if (result.outcome !== 'applied') return this.#lost(presented, result)
    const record = { ...stored, version: result.version, lastSeenAt: now }
    return { ...current, ...carriedIn(result), isUsed: true, record }
  }

  async #judgeAnew(presented: Presented): Promise<Opening> {
    const { key, carriage } = presented
    return this.#judge(presented, await this.#read(key, undefined, { ...carriage, fresh: true }), true)
  }

  /** By a copy that is behind a little nobody is called a thief. */
  async #stolen(presented: Presented, stored: SessionRecord, opening: Opening, isFresh: boolean): Promise<Opening> {
    if (!isFresh) return this.#judgeAnew(presented)
    const { key, generation } = presented
    const heldBy = useOf(stored, stored.fields.get(USE_FIELD)).label
    const presentedBy = this.#labelOf(presented)
    this.#engine.events.emit('stolen', { key, user: stored.user, generation, presentedBy, heldBy })
    if (this.#engine.policy.onStolen === 'report') return { ...opening, isCurrent: false }
    await new OpenSession(this.#engine, { ...opening, unattended: true }).end('stolen')
    return this.#blankFor(presented)
  }

  #mustTakeSeat(stored: SessionRecord): boolean {
    return this.#engine.policy.maxSessionsPerUser !== undefined && stored.user !== null && needsSeat(stored)
  }

  /** The token of a login was presented: from now on the session counts among its user's. */
  async #seated(presented: Presented, stored: SessionRecord, opening: Opening): Promise<Opening> {
    const { key, user, startedAt } = stored
    const { record, generation } = opening
    if (!record || user === null || generation === undefined) return opening
    if (!(await takeSeat(this.#engine, { user, key, at: startedAt }))) {
      await endSession(this.#engine, { key, user, record: stored, reason: 'refused', generation })
      return this.#blankFor(presented)
    }
    const now = this.#engine.clock.now()
    const login = encodeLogin({ ...loginOf(stored), needsSeat: false })
    const parts = { generation, fields: new Map([[LOGIN_FIELD, login]]) }
    const result = await this.#apply(presented, record, now, parts)
    if (result.outcome !== 'applied') return this.#lost(presented, result)
    return { ...opening, isUsed: true, record: { ...record, version: result.version, lastSeenAt: now } }
  }

  #apply(
    { carriage }: Presented,
    { key, startedAt }: SessionRecord,
    now: number,
    parts: Pick<Change, 'generation' | 'confirm' | 'expect' | 'fields'>,
  ): Promise<ChangeResult> {
    const { policy, turns, store } = this.#engine
    return turns.run(key, () => {
      const expiresAt = nextEnd(policy, now, startedAt)
      const change = { key, operation: this.#engine.nextOperation(), now, expiresAt, ...parts }
      return store.call('apply', (store) => store.apply(change, carriage.carried))
    })
  }

  /** A login, or an end, came in between. */
  #lost(presented: Presented, { outcome }: ChangeResult): Promise<Opening> {
    if (outcome === 'superseded') return this.#blank({ key: presented.key, detached: SUPERSEDED })
    return this.#blankFor(presented)
  }

  #blankFor({ carriage: { header } }: Presented): Promise<Opening> {
    return this.#blank({ isPresented: true, ...(header === undefined ? {} : { header }) })
  }

  #linkIn(stored: SessionRecord): Pick<Opening, 'link'> {
    return this.#engine.moving ? { link: linkOf(stored) } : {}
  }

  /** A client without a token of ours may have a session of another library. */
  #blankOrAdopted(header: string): Promise<Opening> {
    const { carrying, moving } = this.#engine
    if (moving) return moving.open(header)
    const adopted = carrying?.adopt?.(header)
    return this.#blank(adopted ? { adopted, header } : {})
  }

  #labelOf({ request }: Presented): string {
    return labelOf(request, this.#engine.policy.clientLabel)
  }

  /** Nothing is stored that this client may see. */
  async #blank(rest: Omit<Opening, 'initial'>): Promise<Opening> {
    return { ...rest, initial: await this.#engine.initial() }
  }

  /** The record, unless its time is over. */
  async read(key: string, options: Pick<ReadOptions, 'fresh'> = {}): Promise<SessionRecord | undefined> {
    const record = await this.#read(key, undefined, options)
    return record && withoutReserved(record)
  }

  /** The same, for whoever goes on with it outside a request. */
  async find(
    key: string,
    options: Pick<ReadOptions, 'fresh'> = {},
  ): Promise<{ key: string; record: SessionRecord; link?: Link | undefined } | undefined> {
    const record = await this.#read(key, undefined, options)
    return record && { key, record: withoutReserved(record), ...this.#linkIn(record) }
  }

  async #read(
    key: string,
    seen?: Version,
    { carried, fresh }: Pick<ReadOptions, 'carried' | 'fresh'> = {},
  ): Promise<SessionRecord | undefined> {
    const { store, clock, policy, events } = this.#engine
    this.#engine.assertOpen()
    const record = await store.call('read', (store) =>
      store.read(key, {
        ...(seen ? { atLeast: seen } : {}),
        ...(carried ? { carried } : {}),
        ...(fresh ? { fresh } : {}),
      }),
    )
    if (!record && seen) events.emit('stale', { key, seen, stored: null })
    if (!record || endOf(policy, record) <= clock.now()) return undefined
    if (seen && isLost(seen, record)) events.emit('stale', { key, seen, stored: record.version })
    return record
  }
}

/** Whether no history that leads to this record has the version. */
function isLost(seen: Version, { version, forkedFrom }: SessionRecord): boolean {
  if (compareVersions(seen, version) > 0) return true
  return forkedFrom !== undefined && seen.incarnation < version.incarnation && compareVersions(seen, forkedFrom) > 0
}

function toOpening(presented: Presented, record: SessionRecord, initial: object): Opening {
  const { key, token, generation, carriage } = presented
  return { ...carriage, initial, isPresented: true, token, key, generation, record }
}

/** The newest generation was presented. */
function inUse(
  { isOfSigner, generation }: Presented,
  opening: Opening,
  { pending }: Pick<SessionRecord, 'pending'>,
): Opening {
  const successor = pending ? { successor: generation + 1 } : undefined
  return { ...opening, isCurrent: true, isOfSigner, ...successor }
}

function carriedIn({ carried }: Applied): Pick<Opening, 'carried' | 'isToCarry'> {
  return carried ? { carried, isToCarry: true } : {}
}

/** Token and hint, as sent. */
function carriedBy(
  { headers }: RequestLike,
  policy: Policy,
): { token?: string | undefined; hint?: string | undefined } {
  if (policy.header) return policy.header.read((name) => headerOf(headers, name))
  const cookies = headerOf(headers, 'cookie')
  return cookies === undefined ? {} : readCookies(policy.cookie, cookies)
}
