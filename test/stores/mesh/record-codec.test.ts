import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import type { SessionRecord } from '../../../src/core/index.ts'
import { decodeRecord, encodeRecord, isTombstoneBytes, KEY_BYTES, keyOfBytes, keyToBytes, RecordFormatError } from '../../../src/stores/mesh/record-codec.ts' // prettier-ignore
import { checkProperty } from '../../support/seed.ts'
import { randomKey, recordOf, tombstoneOf } from '../changes.ts'
import { keys, sessions, tombstones } from './record-support.ts'

suite('bytes of a record', () => {
  test('every legal record comes back equal, its maps in their order', () =>
    checkProperty(
      fc.property(sessions, (record) => {
        const decoded = decodeRecord(encodeRecord(record)) as SessionRecord
        assert.deepEqual(decoded, record)
        assert.deepEqual([...decoded.fields.keys()], [...record.fields.keys()])
        assert.deepEqual([...decoded.operations.keys()], [...record.operations.keys()])
      }),
      { runs: 500 },
    ))

  test('every tombstone comes back equal and is told from a session without decoding', () =>
    checkProperty(
      fc.property(tombstones, (tombstone) => {
        const bytes = encodeRecord(tombstone)
        assert.deepEqual(decodeRecord(bytes), tombstone)
        assert.equal(isTombstoneBytes(bytes), true)
        assert.equal(isTombstoneBytes(encodeRecord(recordOf(tombstone.key))), false)
      }),
    ))

  test('they begin with the key', () =>
    checkProperty(
      fc.property(keys, (key) => {
        const bytes = encodeRecord(recordOf(key))
        assert.deepEqual(bytes.subarray(0, KEY_BYTES), keyToBytes(key))
        assert.equal(keyOfBytes(bytes), key)
      }),
    ))

  test('a large record leaves nothing behind in the next', () => {
    const large = recordOf(randomKey(), {
      fields: new Map([['f', { stamp: { incarnation: 0, sequence: 1 }, value: 'x'.repeat(1_000_000) }]]),
    })
    const small = recordOf(randomKey())
    const [first, second] = [encodeRecord(large), encodeRecord(small)]
    assert.deepEqual(decodeRecord(first), large)
    assert.deepEqual(decodeRecord(second), small)
  })

  test('a session of one short field takes less than 90 bytes, a tombstone less than 48', () => {
    assert.ok(encodeRecord(recordOf(randomKey())).length < 90, `${encodeRecord(recordOf(randomKey())).length}`)
    assert.ok(encodeRecord(tombstoneOf(randomKey())).length < 48, `${encodeRecord(tombstoneOf(randomKey())).length}`)
  })

  test('what is no record is refused when it is written', () => {
    for (const key of ['', 'short', `${'A'.repeat(42)}B`, `${'+'.repeat(42)}A`, 'A'.repeat(44)]) {
      assert.throws(() => encodeRecord(recordOf(key)), RangeError)
      assert.throws(() => keyToBytes(key), RangeError)
    }
    for (const generation of [-1, 0.5, Number.NaN, Infinity, 2 ** 53]) {
      assert.throws(() => encodeRecord(recordOf(randomKey(), { generation })), RangeError)
    }
  })
})

suite('bytes that are not a record', () => {
  test('cut off anywhere, they are refused', () =>
    checkProperty(
      fc.property(sessions, fc.nat(), (record, at) => {
        const bytes = encodeRecord(record)
        assert.throws(() => decodeRecord(bytes.subarray(0, at % bytes.length)), RecordFormatError)
      }),
    ))

  test('damaged anywhere, they are refused or read as some record, and never anything else', () =>
    checkProperty(
      fc.property(fc.oneof(sessions, tombstones), fc.nat(), fc.integer({ min: 0, max: 255 }), (whole, at, byte) => {
        const bytes = encodeRecord(whole)
        bytes[at % bytes.length] = byte
        decodeOrRefuse(bytes)
      }),
      { runs: 1_000 },
    ))

  test('garbage is refused or read as some record', () =>
    checkProperty(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(1, 2, 3), (garbage, format) => {
        decodeOrRefuse(garbage)
        decodeOrRefuse(Buffer.concat([Buffer.alloc(KEY_BYTES), Buffer.of(format), garbage]))
      }),
      { runs: 1_000 },
    ))

  test('an announced length or count of 2^53 - 1 is refused at once', () => {
    const most = Buffer.from('ffffffffffffff0f', 'hex')
    const start = Buffer.concat([Buffer.alloc(KEY_BYTES), Buffer.of(1)])
    const flags = Buffer.of(2)
    const numbers = Buffer.of(0, 0, 0, 0, 1, 1, 1, 1)
    const beginning = [start, flags, numbers]
    const bodies = {
      retired: [...beginning, most],
      user: [...beginning, Buffer.of(0), most],
      fields: [...beginning, Buffer.of(0, 0), most],
      name: [...beginning, Buffer.of(0, 0, 1), most],
      value: [...beginning, Buffer.of(0, 0, 1, 0, 0, 0), most],
      operations: [...beginning, Buffer.of(0, 0, 0), most],
      section: [...beginning, Buffer.of(0, 0, 0, 0), Buffer.of(9), most],
    }
    for (const [name, parts] of Object.entries(bodies)) {
      assert.throws(() => decodeRecord(Buffer.concat([...parts, Buffer.alloc(50, 1)])), RecordFormatError, name)
    }
    decodeRecord(Buffer.concat([...beginning, Buffer.of(0, 0, 0, 0)])) // else the bodies above are refused for another reason
  })

  test('a count above 2^53 - 1, text that is not UTF-8, half a character and doubled names are refused', () => {
    const parts = [Buffer.alloc(KEY_BYTES), Buffer.of(1, 2, 0, 0, 0, 0, 1, 1, 1, 1, 0)]
    const field = '0261000000'
    const refused: [hex: string, message: RegExp][] = [
      ['ffffffffffffff10', /a count above/],
      ['808080808080808000', /a count above/],
      ['06c328410000', /not UTF-8/],
      ['074142430000', /half a character/],
      [`026102${field}${field}00`, /two fields/],
      [`02610002${field}${field}`, /two operations/],
    ]
    for (const [hex, message] of refused) {
      assert.throws(() => decodeRecord(Buffer.concat([...parts, Buffer.from(hex, 'hex')])), {
        name: 'RecordFormatError',
        message,
      })
    }
    decodeRecord(Buffer.concat([...parts, Buffer.from(`026101${field}00`, 'hex')]))
  })

  test('a format of a later version is refused by its number', () => {
    const bytes = encodeRecord(recordOf(randomKey()))
    bytes[KEY_BYTES] = 9
    assert.throws(() => decodeRecord(bytes), { name: 'RecordFormatError', message: /format 9/ })
  })
})

test('sections of a later version are skipped', () =>
  checkProperty(
    fc.property(
      fc.oneof(sessions, tombstones),
      fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 5 }),
      (whole, contents) => {
        const sections = contents.map((bytes, index) => Buffer.concat([Buffer.of(index + 1, bytes.length), bytes]))
        assert.deepEqual(decodeRecord(Buffer.concat([encodeRecord(whole), ...sections])), whole)
      },
    ),
  ))

function decodeOrRefuse(bytes: Uint8Array): void {
  try {
    decodeRecord(bytes)
  } catch (error) {
    if (!(error instanceof RecordFormatError)) throw error
  }
}
