import { type Entries, FORGET_AT, NEXT, NO_ID, PREVIOUS } from './entries.ts'

/** One bucket for each second of an hour and a bit. */
const BUCKETS = 4096

/** In the word for the previous entry: this is the first of the bucket in the other bits. */
const FIRST_MARK = 0x80000000

/** Says "never" where a second is expected; the last second that 32 bits hold, in 2106, says so too. */
const NEVER = 0xffffffff

/**
 * Finds entries whose time is over without looking at the others: a list of entries for each second of the next hour.
 *
 * An entry stands in the bucket of its second or in an earlier one. When its bucket's turn comes too early, since it
 * was prolonged or ends beyond the hour, it is filed again. So a session that is prolonged with each request costs one
 * word each time and one filing an hour.
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
    if (second >= before && before !== NEVER) return
    this.#unfile(id)
    this.#file(id, second)
  }

  remove(id: number): void {
    this.#unfile(id)
  }

  /** Whether the time of an entry is over. */
  isOver(id: number, nowMs: number): boolean {
    return this.#entries.get(id, FORGET_AT) <= Math.floor(nowMs / 1000)
  }
}

/** Later rather than earlier, so that nothing is forgotten before its time. */
function toSecond(ms: number): number {
  return Math.min(Math.max(Math.ceil(ms / 1000), 0), NEVER)
}
