import { type Entries, FORGET_AT, NEXT, NO_ID, PREVIOUS } from './entries.ts'

/** One bucket for each second of an hour and a bit. */
const BUCKETS = 4096

/** In the word for the previous entry: this is the first of the bucket in the other bits. */
const FIRST_MARK = 0x80000000

/** In 2106; `Infinity` becomes this too. */
const SECOND_MAX = 0xffffffff

/**
 * Finds entries whose time is over without looking at the others: a list of entries for each second of the next hour.
 *
 * An entry stands in the bucket of its second or in an earlier one. When its bucket's turn comes too early, since it
 * was prolonged or ends beyond the hour, it is filed again. So a session that is prolonged with each request costs one
 * word each time and one filing an hour, and so does one that never ends.
 */
export class ExpiryWheel {
  readonly #entries: Entries
  readonly #first = new Uint32Array(BUCKETS)
  /** The second whose bucket is worked on. */
  #hand: number

  constructor(entries: Entries, nowMs: number) {
    this.#entries = entries
    this.#hand = Math.floor(nowMs / 1000)
  }

  get bytesReserved(): number {
    return this.#first.byteLength
  }

  /** Files an entry that is in no bucket. */
  add(id: number, forgetAtMs: number): void {
    const second = toSecond(forgetAtMs)
    this.#entries.set(id, FORGET_AT, second)
    this.#file(id, second)
  }

  /** Changes the time of an entry. */
  change(id: number, forgetAtMs: number): void {
    const second = toSecond(forgetAtMs)
    const before = this.#entries.get(id, FORGET_AT)
    this.#entries.set(id, FORGET_AT, second)
    if (second >= before) return
    this.remove(id)
    this.#file(id, second)
  }

  /** Takes an entry out of its bucket. */
  remove(id: number): void {
    const next = this.#entries.get(id, NEXT)
    const previous = this.#entries.get(id, PREVIOUS)
    if (previous >= FIRST_MARK) this.#first[previous - FIRST_MARK] = next
    else this.#entries.set(previous, NEXT, next)
    if (next !== NO_ID) this.#entries.set(next, PREVIOUS, previous)
  }

  /**
   * Goes on to the present second, in at most so many steps: a step is an entry or an empty bucket.
   *
   * @param onOver must remove the entry whose time is over
   * @returns whether nothing is left to do now
   */
  advance(nowMs: number, stepsMax: number, onOver: (id: number) => void): boolean {
    const now = Math.floor(nowMs / 1000)
    // A clock that was set back, or one that ran on while the process slept: one round meets every bucket.
    this.#hand = Math.min(Math.max(this.#hand, now - BUCKETS), now)
    for (let step = 0; step < stepsMax; step++) {
      const id = this.#first[this.#hand % BUCKETS] ?? NO_ID
      if (id === NO_ID) {
        if (this.#hand === now) return true
        this.#hand++
        continue
      }
      const second = this.#entries.get(id, FORGET_AT)
      if (second <= now) onOver(id)
      else {
        this.remove(id)
        this.#file(id, second)
      }
    }
    return false
  }

  #file(id: number, second: number): void {
    const bucket = Math.min(Math.max(second, this.#hand), this.#hand + BUCKETS - 1) % BUCKETS
    const next = this.#first[bucket] ?? NO_ID
    this.#first[bucket] = id
    this.#entries.set(id, NEXT, next)
    this.#entries.set(id, PREVIOUS, FIRST_MARK + bucket)
    if (next !== NO_ID) this.#entries.set(next, PREVIOUS, id)
  }
}

/** Later rather than earlier, so that nothing is forgotten before its time. */
function toSecond(ms: number): number {
  return Math.min(Math.max(Math.ceil(ms / 1000), 0), SECOND_MAX)
}
