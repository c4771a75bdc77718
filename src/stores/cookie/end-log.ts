import { hash, randomBytes } from 'node:crypto'
import {
  type Change,
  type ChangeResult,
  CLEANING_MARGIN_MS,
  type SessionRecord,
  type Store,
  type StoreContext,
  StoreTimeoutError,
} from '../../core/index.ts'
import type { Version } from '../../token/index.ts'
import { LOG_KEPT_MS, READS_AT_ONCE, RING_SIZE } from './limits.ts'

/** Where a reader stands. */
export interface LogPlace {
  /** The number of the next entry. */
  readonly length: number
  /** What an append compares: the stamp of `length`. */
  readonly stamp: Version
}

/** An entry and its number; the first entry of all has some number, and each next one more. */
export type NumberedEntry = readonly [number: number, text: string]

/** Entries, oldest first, and where the log stands after them. */
export interface LogReading {
  readonly place: LogPlace
  readonly entries: readonly NumberedEntry[]
}

/** Whom the log's records belong to, so that no store takes them for visitors without a login, which it may drop. */
const OWNER = 'sojourn'
const COUNT_FIELD = 'n'
/** Where the clock of first positions begins. */
const CLOCK_START_MS: number = Date.UTC(2020, 0, 1)

/**
 * An append-only log in any store, by nothing but its `read` and `apply`: one record is a ring of the last entries and
 * their count, which an append compares and sets; each full round of the ring is copied to a record of its own, which
 * ends when nothing in it can matter any more.
 *
 * A new log does not begin at 0 but where a clock stands that runs faster than sessions end, so that a log in a store
 * that lost the one before is still longer than any place in that.
 */
export class EndLog {
  readonly #store: Store
  readonly #context: StoreContext
  readonly #name: string
  readonly #slot = randomBytes(9).toString('base64url')
  #count = 0

  constructor(store: Store, context: StoreContext) {
    this.#store = store
    this.#context = context
    this.#name = `sojourn ends of ${context.cookie.name}`
  }

  /** All entries that may still matter. */
  async readAll(): Promise<LogReading> {
    const { place, entries } = await this.#ring()
    const first = entries[0]?.[0] ?? place.length
    const found: NumberedEntry[][] = []
    for (let round = roundOf(first - 1); ; round -= READS_AT_ONCE) {
      const rounds = await this.#rounds(round - READS_AT_ONCE + 1, round)
      const kept = rounds.slice(rounds.lastIndexOf(undefined) + 1)
      found.push(...(kept.toReversed() as NumberedEntry[][]))
      if (kept.length < READS_AT_ONCE) break
    }
    return {
      place,
      entries: [
        ...found
          .toReversed()
          .flat()
          .filter(([n]) => n < first),
        ...entries,
      ],
    }
  }

  /** The entries from this number on. A number that the log has not reached means that it was lost: then all of its ring. */
  async readSince(number: number): Promise<LogReading> {
    const { place, entries } = await this.#ring()
    if (number > place.length) return { place, entries }
    const first = entries[0]?.[0] ?? place.length
    const missed = number < first ? await this.#rounds(roundOf(number), roundOf(first - 1)) : []
    const older = missed.flatMap((round) => round ?? []).filter(([n]) => n < first)
    return { place, entries: [...older, ...entries].filter(([n]) => n >= number) }
  }

  /** How many entries the next append takes. */
  roomAt({ length }: LogPlace): number {
    return RING_SIZE - (length % RING_SIZE)
  }

  /** @returns where the log stands then, or `undefined` where it has gone on since that place */
  async append(place: LogPlace, entries: readonly string[]): Promise<LogPlace | undefined> {
    const { length, stamp } = place
    if (length % RING_SIZE === 0 && !(await this.#keepRound(length))) return undefined
    const fields = new Map(entries.map((entry, n) => [String((length + n) % RING_SIZE), entry]))
    const next = length + entries.length
    fields.set(COUNT_FIELD, String(next))
    const result = await this.#apply(
      this.#keyOf('ring'),
      { fields, expect: { field: COUNT_FIELD, stamp } },
      LOG_KEPT_MS,
    )
    return result.outcome === 'applied' ? { length: next, stamp: result.version } : undefined
  }

  /** What is in the ring; makes the log where there is none. */
  async #ring(): Promise<LogReading> {
    const key = this.#keyOf('ring')
    let record = await this.#read(key)
    if (!record) {
      const sinceMs = Math.max(0, this.#context.clock.now() - CLOCK_START_MS)
      const fields = new Map([[COUNT_FIELD, String(Math.floor(sinceMs / 1000) * RING_SIZE)]])
      await this.#apply(key, { create: true, fields, login: { user: OWNER } }, LOG_KEPT_MS) // or another node did
      record = await this.#read(key)
    }
    const count = record?.fields.get(COUNT_FIELD)
    if (!record || !count) throw new Error('the log of ended sessions is not in the store that it was just written to')
    const length = Number(count.value)
    return { place: { length, stamp: count.stamp }, entries: entriesOf(record, length) }
  }

  /** Copies the ring, which is about to be overwritten, to a record of its own. */
  async #keepRound(length: number): Promise<boolean> {
    const record = await this.#read(this.#keyOf('ring'))
    if (record?.fields.get(COUNT_FIELD)?.value !== String(length)) return false
    const entries = entriesOf(record, length)
    if (entries.length < RING_SIZE) return true // a new log: nothing is overwritten yet
    const fields = new Map([['entries', entries.map(([, text]) => text).join('\n')]])
    const key = this.#keyOf(String(roundOf(length - 1)))
    const keptMs = this.#context.absoluteTimeoutMs + CLEANING_MARGIN_MS
    await this.#apply(key, { create: true, fields, login: { user: OWNER } }, keptMs) // `gone` where it was kept before
    return true
  }

  /** Kept rounds, the last included; `undefined` for one that is not there. */
  #rounds(first: number, last: number): Promise<(NumberedEntry[] | undefined)[]> {
    const rounds = Array.from({ length: Math.max(0, last - first + 1) }, (_, n) => first + n)
    return Promise.all(
      rounds.map(async (round) => {
        const record = await this.#read(this.#keyOf(String(round)))
        const texts = record?.fields.get('entries')?.value?.split('\n')
        return texts?.map((text, n): NumberedEntry => [round * RING_SIZE + n, text])
      }),
    )
  }

  #keyOf(part: string): string {
    return hash('sha256', `${this.#name} ${part}`, 'base64url')
  }

  #read(key: string): Promise<SessionRecord | undefined> {
    return this.#inTime(this.#store.read(key))
  }

  #apply(key: string, parts: Partial<Change>, keptMs: number): Promise<ChangeResult> {
    const now = this.#context.clock.now()
    this.#count += 1
    const operation = { slot: this.#slot, count: this.#count }
    return this.#inTime(this.#store.apply({ key, operation, now, expiresAt: now + keptMs, generation: 1, ...parts }))
  }

  async #inTime<T>(work: Promise<T>): Promise<T> {
    const { deadlineMs } = this.#context
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      const giveUp = (): void =>
        reject(new StoreTimeoutError(`no answer from the store of revocations in ${deadlineMs} ms`))
      timer = setTimeout(() => setImmediate(giveUp), deadlineMs)
    })
    try {
      return await Promise.race([work, late])
    } finally {
      clearTimeout(timer)
    }
  }
}

function roundOf(number: number): number {
  return Math.floor(number / RING_SIZE)
}

/** The last entries of a log of this length; those that were there when it began, if it is new. */
function entriesOf(record: SessionRecord, length: number): NumberedEntry[] {
  const entries: NumberedEntry[] = []
  for (let number = Math.max(0, length - RING_SIZE); number < length; number++) {
    const text = record.fields.get(String(number % RING_SIZE))?.value
    if (typeof text === 'string') entries.push([number, text])
  }
  return entries
}
