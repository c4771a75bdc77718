import { KEY_BYTES } from '../record-codec.ts'
import { type BlockDescription, Blocks } from './blocks.ts'
import { Entries, LOCATION, NO_ID, NO_TAG } from './entries.ts'
import { ExpiryWheel } from './expiry-wheel.ts'
import { KeyIndex } from './key-index.ts'

/** What one entry takes beside its block, with the index at its usual fill: 20 bytes of words, 8 in the index at 1/2. */
const ENTRY_BYTES = 36

/** A tombstone keeps an ended session from coming back. */
export type EntryKind = 'session' | 'tombstone'

export interface RecordMemoryOptions {
  /** Sessions from which on it {@link RecordMemory.isFull}; tombstones do not count. Default: no bound. */
  readonly sessionsMax?: number | undefined
  /** Bytes from which on it {@link RecordMemory.isFull}, as {@link RecordMemoryStats.bytesUsed} counts them. Default: no bound. */
  readonly bytesMax?: number | undefined
  /** The present time, in milliseconds since 1970. */
  readonly nowMs: number
}

export interface RecordMemoryStats {
  readonly sessions: number
  readonly tombstones: number
  /** Bytes of the records as they were put. */
  readonly bytesLive: number
  /** What they take: blocks, and {@link ENTRY_BYTES} each for the indexes. */
  readonly bytesUsed: number
  /** All buffers that are held, their free parts included; what was never written to is not resident. */
  readonly bytesReserved: number
}

/** A view of a record, or the end of its use: valid until the next change of the memory. Copy it to keep it. */
export type RecordVisitor = (record: Buffer) => void

/**
 * Encoded records by key, in buffers outside the heap that the collector walks: a million of them are a few thousand
 * objects to it.
 *
 * Any call does a bounded amount of work: the largest step is rebuilding one segment of the index (see
 * {@link KeyIndex}) or copying one record. Records may come, change and go at any time, during a scan too. Pure: no
 * timers, and the clock comes in.
 *
 * An index by user is not here, but a tag of four bytes for each entry, through which {@link scanTag} looks at a million
 * entries in a millisecond or two.
 */
export class RecordMemory {
  readonly #sessionsMax: number
  readonly #bytesMax: number
  readonly #keyBytes = new Uint8Array(KEY_BYTES)
  readonly #keyWords = new Uint32Array(this.#keyBytes.buffer)
  readonly #entries = new Entries()
  readonly #blocks = new Blocks((id, location) => this.#entries.set(id, LOCATION, location))
  readonly #index = new KeyIndex((id) => this.#blocks.startsWith(this.#entries.get(id, LOCATION), this.#keyWords))
  readonly #wheel: ExpiryWheel
  #entryCount = 0
  #sessionCount = 0
  #blockBytes = 0
  #recordBytes = 0

  constructor({ sessionsMax = Infinity, bytesMax = Infinity, nowMs }: RecordMemoryOptions) {
    this.#sessionsMax = sessionsMax
    this.#bytesMax = bytesMax
    this.#wheel = new ExpiryWheel(this.#entries, nowMs)
  }

  /** Whether nothing that takes more room should be put in any more; what is put in all the same is kept. */
  get isFull(): boolean {
    return this.#sessionCount >= this.#sessionsMax || this.#bytesUsed >= this.#bytesMax || this.#blocks.isExhausted
  }

  get stats(): RecordMemoryStats {
    return {
      sessions: this.#sessionCount,
      tombstones: this.#entryCount - this.#sessionCount,
      bytesLive: this.#recordBytes,
      bytesUsed: this.#bytesUsed,
      bytesReserved:
        this.#blocks.bytesReserved +
        this.#entries.bytesReserved +
        this.#index.bytesReserved +
        this.#wheel.bytesReserved,
    }
  }

  /** The record with this key: a view that is void after the next change. */
  get(key: Uint8Array): Buffer | undefined {
    const id = this.#index.find(this.#hash(key))
    return id === NO_ID ? undefined : this.#blocks.read(this.#entries.get(id, LOCATION))
  }

  /**
   * Puts in a record, in the place of the one with its key if there is one.
   *
   * @param record begins with its key; it is copied
   * @param forgetAtMs from when on `tick` may remove it, in milliseconds since 1970; it does so up to a second later
   * @param tag what `scanTag` finds it by, 32 bits; 0: by nothing
   * @throws RangeError for a record shorter than a key, or a time that is `NaN`, or where no buffer can be added
   */
  put(record: Uint8Array, forgetAtMs: number, kind: EntryKind = 'session', tag: number = NO_TAG): void {
    if (Number.isNaN(forgetAtMs)) throw new RangeError('forgetAtMs is not a number')
    const hash = this.#hash(record)
    const id = this.#index.find(hash)
    const old = id === NO_ID ? undefined : this.#blocks.describe(this.#entries.get(id, LOCATION))
    const blockBytes = this.#blocks.blockBytes(record.length)

    const isMarked = kind === 'tombstone'
    const before = this.#entries.get(id, LOCATION)
    const location = old?.blockBytes === blockBytes ? before : this.#blocks.allocate(record.length)
    const entry = old ? id : this.#entries.add()
    this.#blocks.write(location, entry, record, isMarked)
    this.#entries.set(entry, LOCATION, location)
    this.#entries.tag(entry, tag)
    if (old) {
      if (location !== before) this.#blocks.free(before)
      this.#wheel.change(entry, forgetAtMs)
      this.#count(old, -1)
    } else {
      this.#index.add(hash, entry)
      this.#wheel.add(entry, forgetAtMs)
    }
    this.#count({ length: record.length, isMarked, blockBytes }, 1)
  }

  /** Whether there was one. */
  delete(key: Uint8Array): boolean {
    const hash = this.#hash(key)
    const id = this.#index.find(hash)
    if (id !== NO_ID) this.#remove(id, hash)
    return id !== NO_ID
  }

  /**
   * Looks at so many places from `cursor` on and shows the records there. A record that is there from the first call
   * of a scan to its last is shown once, whatever changes meanwhile; one that comes or goes during the scan may be shown.
   *
   * @param cursor 0, then what the call before returned
   * @returns the next cursor, or `undefined` at the end
   */
  scan(cursor: number, placesMax: number, visit: RecordVisitor): number | undefined {
    let id = cursor
    for (let place = 0; place < placesMax && id < this.#entries.end; place++) {
      if (this.#entries.isInUse(id)) visit(this.#blocks.read(this.#entries.get(id, LOCATION)))
      id = this.#entries.following(id)
    }
    return id < this.#entries.end ? id : undefined
  }

  /** As {@link scan}, but shows the first record with this tag at most: the others cost it next to nothing. */
  scanTag(tag: number, cursor: number, placesMax: number, visit: RecordVisitor): number | undefined {
    const end = Math.min(this.#entries.end, cursor + placesMax)
    const id = this.#entries.findTag(tag, cursor, end)
    if (id < end) visit(this.#blocks.read(this.#entries.get(id, LOCATION)))
    const next = Math.min(id + 1, end)
    return next < this.#entries.end ? next : undefined
  }

  /**
   * Removes records whose time is over.
   *
   * @param stepsMax the work to do at most; a step is a record, or a second that has passed
   * @param visit sees each record before it is removed, and must not change the memory
   * @returns whether nothing is left to do now; else call again soon
   */
  tick(nowMs: number, stepsMax: number, visit?: RecordVisitor): boolean {
    return this.#wheel.advance(nowMs, stepsMax, (id) => {
      const record = this.#blocks.read(this.#entries.get(id, LOCATION))
      const hash = this.#hash(record)
      visit?.(record)
      this.#remove(id, hash)
    })
  }

  get #bytesUsed(): number {
    return this.#blockBytes + this.#entryCount * ENTRY_BYTES
  }

  #remove(id: number, hash: number): void {
    const location = this.#entries.get(id, LOCATION)
    this.#count(this.#blocks.describe(location), -1)
    this.#index.remove(hash, id)
    this.#wheel.remove(id)
    this.#entries.remove(id)
    this.#blocks.free(location)
    if (this.#entryCount === 0) this.#blocks.trim()
  }

  #count({ length, isMarked, blockBytes }: BlockDescription, sign: 1 | -1): void {
    this.#entryCount += sign
    if (!isMarked) this.#sessionCount += sign
    this.#blockBytes += sign * blockBytes
    this.#recordBytes += sign * length
  }

  /** Keeps the key for {@link KeyIndex} to compare, and mixes it, since placement in the fleet may go by a part of it. */
  #hash(record: Uint8Array): number {
    if (record.length < KEY_BYTES) throw new RangeError(`a record begins with ${KEY_BYTES} bytes of key`)
    for (let index = 0; index < KEY_BYTES; index++) this.#keyBytes[index] = record[index] ?? 0
    let hash = 0
    for (const word of this.#keyWords) hash = Math.imul(hash ^ word, 0x9e3779b1) ^ (hash >>> 15)
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    return (hash ^ (hash >>> 13)) >>> 0
  }
}
