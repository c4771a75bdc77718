import type { SessionRecord } from '../../core/index.ts'

/** What a copy without fields takes in V8: its objects, its map, its key and its places in the cache. */
const COPY_BYTES = 780
/** A map's entry, the stored field, its stamp and the heads of its two strings. */
const FIELD_BYTES = 150
/** A map's entry, the operation and its version. */
const OPERATION_BYTES = 130
/** An entry that is no copy: its key and its places in the cache. */
export const MARK_BYTES = 300

/** About how much memory a copy takes, in bytes: 5% less to 15% more than what the heap grew by, with 0 to 20 fields of up to 2,000 characters. */
export function bytesOf(record: SessionRecord): number {
  let bytes = COPY_BYTES + record.fields.size * FIELD_BYTES + record.operations.size * OPERATION_BYTES
  if (record.user !== null) bytes += textBytes(record.user)
  for (const [name, { value }] of record.fields) bytes += textBytes(name) + (value === null ? 0 : textBytes(value))
  return bytes
}

/** V8 keeps a text with one byte for each character where all are Latin-1, and else with two. */
function textBytes(text: string): number {
  return Buffer.byteLength(text) === text.length ? text.length : 2 * text.length
}
