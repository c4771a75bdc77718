import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import type { SessionRecord } from '../../../src/core/index.ts'
import { decodePayload, encodePayload, type Payload } from '../../../src/stores/cookie/payload.ts'
import { checkProperty } from '../../support/seed.ts'

const time = fc.integer({ min: 0, max: 4_000_000_000_000 })
const name = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.constantFrom('__proto__', 'constructor', '', 'é🦊'),
)
const value = fc.option(fc.string({ unit: 'grapheme', maxLength: 200 }), { nil: null })

/** Any session as a store that carries it makes one: times in their order, one stamp. */
const payloads: fc.Arbitrary<Payload> = fc
  .record({
    times: fc.tuple(time, time, time).map((times) => times.toSorted((a, b) => a - b)),
    idleMs: fc.integer({ min: 0, max: 10 ** 11 }),
    absoluteMs: fc.option(fc.integer({ min: 0, max: 10 ** 11 }), { nil: Infinity }),
    epoch: fc.nat(),
    generation: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    sequence: fc.nat(),
    user: fc.option(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }), { nil: null }),
    fields: fc.uniqueArray(fc.tuple(name, value), { selector: ([each]) => each, maxLength: 10 }),
  })
  .map(({ times: [createdAt = 0, startedAt = 0, lastSeenAt = 0], ...rest }) => {
    const version = { incarnation: 0, sequence: rest.sequence }
    const absoluteEnd = startedAt + rest.absoluteMs
    const record: SessionRecord = {
      key: 'key',
      version,
      generation: rest.generation,
      pending: false,
      floor: rest.generation,
      retired: [],
      user: rest.user,
      createdAt,
      startedAt,
      lastSeenAt,
      expiresAt: Math.min(lastSeenAt + rest.idleMs, absoluteEnd),
      fields: new Map(rest.fields.map(([field, text]) => [field, { stamp: version, value: text }])),
      operations: new Map(),
    }
    return { record, absoluteEnd, epoch: rest.epoch }
  })

suite('what is inside a seal', () => {
  test('any session comes back as it was, fields of any name included', () =>
    checkProperty(
      fc.property(payloads, (payload) => {
        assert.deepEqual(decodePayload('key', encodePayload(payload)), payload)
      }),
      { runs: 1_000 },
    ))

  test('a large session outgrows the first buffer', () => {
    const stamp = { incarnation: 0, sequence: 1 }
    const fields = new Map(Array.from({ length: 50 }, (_, n) => [`f${n}`, { stamp, value: 'é'.repeat(500 + n) }]))
    const [payload] = fc.sample(payloads, 1)
    assert(payload)
    const record = { ...payload.record, version: stamp, fields }
    assert.deepEqual(decodePayload('key', encodePayload({ ...payload, record }))?.record.fields, fields)
  })

  test('any other bytes are none, and never throw', () =>
    checkProperty(
      fc.property(payloads, fc.uint8Array({ maxLength: 80 }), fc.nat(), (payload, noise, at) => {
        const bytes = encodePayload(payload)
        decodePayload('key', Buffer.from(noise))
        assert.equal(decodePayload('key', bytes.subarray(0, at % bytes.length)), undefined)
        assert.equal(decodePayload('key', Buffer.concat([bytes, Buffer.from([0])])), undefined)
        const changed = Buffer.from(bytes)
        changed[at % bytes.length] = noise[0] ?? 255
        decodePayload('key', changed)
      }),
      { runs: 1_000 },
    ))

  test('clocks that are apart make no negative time', () => {
    const [payload] = fc.sample(payloads, 1)
    assert(payload)
    const record = { ...payload.record, createdAt: 10_000, startedAt: 5_000, lastSeenAt: 7_000, expiresAt: 8_000 }
    const back = decodePayload('key', encodePayload({ ...payload, record, absoluteEnd: 9_000 }))
    assert.deepEqual(
      [back?.record.startedAt, back?.record.lastSeenAt, back?.record.expiresAt],
      [10_000, 10_000, 10_000],
    )
  })
})
