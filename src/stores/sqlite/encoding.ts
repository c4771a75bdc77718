import { type OperationResult, type SessionRecord, type StoredField, StoreUnavailableError } from '../../core/index.ts'

/** A time as JSON has it: of `Infinity`, which a policy may have for "never", it makes `null`. */
type EncodedTime = number | null
type EncodedField = [name: string, incarnation: number, sequence: number, value: string | null]
type EncodedOperation = [slot: string, count: number, incarnation: number, sequence: number]
type EncodedRecord = [
  incarnation: number,
  sequence: number,
  generation: number,
  pending: 0 | 1,
  floor: number,
  retired: readonly EncodedTime[],
  user: string | null,
  startedAt: number,
  createdAt: number,
  lastSeenAt: number,
  expiresAt: EncodedTime,
  fields: EncodedField[],
  operations: EncodedOperation[],
]

/** A record as the text of its row; its key is a column of its own. */
export function encodeRecord(record: SessionRecord): string {
  const { version, generation, floor, retired, user, startedAt, createdAt, lastSeenAt, expiresAt } = record
  const fields: EncodedField[] = []
  for (const [name, { stamp, value }] of record.fields) fields.push([name, stamp.incarnation, stamp.sequence, value])
  const operations: EncodedOperation[] = []
  for (const [slot, result] of record.operations) {
    operations.push([slot, result.count, result.version.incarnation, result.version.sequence])
  }
  const { incarnation, sequence } = version
  const encoded: EncodedRecord = [
    incarnation,
    sequence,
    generation,
    record.pending ? 1 : 0,
    floor,
    retired,
    user,
    startedAt,
    createdAt,
    lastSeenAt,
    expiresAt,
    fields,
    operations,
  ]
  return JSON.stringify(encoded)
}

/** Inverse of {@link encodeRecord}. @throws StoreUnavailableError where the text is damaged, without a word of it */
export function decodeRecord(key: string, text: string): SessionRecord {
  try {
    return toRecord(key, JSON.parse(text) as EncodedRecord)
  } catch {
    throw new StoreUnavailableError(`the row of session ${key} is damaged; delete it to end the session`)
  }
}

function toRecord(key: string, encoded: EncodedRecord): SessionRecord {
  const [incarnation, sequence, generation, pending, floor, retired, user, ...rest] = encoded
  const [startedAt, createdAt, lastSeenAt, expiresAt, encodedFields, encodedOperations] = rest
  const fields = new Map<string, StoredField>()
  for (const [name, incarnation, sequence, value] of encodedFields) {
    fields.set(name, { stamp: { incarnation, sequence }, value })
  }
  const operations = new Map<string, OperationResult>()
  for (const [slot, count, incarnation, sequence] of encodedOperations) {
    operations.set(slot, { count, version: { incarnation, sequence } })
  }
  return {
    key,
    version: { incarnation, sequence },
    generation,
    pending: pending === 1,
    floor,
    retired: retired.map((time) => time ?? Infinity),
    user,
    startedAt,
    createdAt,
    lastSeenAt,
    expiresAt: expiresAt ?? Infinity,
    fields,
    operations,
  }
}
