import { CLEANING_MARGIN_MS, isTombstone } from '../../core/index.ts'
import { DecodedCache } from './decoded-cache.ts'
import type { Holding } from './protocol/messages.ts'
import type { RecordMap } from './protocol/node.ts'
import { decodeRecord, encodeRecordInPlace, keyOfBytes, keyToBytes } from './record-codec.ts'
import { RecordMemory, type RecordMemoryOptions } from './slab/record-memory.ts'

/** Entries that one cleaning looks at. */
const CLEANED_PER_TICK = 256

/**
 * A node's records, encoded, outside the heap that the collector walks; and those in use decoded, so that what is asked for
 * again is the same object: a record and its fields never change, they are replaced.
 */
export class EncodedRecords implements RecordMap {
  readonly #memory: RecordMemory
  readonly #decoded = new DecodedCache()

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
    this.#memory.put(bytes, forgetAtMs, isTombstone(holding) ? 'tombstone' : 'session')
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

  /** Forgets some of what has come to its end. */
  clean(nowMs: number): void {
    this.#memory.tick(nowMs, CLEANED_PER_TICK, (bytes) => this.#decoded.delete(keyOfBytes(bytes)))
  }
}
