import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CLEANING_MARGIN_MS, type Store } from '../../src/core/index.ts'
import { TimeHeap } from '../../src/stores/memory/heap.ts'
import { memoryStore } from '../../src/stores/memory/index.ts'
import { changeOf, fieldsOf, inAnHour, now, randomKey, recordOf, tombstoneOf } from './changes.ts'
import { makeMemoryStore } from './memory-support.ts'

const kilobytes = (count: number): string => JSON.stringify('x'.repeat(count * 1024))
const full = { name: 'StoreFullError', code: 'store_full', status: 503 }

async function create(
  store: Store,
  key: string,
  { at = now, user }: { at?: number; user?: string } = {},
): Promise<void> {
  const login = user === undefined ? {} : { login: { user } }
  const { outcome } = await store.apply(changeOf(key, { now: at, create: true, ...login }))
  assert.equal(outcome, 'applied')
}

/** Which of the sessions are still there. */
async function left(store: Store, keys: readonly string[]): Promise<string[]> {
  const records = await Promise.all(keys.map((key) => store.read(key)))
  return keys.filter((_, index) => records[index] !== undefined)
}

describe('memoryStore when it is full', () => {
  it('drops the session without a user that was seen least lately, and says so', async () => {
    const { store, dropped } = makeMemoryStore({ maxSessions: 3 })
    for (const [index, key] of ['a', 'b', 'c'].entries()) await create(store, key, { at: now + index })
    await store.apply(changeOf('a', { now: now + 10 }))
    await create(store, 'd', { at: now + 11 })
    await create(store, 'e', { at: now + 12 })
    assert.deepEqual(dropped, ['b', 'c'])
    assert.deepEqual(await left(store, ['a', 'b', 'c', 'd', 'e']), ['a', 'd', 'e'])
  })

  it('never drops a session with a user, and refuses the creation', async () => {
    const { store, dropped } = makeMemoryStore({ maxSessions: 2 })
    await create(store, 'a', { user: 'ada' })
    await create(store, 'b')
    await store.apply(changeOf('b', { login: { user: 'bob' } }))
    await assert.rejects(store.apply(changeOf('c', { create: true })), full)
    await assert.rejects(store.install(recordOf('c')), full)
    assert.deepEqual(await left(store, ['a', 'b', 'c']), ['a', 'b'])
    assert.deepEqual(dropped, [])
  })

  it('still changes and ends what it has', async () => {
    const { store } = makeMemoryStore({ maxSessions: 1 })
    await create(store, 'a', { user: 'ada' })
    assert.equal((await store.apply(changeOf('a', { generation: 0, fields: fieldsOf({ a: '1' }) }))).outcome, 'applied')
    assert.equal(await store.end(tombstoneOf('a')), 'ended')
    await create(store, 'b', { user: 'bob' })
  })

  it('makes room for a session that grows, and does not drop that one', async () => {
    const { store, dropped } = makeMemoryStore({ maxBytes: 50_000 })
    for (const [index, key] of ['a', 'b', 'c'].entries()) {
      await store.apply(changeOf(key, { create: true, now: now + index, fields: fieldsOf({ a: kilobytes(12) }) }))
    }
    const change = changeOf('a', { unattended: true, fields: fieldsOf({ b: kilobytes(12) }) })
    assert.equal((await store.apply(change)).outcome, 'applied')
    assert.deepEqual(dropped, ['b'])
    assert.deepEqual(await left(store, ['a', 'b', 'c']), ['a', 'c'])
  })

  it('drops nothing where that would not be enough, and leaves the session as it was', async () => {
    const { store, dropped } = makeMemoryStore({ maxBytes: 50_000 })
    for (const key of ['a', 'b']) await create(store, key)
    await create(store, 'c', { user: 'ada' })
    const before = await store.read('c')
    await assert.rejects(store.apply(changeOf('c', { fields: fieldsOf({ a: kilobytes(60) }) })), full)
    await assert.rejects(store.apply(changeOf('a', { fields: fieldsOf({ a: kilobytes(60) }) })), full)
    assert.deepEqual(dropped, [])
    assert.deepEqual(await left(store, ['a', 'b', 'c']), ['a', 'b', 'c'])
    assert.equal(await store.read('c'), before)
  })

  it('counts sessions whose time is over as room, with a user or without', async () => {
    const { store, dropped, clock } = makeMemoryStore({ maxBytes: 60_000 })
    const keys = Array.from({ length: 10 }, () => randomKey())
    for (const [index, key] of keys.entries()) {
      const login = index % 2 ? { login: { user: 'ada' } } : {}
      await store.apply(changeOf(key, { create: true, fields: fieldsOf({ a: kilobytes(4) }), ...login }))
    }
    await create(store, 'alive', { at: now + 1 })
    await store.apply(changeOf('alive', { expiresAt: inAnHour + 1 }))
    clock.time = inAnHour + CLEANING_MARGIN_MS
    const change = changeOf('new', { create: true, now: clock.time, fields: fieldsOf({ a: kilobytes(50) }) })
    assert.equal((await store.apply({ ...change, expiresAt: clock.time + 1_000 })).outcome, 'applied')
    assert.deepEqual(dropped, [])
    assert.deepEqual(await left(store, [...keys, 'alive', 'new']), ['alive', 'new'])
  })

  it('tells of a dropped session when the new one is there', async () => {
    const seen: unknown[] = []
    const { store } = makeMemoryStore({ maxSessions: 1 }, (key) => {
      seen.push(store.read(key), store.read('b'))
    })
    await create(store, 'a')
    await create(store, 'b')
    assert.partialDeepStrictEqual(await Promise.all(seen), [undefined, { key: 'b' }])
  })
})

describe('memoryStore over time', () => {
  it('keeps a session for the margin after its end, and cleans it away then', async () => {
    const { store, clock } = makeMemoryStore()
    const key = randomKey()
    await create(store, key)
    clock.time = inAnHour + CLEANING_MARGIN_MS - 1
    assert.equal((await store.read(key))?.key, key)
    clock.time += 1
    assert.equal(await store.read(key), undefined)
  })

  it('forgets an end when it may and not before, whichever of two ends says so', async () => {
    const { store, clock } = makeMemoryStore()
    await store.end({ key: 'a', endedAt: now, forgetAt: now + 100 })
    await store.end({ key: 'a', endedAt: now, forgetAt: now + 50 })
    clock.time = now + 99
    assert.equal((await store.apply(changeOf('a', { create: true }))).outcome, 'gone')
    clock.time = now + 100
    assert.equal((await store.apply(changeOf('a', { create: true }))).outcome, 'applied')
  })

  it('removes more in one call than it adds, so that what is over does not pile up', async () => {
    const { store, clock } = makeMemoryStore()
    for (let index = 0; index < 100; index += 1) await store.end({ key: `${index}`, endedAt: now, forgetAt: now + 1 })
    clock.time = now + 1
    for (let index = 0; index < 50; index += 1) await store.read('other')
    for (let index = 0; index < 100; index += 1) await create(store, `${index}`)
  })

  it('takes no more memory for many visitors than for the most it keeps', async () => {
    const { store, dropped } = makeMemoryStore({ maxSessions: 10 })
    const keys = Array.from({ length: 1_000 }, () => randomKey())
    for (const [index, key] of keys.entries()) await create(store, key, { at: now + index })
    assert.deepEqual(dropped, keys.slice(0, -10))
    assert.deepEqual(await left(store, keys), keys.slice(-10))
  })
})

describe('memoryStore', () => {
  it('refuses calls after it was closed instead of knowing nothing', async () => {
    const { store } = makeMemoryStore()
    await store.close()
    await assert.rejects(store.read('a'), { code: 'store_unavailable' })
    await assert.rejects(store.check(), { code: 'store_unavailable' })
  })

  it('is not shared, and refuses options that do not fit', () => {
    assert.partialDeepStrictEqual(memoryStore(), { name: 'memory', shared: false })
    for (const options of [{ maxSessions: 0 }, { maxBytes: Number.NaN }, { maxSessions: '5' }, { max: 5 }]) {
      assert.throws(() => memoryStore(options as object), TypeError)
    }
  })

  it('has its times in order however they come and go', () => {
    const add = fc.record({ add: fc.nat(50) })
    const remove = fc.record({ remove: fc.nat() })
    fc.assert(
      fc.property(fc.array(fc.oneof(add, add, remove), { minLength: 20, maxLength: 100 }), (steps) => {
        const heap = new TimeHeap<number>()
        const places: ReturnType<typeof heap.add>[] = []
        for (const step of steps) {
          if ('add' in step) places.push(heap.add(step.add, step.add))
          else for (const place of places.splice(step.remove % (places.length + 1), 1)) heap.remove(place)
        }
        const drained: number[] = []
        for (let { first } = heap; first; { first } = heap) {
          drained.push(first.thing)
          heap.remove(first)
        }
        assert.deepEqual(
          drained,
          places.map(({ at }) => at).toSorted((a, b) => a - b),
        )
      }),
      { numRuns: 1_000 },
    )
  })
})
