import { isTombstone, OPERATION_SLOTS_MAX, type SessionRecord, type StoredField } from '../../../core/index.ts'
import { compareVersions } from '../../../token/index.ts'
import type { Delta, Holding } from './messages.ts'
import { isUserRecord } from './user-record.ts'

/** What a backup lacks: only the fields and operations that changed, where it has the version before. */
export function toDelta(base: Holding | undefined, next: Holding): Delta | undefined {
  if (!base || isTombstone(base) || isTombstone(next)) return undefined
  const { fields, operations, ...meta } = next
  const changed = [...fields].filter(([name, field]) => !isSameField(base.fields.get(name), field))
  const added = [...operations].filter(([slot, { count }]) => base.operations.get(slot)?.count !== count)
  return { base: base.version, meta: { ...meta, operations: new Map(added) }, fields: new Map(changed) }
}

/** By content: a record that was decoded again has other objects with the same stamps and values. */
function isSameField(before: StoredField | undefined, after: StoredField): boolean {
  if (before === after) return true
  return before?.value === after.value && compareVersions(before.stamp, after.stamp) === 0
}

/** The record that a delta makes of a copy; `undefined` where the copy is another version than the one it builds on. */
export function withDelta(copy: Holding | undefined, { base, meta, fields }: Delta): SessionRecord | undefined {
  if (!copy || isTombstone(copy) || compareVersions(copy.version, base) !== 0) return undefined
  const kept = [...copy.operations].filter(([slot]) => !meta.operations.has(slot))
  const operations = new Map([...kept, ...meta.operations].slice(-OPERATION_SLOTS_MAX))
  return { ...meta, operations, fields: new Map([...copy.fields, ...fields]) }
}

/** Whether it takes more room than what it replaces. An end always takes less; what ends a user's sessions is not refused either. */
export function growsFrom(base: Holding | undefined, next: Holding): boolean {
  if (isTombstone(next) || isUserRecord(next)) return false
  return !base || isTombstone(base) || sizeOf(next) > sizeOf(base)
}

function sizeOf({ fields }: SessionRecord): number {
  let size = 0
  for (const [name, { value }] of fields) size += name.length + (value?.length ?? 0)
  return size
}

/** Whether a copy is what the owner had before: what was sent twice or late must not bring it back. */
export function isOutdated(sent: Holding, copy: Holding | undefined): boolean {
  if (!copy || isTombstone(sent)) return false
  return isTombstone(copy) || compareVersions(sent.version, copy.version) < 0
}
