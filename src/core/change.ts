import { compareVersions, type Version } from '../token/index.ts'
import { OPERATION_SLOTS_MAX, RETIRED_MAX } from './limits.ts'
import type { OperationResult, SessionRecord, StoredField } from './record.ts'
import type { Change, ChangeResult } from './store.ts'

/** What a change makes of a record: the answer, and the new record where it changed. */
export interface Application {
  readonly result: ChangeResult
  readonly record?: SessionRecord
}

/**
 * The rules by which every store applies a change. Pure: a store calls it inside its own transaction, or does the same
 * in its own language and is compared with it.
 *
 * @param record what the store has under `change.key`; `undefined` for none
 * @param ended whether the store has a tombstone under `change.key`
 * @param incarnation in which the store is now; a record of an earlier one goes on in it
 */
export function applyChange(
  record: SessionRecord | undefined,
  ended: boolean,
  change: Change,
  incarnation = 0,
): Application {
  const { slot, count } = change.operation
  const earlier = record?.operations.get(slot)
  if (record && earlier && count <= earlier.count) {
    return count === earlier.count ? { result: appliedResult(record, earlier.version) } : overtaken(record, change)
  }
  if (ended || (record === undefined) !== (change.create === true)) return { result: { outcome: 'gone' } }
  if (record && record.expiresAt <= change.now) return { result: { outcome: 'gone' } }
  const base = record ?? blankRecord(change, incarnation)
  if (change.generation < base.floor) return { result: { outcome: 'superseded' } }
  if (change.expect && !sameStamp(base.fields.get(change.expect.field), change.expect.stamp)) {
    return overtaken(base, change)
  }

  const isForked = incarnation > base.version.incarnation
  const version = {
    incarnation: isForked ? incarnation : base.version.incarnation,
    sequence: base.version.sequence + 1,
  }
  const next: SessionRecord = {
    ...withGenerations(base, change),
    version,
    ...(isForked ? { forkedFrom: base.version } : {}),
    lastSeenAt: change.unattended ? base.lastSeenAt : Math.max(base.lastSeenAt, change.now),
    expiresAt: change.unattended ? base.expiresAt : Math.max(base.expiresAt, change.expiresAt),
    fields: withFields(base.fields, change.fields, version),
    operations: withOperation(base.operations, slot, { count, version }),
  }
  return { result: appliedResult(next, version), record: next }
}

function appliedResult({ generation, pending }: SessionRecord, version: Version): ChangeResult {
  return { outcome: 'applied', version, generation, pending }
}

function overtaken(record: SessionRecord, { expect }: Change): Application {
  return { result: { outcome: 'conflict', field: expect && record.fields.get(expect.field) } }
}

function blankRecord({ key, now, expiresAt, generation }: Change, incarnation: number): SessionRecord {
  return {
    key,
    version: { incarnation, sequence: 0 },
    generation,
    pending: false,
    floor: generation,
    retired: [],
    user: null,
    startedAt: now,
    createdAt: now,
    lastSeenAt: now,
    expiresAt,
    fields: new Map(),
    operations: new Map(),
  }
}

function sameStamp(field: StoredField | undefined, stamp: Version | null): boolean {
  return field && stamp ? compareVersions(field.stamp, stamp) === 0 : field === undefined && stamp === null
}

function withGenerations(record: SessionRecord, { confirm, rotate, login, generation, now }: Change): SessionRecord {
  let next = record
  if (confirm && confirm.generation > next.generation) {
    const gap = Math.min(confirm.generation - next.generation, RETIRED_MAX)
    const retired = [...Array<number>(gap).fill(confirm.graceEndsAt), ...next.retired].slice(0, RETIRED_MAX)
    next = { ...next, generation: confirm.generation, pending: false, retired }
  }
  if (rotate && generation === next.generation) next = { ...next, pending: true }
  if (login) {
    const successor = next.generation + (next.pending ? 2 : 1)
    const fresh = next.version.sequence === 0 ? next.generation : successor
    next = { ...next, generation: fresh, floor: fresh, pending: false, retired: [], user: login.user, startedAt: now }
  }
  return next
}

/** A literal that begins with a spread is allocated among the young objects, see `docs/design/cost.md`. */
const NO_FIELD = {}

/** The fields after a change of this version. */
export function withFields(
  fields: SessionRecord['fields'],
  changed: Change['fields'],
  stamp: Version,
): ReadonlyMap<string, StoredField> {
  if (!changed || changed.size === 0) return fields
  const next = new Map(fields)
  for (const [name, value] of changed) next.set(name, { ...NO_FIELD, stamp, value })
  return next
}

/** The operations after one of this slot. */
export function withOperation(
  operations: SessionRecord['operations'],
  slot: string,
  result: OperationResult,
): ReadonlyMap<string, OperationResult> {
  const next = new Map(operations)
  next.delete(slot) // re-inserted last: the map's order is the order of use
  next.set(slot, result)
  const oldest = next.keys().next().value
  if (next.size > OPERATION_SLOTS_MAX && oldest !== undefined) next.delete(oldest)
  return next
}
