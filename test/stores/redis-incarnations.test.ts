import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import type { ChangeResult, Store } from '../../src/core/index.ts'
import { openSessions } from '../../src/core/sessions.ts'
import { redisStore } from '../../src/stores/redis/index.ts'
import { compareVersions, type Version } from '../../src/token/index.ts'
import { Client } from '../core/fleet.ts'
import { needs } from '../support/programs.ts'
import { startRedisCluster } from '../support/redis-cluster.ts'
import { QUICK, startReplica } from '../support/redis-replica.ts'
import { askRedis, startRedis, untilAnswer } from '../support/redis.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { changeOf, fieldsOf, randomKey } from './changes.ts'
import { followsTheRules } from './differential.ts'
import { openClusterStore, openRedisStore } from './redis-support.ts'

const FIRST = { incarnation: 0, sequence: 1 }

describe('versions of redisStore', { skip: needs('redis-server') }, () => {
  it('begin in incarnation 0 where Redis is empty, for every node', async () => {
    await using redis = await startRedis()
    await using one = await openRedisStore('a url', redis.port)
    await using other = await openRedisStore('a client of ioredis', redis.port)
    assert.deepEqual(await created(one.store, randomKey()), FIRST)
    assert.deepEqual(await created(other.store, randomKey()), FIRST)
  })

  it('begin in a later one where it holds anything, and follow the rules', async () => {
    await using redis = await startRedis()
    await askRedis(redis.port, 'SET', 'of', 'another application')
    await using one = await openRedisStore('a url', redis.port)
    await using other = await openRedisStore('a client of redis', redis.port)
    const { incarnation, sequence } = await created(one.store, randomKey())
    assert(incarnation > 1_600_000_000, 'seconds since 1970')
    assert.equal(sequence, 1)
    assert.deepEqual(await created(other.store, randomKey()), { incarnation, sequence })
    await followsTheRules(other.store, incarnation)
  })

  it('that a failover has lost are not issued again, by no node', async () => {
    await using pair = await startPair()
    await using one = await openRedisStore('a url', pair.port)
    await using other = await openRedisStore('a client of ioredis', pair.port)
    const key = randomKey()
    await created(one.store, key)
    const kept = await changed(one.store, key, 'kept')
    const lost = await pair.failOver(() => changed(other.store, key, 'lost'))
    const record = await one.store.read(key)
    assert.equal(record?.fields.get('a')?.value, '"kept"')
    const [next, after] = [await changed(one.store, key, 'next'), await changed(other.store, key, 'after')]
    assert(compareVersions(next, lost) > 0)
    assert.deepEqual(after, { incarnation: next.incarnation, sequence: next.sequence + 1 })
    assert.deepEqual((await other.store.read(key))?.forkedFrom, kept)
  })

  it('that a failover has lost raise stale for whoever has seen them', async () => {
    await using pair = await startPair()
    const sessions = openSessions<{ a?: string }>(
      { store: redisStore({ url: `redis://127.0.0.1:${pair.port}` }), secret: randomBytes(32).toString('base64url') },
      { clock: { now: Date.now }, logger: { info() {}, warn() {}, error() {} } },
    )
    await using _closing = sessions
    const stale: Version[] = []
    sessions.on('stale', ({ seen }) => void stale.push(seen))
    const client = new Client()
    const write = (text: string) => client.visit(sessions, ({ data }) => void (data.a = text))
    await write('kept')
    const before = client.clone()
    await pair.failOver(() => write('lost'))
    const lost = client.clone()
    // The first request may still find the connection that was cut.
    await until(() => client.visit(sessions, ({ data }) => data.a).catch(() => undefined), 'kept')
    assert.equal(stale.length > 0, true)
    await client.visit(sessions, ({ data }) => void (data.a = 'next'))
    stale.length = 0
    assert.equal(await before.visit(sessions, ({ data }) => data.a), 'next')
    assert.deepEqual(stale, [])
    const { hits = 0 } = sessions.stats().nearCache ?? {}
    const isCopied = async (): Promise<boolean> => {
      await before.visit(sessions, ({ data }) => data.a)
      return (sessions.stats().nearCache?.hits ?? 0) > hits
    }
    await until(isCopied, true)
    assert.equal(await lost.visit(sessions, ({ data }) => data.a), 'next')
    assert.deepEqual(stale, [{ incarnation: 0, sequence: 2 }])
  })

  it('that a master had issued before it was demoted are not issued again when it is promoted again', async () => {
    await using first = await startRedis({ args: QUICK })
    await using second = await startReplica(first)
    await using opened = await openRedisStore('a url', first.port)
    const { store } = opened
    const key = randomKey()
    await created(store, key)
    await second.hearNoMore()
    const lost = await changed(store, key, 'lost')
    // It steps down for a replica that has not the last change, takes over what that one has, and steps up again,
    // alive all the time, with its connections and with every script that it has seen.
    await askRedis(second.port, 'REPLICAOF', 'NO', 'ONE')
    await askRedis(first.port, 'REPLICAOF', '127.0.0.1', `${second.port}`)
    await untilAnswer(first.port, ['INFO', 'replication'], /master_link_status:up/)
    await askRedis(first.port, 'REPLICAOF', 'NO', 'ONE')
    const next = await changed(store, key, 'next')
    assert.equal(next.sequence, lost.sequence, 'the change was lost')
    assert(compareVersions(next, lost) > 0)
  })

  for (const [title, args] of [
    ['with what it had saved', ['--appendonly', 'yes', '--appendfsync', 'always']],
    ['with nothing', []],
  ] as const) {
    it(`are not issued again after a restart ${title}`, async () => {
      await using redis = await startRedis({ args })
      await using opened = await openRedisStore('a url', redis.port)
      const { store } = opened
      const key = randomKey()
      await created(store, key)
      await redis.restart()
      if (args.length === 0) {
        assert.deepEqual(await store.apply(changeOf(key)), { outcome: 'gone' })
        return assert.deepEqual(await created(store, randomKey()), FIRST)
      }
      const { incarnation, sequence } = await changed(store, key, 'next')
      assert(incarnation > 0)
      assert.equal(sequence, 2)
    })
  }

  it('stay in their incarnation after SCRIPT FLUSH', async () => {
    await using redis = await startRedis()
    await using opened = await openRedisStore('a url', redis.port)
    const { store } = opened
    const key = randomKey()
    await created(store, key)
    await askRedis(redis.port, 'SCRIPT', 'FLUSH')
    assert.deepEqual(await changed(store, key, 'next'), { incarnation: 0, sequence: 2 })
  })

  it('begin in incarnation 0 on each master of an empty Cluster, for every node', async () => {
    await using cluster = await startRedisCluster()
    await using one = await openClusterStore('a url', cluster)
    await using other = await openClusterStore('a client of ioredis', cluster)
    const keys = Array.from({ length: 60 }, randomKey) // enough for each master to have some
    for (const key of keys) assert.deepEqual(await created(one.store, key), FIRST)
    const slots = await Promise.all(keys.map((key) => cluster.slotOf(`sojourn:${key}`)))
    const masters = await Promise.all(slots.map((slot) => cluster.masterOf(slot)))
    assert.equal(new Set(masters).size, 3, 'the keys are spread')
    for (const key of keys) assert.deepEqual(await changed(other.store, key, 'a'), { incarnation: 0, sequence: 2 })
  })
})

async function created(store: Store, key: string): Promise<Version> {
  return versionOf(await store.apply(changeOf(key, { create: true, fields: fieldsOf({ a: '"created"' }) })))
}

async function changed(store: Store, key: string, value: string): Promise<Version> {
  return versionOf(await store.apply(changeOf(key, { fields: fieldsOf({ a: `"${value}"` }) })))
}

function versionOf(result: ChangeResult): Version {
  assert(result.outcome === 'applied', result.outcome)
  return result.version
}

async function until<T>(ask: () => Promise<T>, wanted: T): Promise<void> {
  while ((await ask()) !== wanted) await new Promise((resolve) => setTimeout(resolve, 10))
}

interface Pair extends AsyncDisposable {
  /** Of whichever is the master. */
  readonly port: number
  /** Kills the master after a change that its replica has not heard of, and promotes the replica. */
  failOver<T>(change: () => Promise<T>): Promise<T>
}

/** A master and its replica. */
async function startPair(): Promise<Pair> {
  const master = await startRedis({ args: QUICK })
  const replica = await startReplica(master)
  const to = { port: master.port }
  const proxy = await startTcpProxy({ to })
  return {
    port: proxy.port,
    async failOver(change) {
      await replica.hearNoMore()
      const result = await change()
      await master.kill()
      await askRedis(replica.port, 'REPLICAOF', 'NO', 'ONE')
      to.port = replica.port
      proxy.cut()
      return result
    },
    async [Symbol.asyncDispose]() {
      await proxy.close()
      await master.stop()
      await replica[Symbol.asyncDispose]()
    },
  }
}
