import {
  answerToEnd,
  applyChange,
  type Change,
  type ChangeResult,
  CLEANING_MARGIN_MS,
  type End,
  type EndResult,
  isTombstone,
  type SessionRecord,
  type Store,
  type StoreContext,
  StoreFullError,
  StoreUnavailableError,
  takesPlace,
  type Tombstone,
  type UserSessions,
} from '../../core/index.ts'
import { type Place, TimeHeap } from './heap.ts'
import { estimateBytes, TOMBSTONE_BYTES } from './size.ts'
import { MemoryUsers } from './users.ts'

/** Entries whose time is over that one call removes: more than it can add, and few enough that no call stalls. */
const CLEANED_PER_CALL = 2

/** The bounds of a {@link MemoryStore}. */
export interface MemoryLimits {
  readonly sessionsMax: number
  readonly bytesMax: number
}

interface Entry {
  readonly key: string
  /** `undefined` for a tombstone. */
  readonly record: SessionRecord | undefined
  readonly bytes: number
  ending?: Place<Entry>
  /** Its place among the sessions without a user. */
  idling?: Place<Entry>
}

export class MemoryStore implements Store {
  readonly #limits: MemoryLimits
  readonly #context: StoreContext
  readonly #entries = new Map<string, Entry>()
  /** By when they may be removed. */
  readonly #endings = new TimeHeap<Entry>()
  /** Those without a user, by when they were last seen. */
  readonly #anonymous = new TimeHeap<Entry>()
  readonly #users: MemoryUsers
  #sessionCount = 0
  #bytes = 0
  #anonymousBytes = 0
  #isClosed = false

  constructor(limits: MemoryLimits, context: StoreContext) {
    this.#limits = limits
    this.#context = context
    this.#users = new MemoryUsers(() => context.clock.now())
  }

  get users(): UserSessions {
    return this.#users
  }

  async ready(): Promise<void> {}

  async read(key: string): Promise<SessionRecord | undefined> {
    this.#begin()
    return this.#entries.get(key)?.record
  }

  copy(key: string): SessionRecord | undefined {
    return this.#isClosed ? undefined : this.#entries.get(key)?.record
  }

  async apply(change: Change): Promise<ChangeResult> {
    this.#begin()
    const entry = this.#entries.get(change.key)
    const { result, record } = applyChange(entry?.record, isEnded(entry), change)
    if (record) this.#store(record, entry)
    return result
  }

  async end(end: End): Promise<EndResult> {
    this.#begin()
    const entry = this.#entries.get(end.key)
    const answer = answerToEnd(entry?.record, end)
    if (answer !== 'superseded') this.#bury(end, entry)
    return answer
  }

  async install(whole: SessionRecord | Tombstone): Promise<void> {
    this.#begin()
    const entry = this.#entries.get(whole.key)
    if (isTombstone(whole)) this.#bury(whole, entry)
    else if (takesPlace(entry?.record, isEnded(entry), whole)) this.#store(whole, entry)
  }

  async check(): Promise<void> {
    this.#begin()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#entries.clear()
    this.#endings.clear()
    this.#anonymous.clear()
    this.#users.clear()
  }

  #begin(): void {
    if (this.#isClosed) throw new StoreUnavailableError('the memory store is closed')
    for (let count = 0; count < CLEANED_PER_CALL && this.#removeOver(); count += 1);
  }

  /** Puts a record in the place of `entry`, or changes nothing and throws. */
  #store(record: SessionRecord, entry: Entry | undefined): void {
    const next: Entry = { key: record.key, record, bytes: estimateBytes(record) }
    if (entry) this.#remove(entry)
    const dropped: Entry[] = []
    try {
      if (!entry || next.bytes > entry.bytes) this.#makeRoom(next, dropped)
    } catch (error) {
      if (entry) this.#add(entry)
      throw error
    }
    this.#add(next)
    this.#users.replace(entry?.record, record)
    // A listener may call the store, so it hears of it when the store is whole again.
    for (const { key } of dropped) this.#context.dropped(key)
  }

  #bury({ key, forgetAt }: Tombstone, entry: Entry | undefined): void {
    if (entry) this.#drop(entry)
    const until = entry && isEnded(entry) ? Math.max(forgetAt, entry.ending?.at ?? 0) : forgetAt
    this.#add({ key, record: undefined, bytes: TOMBSTONE_BYTES }, until)
  }

  /** @throws StoreFullError before it drops anything, where dropping would not be enough */
  #makeRoom(next: Entry, dropped: Entry[]): void {
    const { sessionsMax, bytesMax } = this.#limits
    const isOver = (bytes: number, count: number): boolean => bytes + next.bytes > bytesMax || count + 1 > sessionsMax
    while (isOver(this.#bytes, this.#sessionCount) && this.#removeOver());
    if (isOver(this.#bytes - this.#anonymousBytes, this.#sessionCount - this.#anonymous.size)) {
      throw new StoreFullError(
        `the memory store is full: ${this.#sessionCount} sessions, about ${Math.round(this.#bytes / 1024)} KiB, and none to drop that has no user; raise maxSessions or maxBytes, or use a store outside the process`,
      )
    }
    while (isOver(this.#bytes, this.#sessionCount)) {
      const victim = this.#anonymous.first?.thing
      if (!victim) return
      this.#drop(victim)
      dropped.push(victim)
    }
  }

  /** Removes the entry whose time was over first; `false` where there is none. */
  #removeOver(): boolean {
    const first = this.#endings.first
    if (!first || first.at > this.#context.clock.now()) return false
    this.#drop(first.thing)
    return true
  }

  #drop(entry: Entry): void {
    this.#remove(entry)
    this.#users.replace(entry.record, undefined)
  }

  #add(entry: Entry, removableAt: number = (entry.record?.expiresAt ?? 0) + CLEANING_MARGIN_MS): void {
    const { key, record, bytes } = entry
    this.#entries.set(key, entry)
    entry.ending = this.#endings.add(entry, removableAt)
    this.#bytes += bytes
    if (!record) return
    this.#sessionCount += 1
    if (record.user !== null) return
    entry.idling = this.#anonymous.add(entry, record.lastSeenAt)
    this.#anonymousBytes += bytes
  }

  #remove({ key, record, bytes, ending, idling }: Entry): void {
    this.#entries.delete(key)
    if (ending) this.#endings.remove(ending)
    this.#bytes -= bytes
    if (record) this.#sessionCount -= 1
    if (!idling) return
    this.#anonymous.remove(idling)
    this.#anonymousBytes -= bytes
  }
}

function isEnded(entry: Entry | undefined): boolean {
  return entry !== undefined && entry.record === undefined
}
