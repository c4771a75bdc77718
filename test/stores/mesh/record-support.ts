/** Legal and hostile records for tests of the record codec and the record memory. */

import * as fc from 'fast-check'
import type { SessionRecord, Tombstone } from '../../../src/core/index.ts'

const hostileTexts = [
  '',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  '\uFEFFbom',
  '\uFFFD',
  '\0',
  '\u{1F36A}',
  '\uD800',
  'a\uDC00b',
]

const counts = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  fc.constantFrom(
    0,
    127,
    128,
    2 ** 14 - 1,
    2 ** 14,
    2 ** 31,
    2 ** 49,
    Number.MAX_SAFE_INTEGER - 1,
    Number.MAX_SAFE_INTEGER,
  ),
)
const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 100 }),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
  fc.constantFrom(...hostileTexts),
)
const values = fc.oneof(
  { weight: 10, arbitrary: texts },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 300_000 }).map((size) => 'v'.repeat(size)) },
)
const times = fc.oneof(
  fc.integer({ min: 1_600_000_000_000, max: 2_000_000_000_000 }),
  fc.double({ noNaN: true }),
  fc.constantFrom(0, -0, -1, Infinity, 1.5, 2 ** 51, -(2 ** 51), 2 ** 52, Number.MAX_SAFE_INTEGER, Number.MIN_VALUE),
)
const versions = fc.record({ incarnation: counts, sequence: counts }, { noNullPrototype: true })

export const keys: fc.Arbitrary<string> = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('base64url'))

const fields = fc
  .uniqueArray(fc.tuple(texts, fc.record({ stamp: versions, value: fc.option(values) }, { noNullPrototype: true })), {
    selector: ([name]) => name,
    maxLength: 20,
  })
  .map((entries) => new Map(entries))

const operations = fc
  .uniqueArray(fc.tuple(texts, fc.record({ count: counts, version: versions }, { noNullPrototype: true })), {
    selector: ([slot]) => slot,
    maxLength: 64,
  })
  .map((entries) => new Map(entries))

export const sessions: fc.Arbitrary<SessionRecord> = fc.record(
  {
    key: keys,
    version: versions,
    generation: counts,
    pending: fc.boolean(),
    floor: counts,
    retired: fc.array(times, { maxLength: 8 }),
    user: fc.option(texts),
    startedAt: times,
    createdAt: times,
    lastSeenAt: times,
    expiresAt: times,
    fields,
    operations,
  },
  { noNullPrototype: true },
)

export const tombstones: fc.Arbitrary<Tombstone> = fc.record(
  { key: keys, endedAt: times, forgetAt: times },
  { noNullPrototype: true },
)
