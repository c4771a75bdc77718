import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyChange, OPERATION_SLOTS_MAX } from '../../../src/core/index.ts'
import { toDelta, withDelta } from '../../../src/stores/mesh/protocol/copies.ts'
import { decodeRecord, encodeRecord } from '../../../src/stores/mesh/record-codec.ts'
import { EncodedRecords } from '../../../src/stores/mesh/records.ts'

const KEY = Buffer.alloc(32, 7).toString('base64url')

function change(count: number, fields: Record<string, string>, create = false): Parameters<typeof applyChange>[2] {
  const operation = { slot: 'slot', count }
  return {
    key: KEY,
    operation,
    now: 1_000,
    expiresAt: 9_000,
    generation: 1,
    create,
    fields: new Map(Object.entries(fields)),
  }
}

function twoVersions() {
  const { record: base } = applyChange(undefined, false, change(1, { a: '"a"', b: '"b"' }, true))
  assert(base)
  const { record: next } = applyChange(base, false, change(2, { b: '"c"' }))
  assert(next)
  return { base, next }
}

test('a delta holds the field that changed and no other, also of records that were decoded from bytes', () => {
  const { base, next } = twoVersions()
  const again = (record: typeof base) => decodeRecord(encodeRecord(record))
  assert.deepEqual([...(toDelta(again(base), again(next))?.fields.keys() ?? [])], ['b'])
})

test('a record that is in use is not decoded for each who asks, and what replaces or removes it is seen at once', () => {
  const { base, next } = twoVersions()
  const records = new EncodedRecords({ nowMs: 0 })
  records.set(KEY, base)
  assert.equal(records.get(KEY), base)
  records.set(KEY, next)
  assert.equal(records.get(KEY), next)
  records.delete(KEY)
  assert.equal(records.get(KEY), undefined)
  records.set(KEY, next)
  records.clean(next.expiresAt + 60_000)
  assert.equal(records.get(KEY), undefined)
})

test('a delta carries the last operation alone, and makes of the version before the next one, in the order of its operations', () => {
  let { next: record } = twoVersions()
  for (let node = 0; node < OPERATION_SLOTS_MAX + 5; node++) {
    const operation = { slot: `slot-${node % (OPERATION_SLOTS_MAX + 2)}`, count: node + 1 }
    const { record: next } = applyChange(record, false, { ...change(0, { a: `"${node}"` }), operation })
    assert(next)
    const delta = toDelta(record, next)
    assert.deepEqual([...(delta?.meta.operations.keys() ?? [])], [operation.slot])
    const made = delta && withDelta(record, delta)
    assert.deepEqual(made, next)
    assert.deepEqual([...(made?.operations.keys() ?? [])], [...next.operations.keys()])
    record = next
  }
})
