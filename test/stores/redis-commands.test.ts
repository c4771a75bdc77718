import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createClient } from 'redis'
import { CLEANING_MARGIN_MS, StoreUnavailableError, type Store } from '../../src/core/index.ts'
import { needs } from '../support/programs.ts'
import { startRedis, type Redis } from '../support/redis.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { changeOf, createNode, fieldsOf, inAnHour, now, randomKey, recordOf, tombstoneOf } from './changes.ts'
import { kinds, makeRedisStore, openRedisStore } from './redis-support.ts'

describe('what redisStore asks of Redis', { skip: needs('redis-server') }, () => {
  let redis: Redis
  let store: Store
  let client: ReturnType<typeof createClient>
  let admin: ReturnType<typeof createClient>
  before(async () => {
    redis = await startRedis()
    client = createClient({ url: redis.url, pingInterval: 0 })
    await client.connect()
    store = makeRedisStore({ client, nearCache: false }) // no copies, and so no leases
    await store.ready()
    admin = createClient({ url: redis.url })
    await admin.connect()
  })
  after(async () => {
    await store.close()
    client.destroy()
    admin.destroy()
    await redis.stop()
  })

  /** Calls of each command since `CONFIG RESETSTAT`, without those of the test. */
  async function commands(): Promise<Record<string, number>> {
    const calls = [...(await admin.info('commandstats')).matchAll(/cmdstat_([^:]+):calls=(\d+)/g)]
    return Object.fromEntries(
      calls.map(([, name, count]) => [name, Number(count)]).filter(([name]) => !/^(info|config)/.test(`${name}`)),
    )
  }

  async function assertLives(key: string, ms: number): Promise<void> {
    const left = await admin.pTTL(`sojourn:${key}`)
    assert(left <= ms && left > ms - 60_000, `${left} ms are left, of ${ms}`)
  }

  it('is one HGETALL for a read, one EVALSHA for a change, and for an end another that tells the other nodes', async () => {
    const key = randomKey()
    await store.apply(changeOf(key, { create: true, fields: fieldsOf({ a: '1' }) }))
    await admin.configResetStat()
    await store.read(key)
    assert.deepEqual(await commands(), { hgetall: 1 })
    await admin.configResetStat()
    await store.apply(changeOf(key, { fields: fieldsOf({ a: '2' }) }))
    assert.deepEqual(await commands(), { evalsha: 1, hmget: 1, hset: 1, pexpire: 1, exists: 1 })
    await store.end(tombstoneOf(randomKey())) // the scripts are known from now on, and so is who listens
    await admin.configResetStat()
    await store.end(tombstoneOf(key))
    const script = { hmget: 1, del: 1, hset: 1, pexpire: 1 }
    assert.deepEqual(await commands(), { evalsha: 2, ...script, time: 1, hget: 1, publish: 1, hgetall: 1 })
  })

  it('is at most 220 bytes beside the value for a change of one field in a session of 1 KB', async () => {
    await using proxy = await startTcpProxy({ to: { port: redis.port } })
    await using opened = await openRedisStore('a client of redis', proxy.port)
    const key = randomKey()
    const node = createNode()
    const cart = JSON.stringify('x'.repeat(1_000))
    const login = { user: 'user-123456' }
    await opened.store.apply(changeOf(key, { create: true, login, operation: node.next(), fields: fieldsOf({ cart }) }))
    const sent = proxy.bytes.up
    await opened.store.apply(changeOf(key, { operation: node.next(), fields: fieldsOf({ views: '12345' }) }))
    const bytes = proxy.bytes.up - sent - '12345'.length
    assert(bytes > 0 && bytes <= 220, `${bytes} bytes`)
  })

  for (const kind of kinds) {
    it(`goes on after SCRIPT FLUSH, with ${kind}`, async () => {
      await using opened = await openRedisStore(kind, redis.port)
      const { store } = opened
      const whole = recordOf(randomKey())
      await admin.scriptFlush()
      await store.install(whole)
      await admin.scriptFlush()
      const change = changeOf(whole.key, { fields: fieldsOf({ a: '1' }) })
      const results = await Promise.all([store.apply(change), store.apply(change)])
      assert.deepEqual(results[0], results[1])
      assert.partialDeepStrictEqual(results[0], { outcome: 'applied', version: { sequence: 2 } })
      await admin.scriptFlush()
      assert.equal(await store.end(tombstoneOf(whole.key)), 'ended')
    })
  }

  it('touches no key but that of the session and the lists of incarnations and nodes, under its prefix', async () => {
    await admin.flushAll()
    const other = makeRedisStore({ url: redis.url, keyPrefix: 'shop:' })
    await other.ready()
    const key = randomKey()
    await other.apply(changeOf(key, { create: true }))
    await other.apply(changeOf(key))
    assert.deepEqual((await admin.keys('*')).toSorted(), [`shop:${key}`, 'shop:incarnations'].toSorted())
    assert.equal(await store.read(key), undefined)
    await other.end(tombstoneOf(key))
    const lists = ['shop:incarnations', 'shop:nodes:{shop:incarnations}']
    assert.deepEqual(new Set(await admin.keys('*')), new Set([`shop:${key}`, ...lists]))
    await other.close()
  })

  describe('keeps a session as long as it may be needed', () => {
    it('until its end and a margin, counted from the change', async () => {
      const key = randomKey()
      await store.apply(changeOf(key, { create: true }))
      await assertLives(key, inAnHour - now + CLEANING_MARGIN_MS)
      await store.apply(changeOf(key, { expiresAt: inAnHour + 7_200_000 }))
      await assertLives(key, inAnHour - now + 7_200_000 + CLEANING_MARGIN_MS)
    })

    it('whatever clock the nodes have', async () => {
      const key = randomKey()
      await store.apply(changeOf(key, { create: true, now: 1_000, expiresAt: 3_601_000 }))
      await assertLives(key, 3_600_000 + CLEANING_MARGIN_MS)
      assert.equal((await store.read(key))?.expiresAt, 3_601_000)
    })

    it('no longer for a change outside a request', async () => {
      const key = randomKey()
      await store.apply(changeOf(key, { create: true }))
      await store.apply(changeOf(key, { unattended: true, expiresAt: inAnHour * 2 }))
      await assertLives(key, inAnHour - now + CLEANING_MARGIN_MS)
    })

    it('for ever where it has no end', async () => {
      const key = randomKey()
      await store.apply(changeOf(key, { create: true, expiresAt: Number.POSITIVE_INFINITY }))
      await store.apply(changeOf(key, { expiresAt: Number.POSITIVE_INFINITY }))
      assert.equal((await store.read(key))?.expiresAt, Number.POSITIVE_INFINITY)
      assert.equal(await admin.pTTL(`sojourn:${key}`), -1)
      await store.end({ key, endedAt: now, forgetAt: now + 60_000 })
      await assertLives(key, 60_000)
    })

    it('as an installed record, and the tombstone as long as it says', async () => {
      const whole = recordOf(randomKey())
      await store.install(whole)
      await assertLives(whole.key, inAnHour - now + CLEANING_MARGIN_MS)
      await store.install({ key: whole.key, endedAt: now, forgetAt: now + 60_000 })
      await assertLives(whole.key, 60_000)
    })

    it('and no earlier end shortens the life of a tombstone', async () => {
      const key = randomKey()
      await store.end({ key, endedAt: now, forgetAt: now + 600_000 })
      await store.end({ key, endedAt: now, forgetAt: now + 60_000 })
      await assertLives(key, 600_000)
    })
  })

  it('keeps numbers exact where Lua would round them', async () => {
    const version = { incarnation: 0, sequence: 2 ** 52 }
    const generation = 2 ** 51
    const whole = recordOf(randomKey(), { version, generation, lastSeenAt: now + 0.123, createdAt: 1e15 })
    await store.install(whole)
    const operation = { slot: 'a slot; with what separates', count: 2 ** 53 - 1 }
    const change = changeOf(whole.key, { operation, generation, login: { user: 'ada' } })
    assert.deepEqual(await store.apply(change), {
      outcome: 'applied',
      version: { incarnation: 0, sequence: 2 ** 52 + 1 },
      generation: 2 ** 51 + 1,
      pending: false,
    })
    const record = await store.read(whole.key)
    assert.partialDeepStrictEqual(record, { lastSeenAt: now + 0.123, createdAt: 1e15 })
    assert.equal(record?.operations.get(operation.slot)?.count, 2 ** 53 - 1)
  })

  it('keeps a thousand fields, and names that mean something to Redis, Lua or JavaScript', async () => {
    const key = randomKey()
    const names = ['v', 'm', 't', ':', '', '__proto__', '%d+', 'a=b', '\u0000', '\r\n$5\r\nhello', '🍪', ' ']
    for (let index = names.length; index < 1_000; index += 1) names.push(`field-${index}`)
    const fields = new Map(names.map((name) => [name, JSON.stringify(name)]))
    await store.apply(changeOf(key, { create: true, fields }))
    const read = await store.read(key)
    assert.deepEqual(new Map([...(read?.fields ?? [])].map(([name, { value }]) => [name, value])), fields)
  })

  it('tells of a key under which another application keeps something else', async () => {
    const key = randomKey()
    await admin.set(`sojourn:${key}`, 'cached')
    for (const call of [store.read(key), store.apply(changeOf(key)), store.end(tombstoneOf(key))]) {
      await assert.rejects(call, (error) => error instanceof StoreUnavailableError && /keyPrefix/.test(error.message))
    }
    assert.equal(await admin.get(`sojourn:${key}`), 'cached')
  })
})
