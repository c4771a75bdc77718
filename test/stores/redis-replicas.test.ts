import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { StoreTimeoutError, StoreUnavailableError, type Store, type StoreContext } from '../../src/core/index.ts'
import { redisStore } from '../../src/stores/redis/index.ts'
import { needs } from '../support/programs.ts'
import { startRedisCluster } from '../support/redis-cluster.ts'
import { QUICK, startReplica, type Replica } from '../support/redis-replica.ts'
import { startRedisSentinel } from '../support/redis-sentinel.ts'
import { askRedis, startRedis, type Redis } from '../support/redis.ts'
import { changeOf, fieldsOf, randomKey, tombstoneOf } from './changes.ts'
import { kinds, listening, openClusterStore, openRedisStore, openSentinelStore } from './redis-support.ts'

const login = { user: 'ada' }

/** A quarter of it is long enough on a slow machine. */
const PATIENT = { deadlineMs: 20_000 }

describe('redisStore with replicas', { skip: needs('redis-server') }, () => {
  let master: Redis
  let replica: Replica
  before(async () => {
    master = await startRedis({ args: QUICK })
    replica = await startReplica(master)
  })
  after(async () => {
    await replica[Symbol.asyncDispose]()
    await master.stop()
  })

  for (const kind of kinds) {
    it(`answers a login, a rotation, a first use and an end once a replica has it, and no other change, with ${kind}`, async () => {
      await using opened = await openRedisStore(kind, master.port, PATIENT)
      const { store } = opened
      const key = randomKey()
      await store.apply(changeOf(key, { create: true }))
      await store.apply(changeOf(key, { fields: fieldsOf({ a: '1' }) }))
      assert.deepEqual(store.stats?.replication, { confirmed: 0, unconfirmed: 0 })
      await store.apply(changeOf(key, { login }))
      const confirm = { generation: 2, graceEndsAt: 0 }
      await store.apply(changeOf(key, { generation: 1, rotate: true }))
      await store.apply(changeOf(key, { generation: 2, confirm }))
      await store.end(tombstoneOf(key))
      assert.deepEqual(store.stats?.replication, { confirmed: 4, unconfirmed: 0 })
    })
  }

  it('settles a login, and refuses those under way, once a replica has it', async () => {
    await using opened = await openRedisStore('a url', master.port, PATIENT)
    const { users } = opened.store
    assert(users)
    const entrance = { user: 'ada', key: randomKey(), at: Date.now() }
    const epoch = await users.enter(entrance)
    assert.equal(await users.settle(entrance, epoch), true)
    assert.deepEqual(opened.store.stats?.replication, { confirmed: 1, unconfirmed: 0 })
    await users.advance('ada')
    assert.equal(await users.settle(entrance, epoch), false)
    assert.deepEqual(opened.store.stats?.replication, { confirmed: 2, unconfirmed: 0 })
  })

  it('answers without it after a part of the deadline, and warns once', async () => {
    const { logger, lines } = listening()
    await using opened = await openRedisStore('a url', master.port, { logger })
    const { store } = opened
    const keys = [randomKey(), randomKey()]
    await replica.hearNoMore()
    for (const key of keys) {
      const result = await store.apply(changeOf(key, { create: true, login }))
      assert.equal(result.outcome, 'applied')
    }
    replica.hearAgain()
    assert.deepEqual(store.stats?.replication, { confirmed: 0, unconfirmed: 2 })
    assert.deepEqual(lines.map(([level]) => level), ['warn']) // prettier-ignore
  })

  it('makes the reads of others wait for nobody meanwhile', async () => {
    await using opened = await openRedisStore('a url', master.port, PATIENT)
    const { store } = opened
    const key = randomKey()
    await store.apply(changeOf(key, { create: true, login }))
    await replica.hearNoMore()
    let isAnswered = false
    const waiting = store.apply(changeOf(key, { generation: 1, login })).then(() => (isAnswered = true))
    while (!/wait/.test(String(await askRedis(master.port, 'CLIENT', 'LIST')))) await store.read(key)
    assert.equal(isAnswered, false)
    assert.equal((await store.read(key))?.generation, 1)
    replica.hearAgain()
    await waiting
  })

  it('lets changes of one moment share a WAIT', async () => {
    await using opened = await openRedisStore('a url', master.port, PATIENT)
    const { store } = opened
    await store.apply(changeOf(randomKey(), { create: true, login }))
    await askRedis(master.port, 'CONFIG', 'RESETSTAT')
    const keys = Array.from({ length: 100 }, randomKey)
    await Promise.all(keys.map((key) => store.apply(changeOf(key, { create: true, login }))))
    assert.deepEqual(store.stats?.replication, { confirmed: 101, unconfirmed: 0 })
    const waits = Number(
      /cmdstat_wait:calls=(\d+)/.exec(String(await askRedis(master.port, 'INFO', 'commandstats')))?.[1],
    )
    assert(waits >= 1 && waits < 50, `${waits} WAITs`)
  })

  describe('and waitReplicas', () => {
    it('answers every change once so many have it', async () => {
      await using opened = await openWaiting(master.port, 1, PATIENT)
      const { store } = opened
      const key = randomKey()
      await store.apply(changeOf(key, { create: true }))
      await store.apply(changeOf(key, { fields: fieldsOf({ a: '1' }) }))
      assert.deepEqual(store.stats?.replication, { confirmed: 2, unconfirmed: 0 })
    })

    it('rejects what too few have after the deadline, and answers it when it is sent again', async () => {
      await using opened = await openWaiting(master.port, 1)
      const { store } = opened
      const key = randomKey()
      const change = changeOf(key, { create: true })
      await replica.hearNoMore()
      await assert.rejects(
        store.apply(change),
        (error) => error instanceof StoreTimeoutError && /made the change/.test(error.message),
      )
      assert.equal((await store.read(key))?.version.sequence, 1)
      replica.hearAgain()
      const again = async (): Promise<unknown> =>
        store.apply(change).catch((error) => error instanceof StoreTimeoutError && again())
      assert.partialDeepStrictEqual(await again(), { outcome: 'applied', version: { sequence: 1 } })
    })

    it('rejects at once where too few are connected', async () => {
      await using opened = await openWaiting(master.port, 2)
      const change = changeOf(randomKey(), { create: true })
      await assert.rejects(
        opened.store.apply(change),
        (error) => error instanceof StoreUnavailableError && /1 are connected/.test(error.message),
      )
    })

    it('is a number', () => {
      for (const waitReplicas of [-1, 0.5, '1']) {
        assert.throws(() => redisStore({ url: 'redis://127.0.0.1', waitReplicas } as never), {
          name: 'TypeError',
          message: /waitReplicas/,
        })
      }
    })
  })
})

describe('redisStore without replicas', { skip: needs('redis-server') }, () => {
  it('sends no WAIT, and opens no connection for it', async () => {
    await using redis = await startRedis()
    await using opened = await openRedisStore('a url', redis.port)
    const { store } = opened
    const key = randomKey()
    await store.apply(changeOf(key, { create: true, login }))
    await store.end(tombstoneOf(key))
    assert.doesNotMatch(String(await askRedis(redis.port, 'INFO', 'commandstats')), /cmdstat_wait/)
    assert.match(String(await askRedis(redis.port, 'INFO', 'clients')), /connected_clients:3/) // one is the test, and one hears the bus
    assert.deepEqual(store.stats?.replication, { confirmed: 0, unconfirmed: 0 })
  })
})

describe('redisStore on a Cluster with replicas', { skip: needs('redis-server') }, () => {
  it('waits for the replica of the master that has the session, with each client', async () => {
    await using cluster = await startRedisCluster({ withReplicas: true })
    for (const kind of kinds) {
      await using opened = await openClusterStore(kind, cluster, PATIENT)
      await assertConfirms(opened.store)
    }
  })
})

describe('redisStore behind Sentinels with replicas', { skip: needs('redis-server') }, () => {
  it('waits for a replica, with each client', async () => {
    await using sentinel = await startRedisSentinel()
    for (const kind of kinds) {
      await using opened = await openSentinelStore(kind, sentinel, PATIENT)
      await assertConfirms(opened.store)
    }
  })
})

async function assertConfirms(store: Store): Promise<void> {
  for (let index = 0; index < 12; index += 1) await store.apply(changeOf(randomKey(), { create: true, login }))
  assert.deepEqual(store.stats?.replication, { confirmed: 12, unconfirmed: 0 })
}

async function openWaiting(
  port: number,
  waitReplicas: number,
  parts: Partial<StoreContext> = {},
): ReturnType<typeof openRedisStore> {
  return openRedisStore('a url', port, parts, { waitReplicas })
}
