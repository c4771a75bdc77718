/** Any run of changes, ends and installs on a store, compared with the same run on the pure rules. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  applyChange,
  type Change,
  type ChangeResult,
  type EndResult,
  type OperationId,
  type SessionRecord,
  type Store,
  type Tombstone,
} from '../../src/core/index.ts'
import { compareVersions } from '../../src/token/index.ts'
import { now, randomKey, recordOf } from './changes.ts'

/** What one step asks of a store; the key is drawn anew for each run, so that runs do not meet in one store. */
type Step =
  | { kind: 'apply'; change: Omit<Change, 'key'> }
  | { kind: 'end'; generation: number | undefined }
  | { kind: 'install'; whole: Omit<SessionRecord, 'key'> }
  | { kind: 'installEnd' }

/** The rules of a store for one key, in memory and in the plainest words. */
class Model {
  record: SessionRecord | undefined
  isEnded = false
  readonly #incarnation: number

  constructor(incarnation: number) {
    this.#incarnation = incarnation
  }

  apply(change: Change): ChangeResult {
    const { result, record } = applyChange(this.record, this.isEnded, change, this.#incarnation)
    this.record = record ?? this.record
    return result
  }

  end(generation = Number.POSITIVE_INFINITY): EndResult {
    const { record } = this
    if (record && generation < record.floor) return 'superseded'
    this.record = undefined
    this.isEnded = true
    return record ? 'ended' : 'gone'
  }

  install(whole: SessionRecord): void {
    if (this.isEnded) return
    if (!this.record || compareVersions(whole.version, this.record.version) > 0) this.record = whole
  }
}

/** Plain objects, as a store answers them. */
function record<T>(parts: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(parts, { noNullPrototype: true })
}

const name = fc.constantFrom('a', 'b', '__proto__', 'constructor', '', 'é\u0000🍪')
const value = fc.oneof(fc.constant(null), fc.json(), fc.constantFrom('', '\u0000', '~[]', '"\\ud800"'))
const version = record({ incarnation: fc.nat(2), sequence: fc.integer({ min: 1, max: 9 }) })
const slot = fc.constantFrom('n1', 'n2', 'n3', '__proto__')
const operation: fc.Arbitrary<OperationId> = record({ slot, count: fc.integer({ min: 1, max: 12 }) })
const generation = fc.nat(4)
/** Within the time in which no store may clean: the real clock stands near `now` while the test runs. */
const time = fc.nat(120_000).map((offset) => now + offset)
const expiresAt = fc.integer({ min: 60_000, max: 150_000 }).map((offset) => now + offset)
const user = fc.constantFrom('ada', '__proto__', 'o\u0000')

const change = fc.record(
  {
    operation,
    now: time,
    expiresAt,
    generation,
    unattended: fc.boolean(),
    create: fc.boolean(),
    fields: fc.array(fc.tuple(name, value), { maxLength: 4 }).map((entries) => new Map(entries)),
    expect: record({ field: name, stamp: fc.option(version) }),
    rotate: fc.boolean(),
    confirm: record({ generation: fc.nat(16), graceEndsAt: time }),
    login: record({ user }),
  },
  { requiredKeys: ['operation', 'now', 'expiresAt', 'generation'], noNullPrototype: true },
) as fc.Arbitrary<Omit<Change, 'key'>>

const whole: fc.Arbitrary<Omit<SessionRecord, 'key'>> = record({
  version,
  generation,
  pending: fc.boolean(),
  floor: fc.nat(2),
  retired: fc.array(time, { maxLength: 8 }),
  user: fc.option(user),
  startedAt: time,
  createdAt: time,
  lastSeenAt: time,
  expiresAt,
  fields: fc.array(fc.tuple(name, record({ stamp: version, value }))).map((entries) => new Map(entries)),
  operations: fc
    .array(fc.tuple(slot, record({ count: fc.integer({ min: 1, max: 12 }), version })))
    .map((entries) => new Map(entries)),
}).map((parts) => recordOf('', parts))

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 24, arbitrary: record({ kind: fc.constant('apply'), change }) },
  { weight: 4, arbitrary: record({ kind: fc.constant('install'), whole }) },
  { weight: 1, arbitrary: record({ kind: fc.constant('end'), generation: fc.option(generation, { nil: undefined }) }) },
  { weight: 1, arbitrary: record({ kind: fc.constant('installEnd') }) },
)

/**
 * Rejects with the seed and the shortest run found in which the store and the rules differ.
 *
 * @param incarnation in which the store is
 */
export async function followsTheRules(store: Store, incarnation = 0): Promise<void> {
  const begin: fc.Arbitrary<Step> = record({ kind: fc.constant('apply'), change: change.map(toCreation) })
  const steps = fc.tuple(fc.option(begin), fc.array(step, { minLength: 1, maxLength: 20 }))
  await fc.assert(
    fc.asyncProperty(steps, async ([first, rest]) => {
      const key = randomKey()
      const model = new Model(incarnation)
      for (const each of first ? [first, ...rest] : rest) {
        assert.deepEqual(await run(store, key, each), runModel(model, key, each))
        const record = await store.read(key)
        assert.deepEqual(record, model.record)
        // Maps compare equal in any order, and the order of operations says which one is forgotten first.
        assert.deepEqual([...(record?.operations.keys() ?? [])], [...(model.record?.operations.keys() ?? [])])
      }
    }),
    { numRuns: 200 },
  )
}

function toCreation({ operation, fields, expiresAt, generation }: Omit<Change, 'key'>): Omit<Change, 'key'> {
  return { operation, expiresAt, generation, create: true, now, ...(fields ? { fields } : {}) }
}

function run(store: Store, key: string, step: Step): Promise<unknown> {
  if (step.kind === 'apply') return store.apply({ ...step.change, key })
  if (step.kind === 'install') return store.install({ ...step.whole, key })
  if (step.kind === 'installEnd') return store.install(endOf(key))
  return store.end({ ...endOf(key), ...(step.generation === undefined ? {} : { generation: step.generation }) })
}

function runModel(model: Model, key: string, step: Step): unknown {
  if (step.kind === 'apply') return model.apply({ ...step.change, key })
  if (step.kind === 'install') return model.install({ ...step.whole, key })
  if (step.kind === 'end') return model.end(step.generation)
  model.end()
  return undefined
}

function endOf(key: string): Tombstone {
  return { key, endedAt: now, forgetAt: now + 300_000 }
}
