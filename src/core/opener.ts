import { compareVersions, keyOfSelector, parseVersion, readCookies, type Version } from '../token/index.ts'
import { decodeValue } from './codec.ts'
import type { Engine } from './engine.ts'
import { SessionInvalidError, SessionSupersededError, SojournError } from './errors.ts'
import { judgeGeneration } from './generation.ts'
import { type Opening, OpenSession } from './open-session.ts'
import { endOf, nextEnd } from './policy.ts'
import type { SessionRecord } from './record.ts'
import type { ReadOptions } from './store.ts'

const SUPERSEDED = (): SojournError => new SessionSupersededError()
const UNKNOWN_SECRET = (): SojournError =>
  new SojournError(
    'unknown_secret',
    409,
    'the token was made with a secret that this node does not know, so nothing was written; deploy the secrets to every node before one of them signs',
  )

/** Finds out what a client may open. */
export class Opener<Data extends object> {
  readonly #engine: Engine<Data>

  constructor(engine: Engine<Data>) {
    this.#engine = engine
  }

  /** What a request's cookies open. */
  async open(header: string | undefined): Promise<Opening> {
    const { policy, tokens, events, clock, carrying } = this.#engine
    const { token, hint } = header === undefined ? {} : readCookies(policy.cookie, header)
    if (token === undefined) return this.#blankOrAdopted(header)

    const reading = tokens.read(token)
    if (reading.kind !== 'valid') {
      events.emit('tokenRefused', { reason: reading.kind })
      return this.#blank(reading.kind === 'unknownSecret' ? { detached: UNKNOWN_SECRET } : {})
    }
    const { selector, generation } = reading
    const key = keyOfSelector(selector)
    const presented = header ?? ''
    const carriage = carrying?.read(key, generation, presented)
    if (carriage?.kind === 'refused' || carriage?.kind === 'unknownSecret') {
      events.emit('tokenRefused', { reason: carriage.kind })
    }
    if (carriage?.kind === 'unknownSecret') return this.#blank({ detached: UNKNOWN_SECRET })
    if (carriage && carriage.kind !== 'valid') return this.#blank({ isPresented: true, presented })
    const carried = carriage ? { carried: carriage.carried } : {}
    const seen = hint === undefined || carriage ? undefined : parseVersion(hint) // of another store, where the session is here
    const record = await this.read(key, seen, carried)
    if (!record) return this.#blank({ isPresented: true, presented })

    const initial = await this.#engine.initialFor(record.fields)
    const opening: Opening = { initial, isPresented: true, presented, selector, key, generation, record, ...carried }
    switch (judgeGeneration(record, generation, clock.now())) {
      case 'current':
        return this.#valid(record.pending ? { ...opening, successor: generation + 1 } : opening)
      case 'grace':
        return this.#valid(opening)
      case 'successor':
        return this.#confirm(opening, record, generation)
      case 'superseded':
        events.emit('superseded', { key })
        return this.#blank({ key, detached: SUPERSEDED })
      case 'stolen':
        events.emit('stolen', { key, user: record.user, generation })
        await new OpenSession(this.#engine, { ...opening, unattended: true }).end('stolen')
        return this.#blank({ isPresented: true, presented })
    }
  }

  /** The successor was presented for the first time: it is the current one now, and the grace of its predecessors begins. */
  async #confirm(opening: Opening, record: SessionRecord, generation: number): Promise<Opening> {
    const { policy, clock, turns, store } = this.#engine
    const now = clock.now()
    const graceEndsAt = now + policy.graceMs
    const result = await turns.run(record.key, () =>
      store.call('apply', (store) =>
        store.apply(
          {
            key: record.key,
            operation: this.#engine.nextOperation(),
            now,
            expiresAt: nextEnd(policy, now, record.startedAt),
            generation,
            confirm: { generation, graceEndsAt },
          },
          opening.carried,
        ),
      ),
    )
    if (result.outcome === 'superseded') return this.#blank({ key: record.key, detached: SUPERSEDED })
    if (result.outcome !== 'applied') return this.#blank({ isPresented: true, presented: opening.presented ?? '' })
    const isPending = result.pending && result.generation === generation
    const confirmed = {
      ...opening,
      ...(result.carried ? { carried: result.carried } : {}),
      record: { ...record, version: result.version, lastSeenAt: now, retired: [graceEndsAt] },
    }
    return this.#valid(isPending ? { ...confirmed, successor: generation + 1 } : confirmed)
  }

  /** A client without a token of ours may have a session of another library. */
  async #blankOrAdopted(header: string | undefined): Promise<Opening> {
    const adopted = header === undefined ? undefined : this.#engine.carrying?.adopt?.(header)
    return adopted ? this.#blank({ adopted, presented: header ?? '' }) : this.#blank({})
  }

  /** Nothing is stored that this client may see. */
  async #blank(rest: Omit<Opening, 'initial'>): Promise<Opening> {
    return { ...rest, initial: await this.#engine.initial() }
  }

  /** Treats a stored session that does not fit the schema as `onInvalid` says. */
  async #valid(opening: Opening): Promise<Opening> {
    const { key, record } = opening
    if (!record || key === undefined || !this.#engine.hasSchema) return opening
    const session = new OpenSession(this.#engine, opening)
    const issues = await this.#issues(session, record)
    if (issues.size === 0) return opening
    const fields = issues.has(undefined) ? [...record.fields.keys()] : [...issues.keys()].map(String)
    this.#engine.events.emit('invalid', { key, fields })
    switch (this.#engine.policy.onInvalid) {
      case 'error': {
        const [field] = issues.keys()
        throw new SessionInvalidError(`the stored session ${key} does not fit the schema: ${issues.get(field)}`, field)
      }
      case 'end':
        await new OpenSession(this.#engine, { ...opening, unattended: true }).end('invalid')
        return this.#blank({ isPresented: true, presented: opening.presented ?? '' })
      case 'reset-field':
        return { ...opening, initial: await this.#engine.initial(), resetFields: fields }
    }
  }

  /** What is wrong with a stored session, by field. One that is damaged cannot be held against the schema. */
  async #issues(session: OpenSession<Data>, record: SessionRecord): Promise<ReadonlyMap<string | undefined, string>> {
    for (const [name, { value }] of record.fields) {
      try {
        if (value !== null) decodeValue(name, value)
      } catch (error) {
        return new Map([[name, String(error)]])
      }
    }
    const issues = await this.#engine.issues(() => ({ ...session.data }))
    return new Map([...issues].map(([field, { message }]) => [field, message]))
  }

  /** The record, unless its time is over. */
  async read(
    key: string,
    seen?: Version,
    carried: Pick<ReadOptions, 'carried'> = {},
  ): Promise<SessionRecord | undefined> {
    const { store, clock, policy, events } = this.#engine
    this.#engine.assertOpen()
    const record = await store.call('read', (store) => store.read(key, seen ? { atLeast: seen, ...carried } : carried))
    if (!record || endOf(policy, record) <= clock.now()) return undefined
    if (seen && compareVersions(seen, record.version) > 0) events.emit('stale', { key, seen, stored: record.version })
    return record
  }
}
