import type { OperationResult, StoredField } from '../../../core/index.ts'
import type { Version } from '../../../token/index.ts'
import type { Delta, Holding } from '../protocol/messages.ts'
import { decodeRecord, encodeRecordInPlace, RecordFormatError } from '../record-codec.ts'
import { type Reader, WireFormatError, type Writer } from './bytes.ts'
import { FRAME_BYTES_MAX, ID_BYTES_MAX } from './limits.ts'

/*
 * Records and their parts in a frame. A whole record is as it is in memory, behind its length. A delta is nearly all of
 * the traffic, so it says versions by how far they are from the new one, and not the key, which its message has said.
 */

const FLAG_PENDING = 1
const FLAG_USER = 2

export function writeHolding(writer: Writer, holding: Holding): void {
  const bytes = encodeRecordInPlace(holding)
  writer.count(bytes.length)
  writer.bytes(bytes)
}

export function readHolding(reader: Reader): Holding {
  const bytes = reader.bytes(reader.count())
  try {
    return decodeRecord(bytes)
  } catch (error) {
    if (error instanceof RecordFormatError) throw new WireFormatError(`it holds ${error.message}`, { cause: error })
    throw error
  }
}

/** @throws RangeError for a delta of another key */
export function writeDelta(writer: Writer, key: string, { base, meta, fields }: Delta): void {
  const { version, generation, pending, floor, retired, user, startedAt, createdAt, lastSeenAt, expiresAt } = meta
  if (meta.key !== key) throw new RangeError('a delta of another key than its message')
  writer.byte((pending ? FLAG_PENDING : 0) + (user === null ? 0 : FLAG_USER))
  writer.version(version)
  writer.versionNear(base, version)
  writer.count(generation)
  writer.count(floor)
  writer.time(createdAt, 0)
  writer.time(startedAt, createdAt)
  writer.time(lastSeenAt, createdAt)
  writer.time(expiresAt, lastSeenAt)
  writer.list(retired, FRAME_BYTES_MAX, (time) => writer.time(time, createdAt))
  if (user !== null) writer.text(user, FRAME_BYTES_MAX)
  writer.count(meta.operations.size)
  for (const [slot, { count, version: at }] of meta.operations) {
    writer.id(slot, ID_BYTES_MAX)
    writer.count(count)
    writer.versionNear(at, version)
  }
  writer.count(fields.size)
  for (const [name, { stamp, value }] of fields) {
    writer.text(name, FRAME_BYTES_MAX)
    writer.versionNear(stamp, version)
    writeValue(writer, value)
  }
}

export function readDelta(reader: Reader, key: string): Delta {
  const flags = reader.flags(FLAG_PENDING + FLAG_USER)
  const version = reader.version()
  const base = reader.versionNear(version)
  const generation = reader.count()
  const floor = reader.count()
  const createdAt = reader.time(0)
  const startedAt = reader.time(createdAt)
  const lastSeenAt = reader.time(createdAt)
  const expiresAt = reader.time(lastSeenAt)
  const retired = reader.list(FRAME_BYTES_MAX, () => reader.time(createdAt))
  const user = flags & FLAG_USER ? reader.text(FRAME_BYTES_MAX) : null
  const operations = readMap(reader, () => [reader.id(ID_BYTES_MAX), readOperationResult(reader, version)])
  const fields = readMap(reader, () => [reader.text(FRAME_BYTES_MAX), readStoredField(reader, version)])
  const pending = (flags & FLAG_PENDING) !== 0
  const life = { generation, pending, floor, retired, user, startedAt, createdAt, lastSeenAt, expiresAt }
  return { base, meta: { key, version, ...life, operations }, fields }
}

/** A field's value; `null` where it was removed. */
export function writeValue(writer: Writer, value: string | null): void {
  if (value === null) writer.count(0)
  else writer.text(value, FRAME_BYTES_MAX, 1)
}

export function readValue(reader: Reader): string | null {
  const number = reader.count()
  return number === 0 ? null : reader.text(FRAME_BYTES_MAX, number - 1)
}

/** A map of which the bytes name nothing twice. Its count is bounded by the bytes that each entry takes. */
export function readMap<T>(reader: Reader, readEntry: () => [string, T]): Map<string, T> {
  const map = new Map<string, T>()
  for (let left = reader.length(FRAME_BYTES_MAX); left > 0; left--) {
    const [name, value] = readEntry()
    if (map.has(name)) throw new WireFormatError('two entries of one name')
    map.set(name, value)
  }
  return map
}

function readOperationResult(reader: Reader, version: Version): OperationResult {
  return { count: reader.count(), version: reader.versionNear(version) }
}

function readStoredField(reader: Reader, version: Version): StoredField {
  return { stamp: reader.versionNear(version), value: readValue(reader) }
}
