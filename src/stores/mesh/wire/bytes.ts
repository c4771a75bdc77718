import { isUtf8 } from 'node:buffer'
import { KEY_BYTES, keyToBytes } from '../record-codec.ts'
import type { Version } from '../../../token/index.ts'

/*
 * The bytes of values in a frame:
 *
 *   count, length:  varint, 7 bits a byte, lowest first, at most 2^53 - 1
 *   key:            32 bytes
 *   version:        incarnation and sequence, two varints
 *   near version:   1 + how many changes before another version it is, or 0 and a version
 *   time:           varint of 1 + zigzag(time - base), or 0 and 8 bytes of float64
 *   text:           varint of 2 * bytes, and UTF-8; or of 2 * bytes + 1, and UTF-16 for a text with half a surrogate
 *   id:             varint of 2 * bytes, and the bytes that it is the base64url of; or 1 and a text
 *   list:           its length, then its items
 */

/** Within it the difference of two times, doubled, is a safe integer. */
const TIME_DIFFERENCE_MAX: number = 2 ** 51

/** The writer's buffer, and above how many bytes it is let go after use. */
const SCRATCH_BYTES = 4096
const SCRATCH_BYTES_MAX: number = 64 * 1024

/** Bytes from a peer that are no frame of this protocol. The message says what was wrong with them, never what they were. */
export class WireFormatError extends Error {
  override readonly name: string = 'WireFormatError'
}

/** Writes into one buffer that is used again. A value out of its bounds is a `RangeError`: no node may send it. */
export class Writer {
  #bytes: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
  #at = 0

  /** @param at where to begin, with room left before for what is known at the end */
  start(at: number): void {
    this.#at = at
  }

  get at(): number {
    return this.#at
  }

  /** What was written, from `start` on, copied. */
  finish(start: number): Buffer {
    const bytes = Buffer.from(this.#bytes.subarray(start, this.#at))
    if (this.#bytes.length > SCRATCH_BYTES_MAX) this.#bytes = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
    return bytes
  }

  /** Writes a count so that it ends before `end`; returns where it begins. */
  countBefore(end: number, value: number): number {
    const at = this.#at
    const start = end - countBytes(value)
    this.#at = start
    this.count(value)
    this.#at = at
    return start
  }

  byte(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = value
  }

  bool(value: boolean): void {
    this.byte(value ? 1 : 0)
  }

  count(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is not a count`)
    this.#reserve(8)
    let rest = value
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 0x80) + 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.#at++] = rest
  }

  key(key: string): void {
    this.bytes(keyToBytes(key))
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  version({ incarnation, sequence }: Version): void {
    this.count(incarnation)
    this.count(sequence)
  }

  /** A version that is mostly a few changes before `to`. */
  versionNear(version: Version, to: Version): void {
    const before = to.sequence - version.sequence
    if (version.incarnation === to.incarnation && before >= 0 && before < Number.MAX_SAFE_INTEGER) {
      this.count(1 + before)
    } else {
      this.count(0)
      this.version(version)
    }
  }

  time(time: number, base: number): void {
    const difference = time - base
    if (
      Number.isInteger(difference) &&
      Math.abs(difference) <= TIME_DIFFERENCE_MAX &&
      Object.is(base + difference, time)
    ) {
      this.count(1 + (difference < 0 ? -2 * difference - 1 : 2 * difference))
    } else {
      this.count(0)
      this.number(time)
    }
  }

  /** Any number, in 8 bytes. */
  number(value: number): void {
    this.#reserve(8)
    this.#at = this.#bytes.writeDoubleLE(value, this.#at)
  }

  /** @param offset is added to the number that tells the length, where others have a meaning of their own */
  text(text: string, bytesMax: number, offset = 0): void {
    const isWellFormed = text.isWellFormed()
    const length = isWellFormed ? Buffer.byteLength(text) : text.length * 2
    if (length > bytesMax) throw new RangeError(`a text of ${length} bytes, where ${bytesMax} is the most`)
    this.count(length * 2 + (isWellFormed ? 0 : 1) + offset)
    this.#reserve(length)
    this.#at += this.#bytes.write(text, this.#at, isWellFormed ? 'utf8' : 'utf16le')
  }

  /** A short name, mostly drawn at random as base64url, which takes three quarters of its length. */
  id(id: string, bytesMax: number): void {
    const packed = Buffer.from(id, 'base64url')
    if (packed.length <= bytesMax && packed.toString('base64url') === id) {
      this.count(packed.length * 2)
      this.bytes(packed)
    } else {
      this.byte(1)
      this.text(id, bytesMax)
    }
  }

  list<T>(items: readonly T[], countMax: number, write: (item: T) => void): void {
    if (items.length > countMax) throw new RangeError(`a list of ${items.length}, where ${countMax} is the most`)
    this.count(items.length)
    for (const item of items) write(item)
  }

  #reserve(length: number): void {
    if (this.#at + length <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(this.#at + length)))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}

/** Reads one frame's body. Whatever the bytes say, it takes no more than they are, and throws only {@link WireFormatError}. */
export class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  byte(): number {
    return this.#bytes[this.#take(1)] ?? 0
  }

  /** A byte of which only the bits of `known` may be set. What a later minor version adds has sections of its own. */
  flags(known: number): number {
    const flags = this.byte()
    if ((flags & ~known) !== 0) throw new WireFormatError(`flags ${flags}, which this version does not know`)
    return flags
  }

  bool(): boolean {
    return this.flags(1) === 1
  }

  count(): number {
    let value = 0
    for (let unit = 1; ; unit *= 0x80) {
      const byte = this.byte()
      value += (byte % 0x80) * unit
      if (value > Number.MAX_SAFE_INTEGER || unit > 2 ** 49) throw new WireFormatError('a count above 2^53 - 1')
      if (byte < 0x80) return value
    }
  }

  /** A count of things of which each has at least one byte here, so that more than the bytes left are a lie. */
  length(countMax: number): number {
    const count = this.count()
    if (count > countMax) throw new WireFormatError(`a list of ${count}, where ${countMax} is the most`)
    if (count > this.left) throw new WireFormatError(`a list of ${count} in ${this.left} bytes`)
    return count
  }

  key(): string {
    const start = this.#take(KEY_BYTES)
    return this.#bytes.toString('base64url', start, this.#at)
  }

  bytes(length: number): Buffer {
    const start = this.#take(length)
    return this.#bytes.subarray(start, this.#at)
  }

  version(): Version {
    return { incarnation: this.count(), sequence: this.count() }
  }

  versionNear(to: Version): Version {
    const number = this.count()
    if (number === 0) return this.version()
    if (number - 1 > to.sequence) throw new WireFormatError('a version before the first')
    return { incarnation: to.incarnation, sequence: to.sequence - (number - 1) }
  }

  time(base: number): number {
    const number = this.count()
    if (number === 0) return this.number()
    return base + (number % 2 === 1 ? (number - 1) / 2 : -number / 2)
  }

  number(): number {
    return this.#bytes.readDoubleLE(this.#take(8))
  }

  /** @param number what {@link Writer.text} told of the length */
  text(bytesMax: number, number: number = this.count()): string {
    const length = Math.floor(number / 2)
    if (length > bytesMax) throw new WireFormatError(`a text of ${length} bytes, where ${bytesMax} is the most`)
    const start = this.#take(length)
    if (number % 2 === 1) {
      if (length % 2 === 1) throw new WireFormatError('a text of half a character')
      return this.#bytes.toString('utf16le', start, this.#at)
    }
    const text = this.#bytes.toString('utf8', start, this.#at)
    // What is not UTF-8 is read as this character. One that was meant is told from it by looking at the bytes.
    if (text.includes('\uFFFD') && !isUtf8(this.#bytes.subarray(start, this.#at))) {
      throw new WireFormatError('a text that is not UTF-8')
    }
    return text
  }

  id(bytesMax: number): string {
    const number = this.count()
    if (number === 1) return this.text(bytesMax)
    if (number % 2 === 1) throw new WireFormatError('an id of a kind that this version does not know')
    if (number / 2 > bytesMax) throw new WireFormatError(`an id of ${number / 2} bytes, where ${bytesMax} is the most`)
    const start = this.#take(number / 2)
    return this.#bytes.toString('base64url', start, this.#at)
  }

  list<T>(countMax: number, read: () => T): T[] {
    const items: T[] = []
    for (let left = this.length(countMax); left > 0; left--) items.push(read())
    return items
  }

  /** What a later minor version says after what this one knows: tag, length, bytes. */
  skipSections(): void {
    while (this.left > 0) {
      this.count()
      this.#take(this.count())
    }
  }

  #take(length: number): number {
    const start = this.#at
    if (length > this.#bytes.length - start) throw new WireFormatError(`it is cut off at byte ${start}`)
    this.#at += length
    return start
  }
}

function countBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes += 1
  return bytes
}
