import { isUtf8 } from 'node:buffer'
import {
  type OperationResult,
  type SessionRecord,
  type StoredField,
  isTombstone,
  type Tombstone,
} from '../../core/index.ts'
import { isKey, type Version } from '../../token/index.ts'

/*
 * The bytes of a record, in memory and between nodes:
 *
 *   key (32 bytes), format (1 byte), body, sections
 *
 *   record:    flags, version, generation, floor, createdAt, startedAt, lastSeenAt, expiresAt, retired*, user?, fields*, operations*
 *   tombstone: endedAt, forgetAt
 *
 *   count, length:  varint, 7 bits a byte, lowest first, at most 2^53 - 1
 *   version:        incarnation and sequence, two varints
 *   time:           varint of 1 + zigzag(time - base), or 0 and 8 bytes of float64; base is 0 for the first, which is
 *                   the base of the others
 *   text:           varint of 2 * bytes, and UTF-8; or of 2 * bytes + 1, and UTF-16 for a text with half a surrogate
 *   value:          varint 0 for null; else as text, with the varint one higher
 *   list:           its length, then its items
 *   section:        tag and length (varints), and bytes: what a later minor version adds. Unknown ones are skipped, so
 *                   a node that does not know one loses it when it writes the record again.
 */

/** Bytes of a key: a SHA-256. Encoded records begin with it. */
export const KEY_BYTES = 32

const FORMAT_RECORD = 1
const FORMAT_TOMBSTONE = 2

const FLAG_PENDING = 1
const FLAG_USER = 2
const FLAGS_KNOWN: number = FLAG_PENDING | FLAG_USER

/** Within it the difference of two times, doubled, is a safe integer. */
const TIME_DIFFERENCE_MAX: number = 2 ** 51

/** Above it the writer's buffer is let go after use. */
const SCRATCH_BYTES_MAX: number = 64 * 1024

/** Longer texts are measured before they are written, so that the buffer need not have room for the longest that they may be. */
const ASCII_LENGTH_MAX = 4096

/** Bytes that are not a record: damaged, cut off, or of a format that this version does not know. */
export class RecordFormatError extends Error {
  override readonly name: string = 'RecordFormatError'
}

/** @throws RangeError for a record that no node makes: a key that is not 32 bytes of base64url, a count that is no safe integer */
export function encodeRecord(whole: SessionRecord | Tombstone): Buffer {
  return Buffer.from(encodeRecordInPlace(whole))
}

/**
 * As {@link encodeRecord}, in a buffer that the next record is written into too: for who copies it at once.
 *
 * @throws RangeError as it does
 */
export function encodeRecordInPlace(whole: SessionRecord | Tombstone): Buffer {
  writer.start(whole.key)
  if (isTombstone(whole)) {
    writer.byte(FORMAT_TOMBSTONE)
    writer.time(whole.endedAt, 0)
    writer.time(whole.forgetAt, whole.endedAt)
  } else {
    writer.byte(FORMAT_RECORD)
    writeSession(whole)
  }
  return writer.finish()
}

/** Inverse of {@link encodeRecord}. @throws RecordFormatError */
export function decodeRecord(bytes: Uint8Array): SessionRecord | Tombstone {
  const reader = new Reader(bytes)
  const key = reader.key()
  const format = reader.byte()
  let whole: SessionRecord | Tombstone
  if (format === FORMAT_RECORD) whole = readSession(key, reader)
  else if (format === FORMAT_TOMBSTONE) {
    const endedAt = reader.time(0)
    whole = { key, endedAt, forgetAt: reader.time(endedAt) }
  } else throw new RecordFormatError(`a record of format ${format}, which this version does not know`)
  reader.skipSections()
  return whole
}

/** A session without what it holds, which is most of its bytes; `undefined` for a tombstone. @throws RecordFormatError */
export function decodeLife(bytes: Uint8Array): Omit<SessionRecord, 'fields' | 'operations'> | undefined {
  const reader = new Reader(bytes)
  const key = reader.key()
  return reader.byte() === FORMAT_RECORD ? readLife(key, reader) : undefined
}

/** The 32 bytes of a key. @throws RangeError for any other text */
export function keyToBytes(key: string): Buffer {
  if (!isKey(key)) throw new RangeError('a key is a SHA-256 in base64url')
  return Buffer.from(key, 'base64url')
}

/** The key that encoded bytes begin with. @throws RecordFormatError where they are fewer */
export function keyOfBytes(bytes: Uint8Array): string {
  return new Reader(bytes).key()
}

/** Whether encoded bytes are a tombstone, without decoding them. */
export function isTombstoneBytes(bytes: Uint8Array): boolean {
  return bytes[KEY_BYTES] === FORMAT_TOMBSTONE
}

function writeSession(record: SessionRecord): void {
  const { version, generation, pending, floor, retired, user, startedAt, createdAt, lastSeenAt, expiresAt } = record
  writer.byte((pending ? FLAG_PENDING : 0) + (user === null ? 0 : FLAG_USER))
  writer.version(version)
  writer.count(generation)
  writer.count(floor)
  writer.time(createdAt, 0)
  for (const time of [startedAt, lastSeenAt, expiresAt]) writer.time(time, createdAt)
  writer.count(retired.length)
  for (const time of retired) writer.time(time, createdAt)
  if (user !== null) writer.text(user, 0)
  writer.count(record.fields.size)
  for (const [name, { stamp, value }] of record.fields) {
    writer.text(name, 0)
    writer.version(stamp)
    if (value === null) writer.count(0)
    else writer.text(value, 1)
  }
  writer.count(record.operations.size)
  for (const [slot, { count, version }] of record.operations) {
    writer.text(slot, 0)
    writer.count(count)
    writer.version(version)
  }
}

/** All of a session but its fields and operations. */
function readLife(key: string, reader: Reader): Omit<SessionRecord, 'fields' | 'operations'> {
  const flags = reader.byte()
  if (flags > FLAGS_KNOWN) throw new RecordFormatError(`a record with flags ${flags}, which this version does not know`)
  const version = reader.version()
  const generation = reader.count()
  const floor = reader.count()
  const createdAt = reader.time(0)
  const startedAt = reader.time(createdAt)
  const lastSeenAt = reader.time(createdAt)
  const expiresAt = reader.time(createdAt)
  const retired: number[] = []
  for (let left = reader.count(); left > 0; left--) retired.push(reader.time(createdAt))
  const user = flags & FLAG_USER ? reader.text(reader.count()) : null
  const pending = (flags & FLAG_PENDING) !== 0
  return { key, version, generation, pending, floor, retired, user, startedAt, createdAt, lastSeenAt, expiresAt }
}

function readSession(key: string, reader: Reader): SessionRecord {
  const life = readLife(key, reader)
  const fields = new Map<string, StoredField>()
  for (let left = reader.count(); left > 0; left--) {
    const name = reader.text(reader.count())
    if (fields.has(name)) throw new RecordFormatError('a record with two fields of one name')
    const stamp = reader.version()
    const length = reader.count()
    fields.set(name, { stamp, value: length === 0 ? null : reader.text(length - 1) })
  }
  const operations = new Map<string, OperationResult>()
  for (let left = reader.count(); left > 0; left--) {
    const slot = reader.text(reader.count())
    if (operations.has(slot)) throw new RecordFormatError('a record with two operations of one slot')
    operations.set(slot, { count: reader.count(), version: reader.version() })
  }
  return { ...life, fields, operations }
}

/** Writes into one buffer that is used again for each record. */
class Writer {
  #bytes: Buffer = Buffer.allocUnsafeSlow(4096)
  #at = 0

  start(key: string): void {
    if (!isKey(key)) throw new RangeError('a key is a SHA-256 in base64url')
    this.#at = this.#bytes.write(key, 0, 'base64url')
  }

  finish(): Buffer {
    const bytes = this.#bytes.subarray(0, this.#at)
    if (this.#bytes.length > SCRATCH_BYTES_MAX) this.#bytes = Buffer.allocUnsafeSlow(4096)
    return bytes
  }

  byte(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = value
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

  version({ incarnation, sequence }: Version): void {
    this.count(incarnation)
    this.count(sequence)
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
      this.#reserve(8)
      this.#at = this.#bytes.writeDoubleLE(time, this.#at)
    }
  }

  /** @param offset is added to the number that tells the length, where others have a meaning of their own */
  text(text: string, offset: number): void {
    if (this.#asciiText(text, offset)) return
    const isWellFormed = text.isWellFormed()
    const length = isWellFormed ? Buffer.byteLength(text) : text.length * 2
    this.count(length * 2 + (isWellFormed ? 0 : 1) + offset)
    this.#reserve(length)
    this.#at += this.#bytes.write(text, this.#at, isWellFormed ? 'utf8' : 'utf16le')
  }

  /**
   * Nearly every text is ASCII, and known for it by its UTF-8, which then has one byte for each character: one call instead of
   * three. Where it is not, nothing is written.
   */
  #asciiText(text: string, offset: number): boolean {
    if (text.length > ASCII_LENGTH_MAX) return false
    this.#reserve(8 + 3 * text.length)
    const start = this.#at
    this.count(text.length * 2 + offset)
    if (this.#bytes.write(text, this.#at) === text.length) {
      this.#at += text.length
      return true
    }
    this.#at = start
    return false
  }

  #reserve(length: number): void {
    if (this.#at + length <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(this.#at + length)))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}

const writer = new Writer()

/** Reads one record. Whatever the bytes say, it takes no more than they are. */
class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  key(): string {
    const start = this.#take(KEY_BYTES)
    return this.#bytes.toString('base64url', start, this.#at)
  }

  byte(): number {
    return this.#bytes[this.#take(1)] ?? 0
  }

  count(): number {
    let value = 0
    for (let unit = 1; ; unit *= 0x80) {
      const byte = this.byte()
      value += (byte % 0x80) * unit
      if (value > Number.MAX_SAFE_INTEGER || unit > 2 ** 49) throw new RecordFormatError('a count above 2^53 - 1')
      if (byte < 0x80) return value
    }
  }

  version(): Version {
    return { incarnation: this.count(), sequence: this.count() }
  }

  time(base: number): number {
    const number = this.count()
    if (number === 0) return this.#bytes.readDoubleLE(this.#take(8))
    return base + (number % 2 === 1 ? (number - 1) / 2 : -number / 2)
  }

  /** @param number what {@link Writer.text} told of the length */
  text(number: number): string {
    const length = Math.floor(number / 2)
    const start = this.#take(length)
    if (number % 2 === 1) {
      if (length % 2 === 1) throw new RecordFormatError('a text of half a character')
      return this.#bytes.toString('utf16le', start, this.#at)
    }
    const text = this.#bytes.toString('utf8', start, this.#at)
    // What is not UTF-8 is read as this character. One that was meant is told from it by looking at the bytes.
    if (text.includes('\uFFFD') && !isUtf8(this.#bytes.subarray(start, this.#at))) {
      throw new RecordFormatError('a text that is not UTF-8')
    }
    return text
  }

  skipSections(): void {
    while (this.#at < this.#bytes.length) {
      this.count()
      this.#take(this.count())
    }
  }

  #take(length: number): number {
    const start = this.#at
    if (length > this.#bytes.length - start) throw new RecordFormatError(`a record that is cut off at byte ${start}`)
    this.#at += length
    return start
  }
}
