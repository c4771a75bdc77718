import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Store, StoreContext } from '../../src/core/index.ts'
import { needs } from '../support/programs.ts'
import { askRedis } from '../support/redis.ts'
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.ts'
import { type RedisSentinel, startRedisSentinel } from '../support/redis-sentinel.ts'
import { changeOf, fieldsOf, randomKey, tombstoneOf } from './changes.ts'
import { nearStats, until, untilCopied, untilListIsOld } from './near-support.ts'
import { type Kind, openClusterStore, openSentinelStore, type OpenRedisStore } from './redis-support.ts'

/** Calls wait for a failover. */
const patient: Partial<StoreContext> = { deadlineMs: 20_000 }
const options = { nearCache: { lease: '400ms' } } as const

// Most of the time they wait for a failover.
describe('the near cache of redisStore', { skip: needs('redis-server'), concurrency: true }, () => {
  describe('on a Cluster', { concurrency: 1 }, () => {
    let cluster: RedisCluster
    before(async () => (cluster = await startRedisCluster({ withReplicas: true })))
    after(() => cluster.stop())
    const open = (kind: Kind, keyPrefix = 'sojourn:'): Promise<OpenRedisStore> =>
      openClusterStore(kind, cluster, patient, { ...options, keyPrefix })

    for (const kind of ['a url', 'a client of redis'] as const) {
      test(`hears of changes on every master, with ${kind}`, async () => {
        await using here = await open(kind)
        await using there = await open(kind)
        await assertCoherent(here.store, there.store)
      })
    }

    test('serves nothing of before while a slot goes to another master', async () => {
      const keyPrefix = `{${randomKey()}}`
      await using here = await open('a url', keyPrefix)
      await using there = await open('a client of redis', keyPrefix)
      await untilListIsOld(there)
      const slot = await cluster.slotOf(keyPrefix)
      const home = await cluster.masterOf(slot)
      const other = cluster.masters.find((master) => master !== home)
      assert(other)
      const keys = await create(there.store, 3)
      const missing = [randomKey(), randomKey()]
      for (const key of [...keys, ...missing]) await here.store.read(key)
      let step = 0
      await cluster.moveSlot(slot, home, other, async () => {
        step += 1
        for (const key of keys) await assertFollows(here.store, there.store, key, `${step}`)
        const [ending = ''] = await create(there.store, 1)
        await here.store.read(ending)
        await assertEnds(here.store, there.store, ending)
        // Of what is not there the master that had the slot hears nothing when it is made on the other.
        const absent = missing.pop()
        if (absent === undefined) return
        await there.store.apply(changeOf(absent, { create: true }))
        await until(() => here.store.read(absent), 'a session is found that was missing')
      })
      await untilCopied(here, keys[0] ?? '')
    })

    test('serves nothing of before an end that was acknowledged after a master was killed, and copies again later', async () => {
      await using here = await open('a url')
      await using there = await open('a client of redis')
      const keys = await create(there.store, 12)
      for (const key of keys) await untilCopied(here, key)
      const [master] = cluster.masters
      assert(master)
      await master.kill()
      await assertEndsAndFollows(here.store, there.store, keys)
      await master.restart()
      await cluster.untilFailedOver(master)
      await assertCoherent(here.store, there.store)
    })

    test('is off where the servers do not tell what they are in charge of, and says so', async () => {
      for (const { port } of [...cluster.masters, ...cluster.replicas]) {
        await askRedis(port, 'ACL', 'SETUSER', 'default', '-cluster|nodes')
      }
      await using opened = await open('a url')
      assert.match(nearStats(opened).off ?? '', /CLUSTER NODES.*NOPERM/)
      for (const { port } of [...cluster.masters, ...cluster.replicas]) {
        await askRedis(port, 'ACL', 'SETUSER', 'default', '+@all')
      }
    })
  })

  describe('behind Sentinels', { concurrency: 1 }, () => {
    let sentinel: RedisSentinel
    before(async () => (sentinel = await startRedisSentinel({ replicas: 1 })))
    after(() => sentinel.stop())
    const open = (kind: Kind): Promise<OpenRedisStore> => openSentinelStore(kind, sentinel, patient, options)

    test('hears of changes, and serves nothing of before an end that was acknowledged after a failover', async () => {
      await using here = await open('a url')
      await using there = await open('a client of redis')
      await assertCoherent(here.store, there.store)
      await assertCoherent(there.store, here.store)
      const keys = await create(there.store, 6)
      for (const key of keys) await untilCopied(here, key)
      const master = await sentinel.master()
      await master.kill()
      await assertEndsAndFollows(here.store, there.store, keys)
      await master.restart()
      await assertCoherent(here.store, there.store)
    })
  })
})

async function create(store: Store, count: number): Promise<string[]> {
  const keys = Array.from({ length: count }, randomKey)
  for (const key of keys) await store.apply(changeOf(key, { create: true, fields: fieldsOf({ a: '1' }) }))
  return keys
}

/** `here` hears of changes by `there`, also after one of its own, and an end is heard of when it is acknowledged. */
async function assertCoherent(here: Store, there: Store): Promise<void> {
  assert.equal(nearStats({ store: here }).off, undefined)
  const checked = (await create(there, 12)).map(async (key) => {
    await untilCopied({ store: here }, key)
    await assertFollows(here, there, key, '2')
    await here.apply(changeOf(key, { fields: fieldsOf({ a: '3' }) }))
    await assertFollows(here, there, key, '4')
    await untilCopied({ store: here }, key)
    await assertEnds(here, there, key)
  })
  await Promise.all(checked)
}

/** Ends half of the sessions that `here` has copies of, and changes the others. */
async function assertEndsAndFollows(here: Store, there: Store, keys: readonly string[]): Promise<void> {
  const checked = keys.map((key, index) =>
    index % 2 === 0 ? assertEnds(here, there, key) : assertFollows(here, there, key, 'after'),
  )
  await Promise.all(checked)
}

async function assertEnds(here: Store, there: Store, key: string): Promise<void> {
  await there.end(tombstoneOf(key))
  assert.equal(here.copy?.(key), undefined)
  assert.equal(await here.read(key), undefined)
}

async function assertFollows(here: Store, there: Store, key: string, a: string): Promise<void> {
  await there.apply(changeOf(key, { fields: fieldsOf({ a }) }))
  await until(async () => (await here.read(key))?.fields.get('a')?.value === a, `${a} is read`)
}
