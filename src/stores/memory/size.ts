import type { SessionRecord } from '../../core/index.ts'

/** What a session without fields takes in V8: its objects, its maps and its places in the store. */
const RECORD_BYTES = 900
/** A map's entry, the stored field, its stamp and the heads of its two strings. */
const FIELD_BYTES = 150
/** A map's entry, the result with its version, and the slot. */
const OPERATION_BYTES = 130

/** What a tombstone takes. */
export const TOMBSTONE_BYTES = 300

/** About how much memory a session takes, in bytes. */
export function estimateBytes({ fields, operations, user }: SessionRecord): number {
  let bytes = RECORD_BYTES + (user?.length ?? 0) + fields.size * FIELD_BYTES + operations.size * OPERATION_BYTES
  for (const [name, { value }] of fields) bytes += Buffer.byteLength(name) + (value ? Buffer.byteLength(value) : 0)
  return bytes
}
