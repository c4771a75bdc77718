import type { OperationResult, SessionRecord, StoredField } from '../../core/index.ts'
import type { Version } from '../../token/index.ts'

/** A record as the text of its row. Its key and its end are columns of their own: an end may be `Infinity`, which JSON has not. */
export function encodeRecord(record: SessionRecord): string {
  const { version, generation, pending, floor, retired, user, startedAt, createdAt, lastSeenAt } = record
  const fields: EncodedField[] = []
  for (const [name, { stamp, value }] of record.fields) fields.push([name, stamp.incarnation, stamp.sequence, value])
  const operations: EncodedOperation[] = []
  for (const [slot, { count, version: { incarnation, sequence } }] of record.operations) operations.push([slot, count, incarnation, sequence]) // prettier-ignore
  const encoded: EncodedRecord = [
    version.incarnation, version.sequence, generation, pending ? 1 : 0, floor, retired, user, startedAt, createdAt, lastSeenAt, fields, operations,
  ] // prettier-ignore
  return JSON.stringify(encoded)
}

/** Inverse of {@link encodeRecord}. @throws SyntaxError, TypeError when the text is damaged */
export function decodeRecord(key: string, expiresAt: number, text: string): SessionRecord {
  const [incarnation, sequence, generation, pending, floor, retired, user, startedAt, createdAt, lastSeenAt, fields, operations] =
    JSON.parse(text) as EncodedRecord
  return {
    key,
    version: { incarnation, sequence },
    generation,
    pending: pending === 1,
    floor,
    retired,
    user,
    startedAt,
    createdAt,
    lastSeenAt,
    expiresAt,
    fields: new Map(fields.map(([name, incarnation, sequence, value]): [string, StoredField] => [name, { stamp: { incarnation, sequence }, value }])),
    operations: new Map(operations.map(([slot, count, incarnation, sequence]): [string, OperationResult] => [slot, { count, version: { incarnation, sequence } }])),
  }
}

type Incarnation = Version['incarnation']
type Sequence = Version['sequence']
type EncodedField = [name: string, Incarnation, Sequence, value: string | null]
type EncodedOperation = [slot: string, count: number, Incarnation, Sequence]
type EncodedRecord = [
  Incarnation,
  Sequence,
  generation: number,
  pending: 0 | 1,
  floor: number,
  retired: readonly number[],
  user: string | null,
  startedAt: number,
  createdAt: number,
  lastSeenAt: number,
  fields: EncodedField[],
  operations: EncodedOperation[],
]
