import { randomInt } from 'node:crypto'
import { CLEANING_MARGIN_MS, isTombstone, type UserEntry } from '../../core/index.ts'
import { DecodedCache } from './decoded-cache.ts'
import type { Holding } from './protocol/messages.ts'
import type { RecordMap } from './protocol/node.ts'
import { decodeLife, decodeRecord, encodeRecordInPlace, keyOfBytes, keyToBytes } from './record-codec.ts'
import { NO_TAG } from './slab/entries.ts'
import { isUserRecord } from './protocol/user-record.ts'
import { RecordMemory, type RecordMemoryOptions } from './slab/record-memory.ts'

/** Entries that one cleaning looks at. */
const CLEANED_PER_TICK = 256

/** Entries that one step of a search for a user looks at, and sessions of which it reads the user: a millisecond or two each. */
const SEARCHED_PER_STEP = 1_000_000
const READ_PER_STEP = 1_000

/**
 * A node's records, encoded, outside the heap that the collector walks; and those in use decoded, so that what is asked for
 * again is the same object: a record and its fields never change, they are replaced.
 */
export class EncodedRecords implements RecordMap {
  readonly #memory: RecordMemory
  readonly #decoded = new DecodedCache()
  /** Drawn at each start, so that nobody can choose users with one tag. */
  readonly #tagSeed = randomInt(2 ** 32)

  /** The bounds say from where on a node takes no more of its own accord; what others hand to it is kept all the same. */
  constructor(options: RecordMemoryOptions) {
    this.#memory = new RecordMemory(options)
  }

  get size(): number {
    const { sessions, tombstones } = this.#memory.stats
    return sessions + tombstones
  }

  get isFull(): boolean {
    return this.#memory.isFull
  }

  get stats(): RecordMemory['stats'] {
    return this.#memory.stats
  }

  get(key: string): Holding | undefined {
    const known = this.#decoded.get(key)
    if (known) return known
    const bytes = this.#memory.get(keyToBytes(key))
    if (!bytes) return undefined
    const holding = decodeRecord(bytes)
    this.#decoded.set(key, holding, bytes.length)
    return holding
  }

  set(key: string, holding: Holding): void {
    const forgetAtMs = isTombstone(holding) ? holding.forgetAt : holding.expiresAt + CLEANING_MARGIN_MS
    const bytes = encodeRecordInPlace(holding)
    const isSession = !isTombstone(holding) && !isUserRecord(holding)
    const tag = isSession && holding.user !== null ? this.#tagOf(holding.user) : NO_TAG
    this.#memory.put(bytes, forgetAtMs, isSession ? 'session' : 'tombstone', tag)
    this.#decoded.set(key, holding, bytes.length)
  }

  delete(key: string): void {
    this.#decoded.delete(key)
    this.#memory.delete(keyToBytes(key))
  }

  scan(cursor: number, count: number, visit: (key: string, holding: Holding) => void): number | undefined {
    const found: Holding[] = []
    const next = this.#memory.scan(cursor, count, (bytes) => found.push(decodeRecord(bytes)))
    for (const holding of found) visit(holding.key, holding) // who visits may change the memory
    return next
  }

  /**
   * A step of a search for the sessions of a user, by when he logged in; what was there all the time is never missed.
   *
   * @param cursor 0, then what the call before returned
   * @returns the next cursor, or `undefined` at the end
   */
  searchUser(user: string, cursor: number, visit: (entry: UserEntry) => void): number | undefined {
    const tag = this.#tagOf(user)
    const end = cursor + SEARCHED_PER_STEP
    let next: number | undefined = cursor
    const see = (bytes: Buffer): void => {
      const life = decodeLife(bytes)
      if (life?.user === user) visit({ key: life.key, at: life.startedAt })
    }
    for (let count = 0; count < READ_PER_STEP && next !== undefined && next < end; count++) {
      next = this.#memory.scanTag(tag, next, end - next, see)
    }
    return next
  }

  /** Never {@link NO_TAG}. */
  #tagOf(user: string): number {
    let hash = this.#tagSeed
    for (let index = 0; index < user.length; index++) {
      hash = Math.imul(hash ^ user.charCodeAt(index), 0x9e3779b1)
      hash ^= hash >>> 15
    }
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    return (hash ^ (hash >>> 13)) >>> 0 || 1
  }

  /** Forgets some of what has come to its end. */
  clean(nowMs: number): void {
    this.#memory.tick(nowMs, CLEANED_PER_TICK, (bytes) => this.#decoded.delete(keyOfBytes(bytes)))
  }
}
