import { isTombstone, OPERATION_SLOTS_MAX, type SessionRecord, type StoredField } from '../../../core/index.ts'
import { compareVersions } from '../../../token/index.ts'
import type { Holding } from './messages.ts'

/** How copies are merged. */
export interface Merging {
  /** Of the view in which they are merged. */
  readonly incarnation: number
  readonly onPartition: 'serve' | 'majority'
}

/**
 * What two copies of a session make together: an end wins; else the newer stamp of each field, removals included, and
 * the life and generation of the newer version. Along one history that is the newer copy itself; after a partition it is
 * what both sides did, under a version of its own, since none may stand for two contents.
 *
 * With `majority` there is one history: whoever wrote in a later view knew all that was acknowledged in the ones before,
 * and what an older copy has besides was never acknowledged, and may have begun before a login. So the newer copy wins whole.
 */
export function mergeHoldings(
  a: Holding | undefined,
  b: Holding | undefined,
  { incarnation, onPartition }: Merging,
): Holding | undefined {
  if (!a || !b) return a ?? b
  if (isTombstone(a) || isTombstone(b)) {
    if (!isTombstone(a)) return b
    if (!isTombstone(b)) return a
    return a.forgetAt >= b.forgetAt ? a : b
  }
  const [newer, older] = isNewer(a, b) ? [a, b] : [b, a]
  if (onPartition === 'majority' || compareVersions(newer.version, older.version) === 0) return newer
  const login = newer.floor >= older.floor ? newer : older
  const rotation = newer.generation >= older.generation ? newer : older
  const merged = {
    ...newer,
    generation: rotation.generation,
    pending: rotation.pending,
    retired: rotation.retired,
    floor: login.floor,
    user: login.user,
    startedAt: login.startedAt,
    lastSeenAt: Math.max(newer.lastSeenAt, older.lastSeenAt),
    expiresAt: Math.max(newer.expiresAt, older.expiresAt),
    fields: mergeFields(newer.fields, older.fields),
    operations: mergeOperations(newer, older),
  }
  if (isSame(merged, newer)) return newer
  const sequence = Math.max(newer.version.sequence, older.version.sequence) + 1
  return { ...merged, version: { incarnation: Math.max(incarnation, newer.version.incarnation), sequence } }
}

function isSame(merged: SessionRecord, newer: SessionRecord): boolean {
  return (
    merged.generation === newer.generation &&
    merged.floor === newer.floor &&
    merged.lastSeenAt === newer.lastSeenAt &&
    merged.expiresAt === newer.expiresAt &&
    merged.fields.size === newer.fields.size &&
    [...merged.fields].every(([name, field]) => newer.fields.get(name) === field) &&
    merged.operations.size === newer.operations.size &&
    [...merged.operations].every(([slot, result]) => newer.operations.get(slot) === result)
  )
}

function isNewer(a: SessionRecord, b: SessionRecord): boolean {
  return compareVersions(a.version, b.version) >= 0
}

function mergeFields(newer: SessionRecord['fields'], older: SessionRecord['fields']): SessionRecord['fields'] {
  const merged = new Map<string, StoredField>(newer)
  for (const [name, field] of older) {
    const present = merged.get(name)
    if (!present || compareVersions(field.stamp, present.stamp) > 0) merged.set(name, field)
  }
  return merged
}

function mergeOperations(newer: SessionRecord, older: SessionRecord): SessionRecord['operations'] {
  const all = [...older.operations, ...newer.operations].toSorted((a, b) => compareVersions(a[1].version, b[1].version))
  const merged = new Map<string, { readonly count: number; readonly version: SessionRecord['version'] }>()
  for (const [slot, result] of all) {
    const present = merged.get(slot)
    if (present && present.count > result.count) continue
    merged.delete(slot)
    merged.set(slot, result)
  }
  return new Map([...merged].slice(-OPERATION_SLOTS_MAX))
}
