import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { StoreTimeoutError, StoreUnavailableError } from '../../src/core/index.ts'
import { Breaker } from '../../src/stores/redis/breaker.ts'
import { UNANSWERED_MAX } from '../../src/stores/redis/limits.ts'
import { slotOf } from '../../src/stores/redis/slot.ts'
import { needs } from '../support/programs.ts'
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.ts'
import { startRedis } from '../support/redis.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { changeOf, fieldsOf, randomKey, tombstoneOf } from './changes.ts'
import { kinds, listening, openClusterStore, openRedisStore } from './redis-support.ts'

describe('the breaker', () => {
  it('stays closed as long as some call is answered between those that are not', () => {
    const { breaker, told } = makeBreaker()
    for (let times = 0; times < 10; times += 1) {
      silence(breaker, UNANSWERED_MAX - 1)
      breaker.answered()
    }
    assert.equal(breaker.isOpen, false)
    assert.deepEqual(told, [])
  })

  it('sends one probe at a time, and is closed by the first that is answered alone', async () => {
    const { breaker, probes, told, asked } = makeBreaker()
    silence(breaker, UNANSWERED_MAX)
    silence(breaker, 100)
    breaker.answered() // an answer from before, on its way still
    assert.equal(breaker.isOpen, true)
    assert.equal(probes.length, 1)
    probes[0]?.(false)
    await asked()
    assert.equal(breaker.isOpen, true)
    assert.equal(probes.length, 2)
    probes[1]?.(true)
    await new Promise(setImmediate)
    assert.equal(breaker.isOpen, false)
    assert.deepEqual(told, ['opened', 'closed'])
    silence(breaker, UNANSWERED_MAX - 1)
    assert.equal(breaker.isOpen, false)
  })

  it('sends no more once it was stopped', async () => {
    const { breaker, probes, told } = makeBreaker()
    silence(breaker, UNANSWERED_MAX)
    breaker.stop()
    probes[0]?.(true)
    await new Promise(setImmediate)
    silence(breaker, UNANSWERED_MAX)
    assert.equal(probes.length, 1)
    assert.deepEqual(told, ['opened'])
  })
})

describe('redisStore on a standing connection without answers', { skip: needs('redis-server') }, () => {
  for (const kind of kinds) {
    it(`refuses calls at once, tells once, and serves again by itself, with ${kind}`, async () => {
      await using redis = await startRedis()
      await using proxy = await startTcpProxy({ to: { port: redis.port } })
      const { logger, isBack, lines } = listening()
      await using opened = await openRedisStore(kind, proxy.port, { deadlineMs: 200, logger })
      const { store } = opened
      redis.pause()
      await fallSilent(() => store.read(randomKey()))
      let commands = 0
      const sent = proxy.received('up', 'HGETALL').then(() => (commands += 1))
      sent.catch(() => {})
      for (let wave = 0; wave < 10; wave += 1) {
        for (const result of await Promise.allSettled(Array.from({ length: 100 }, () => store.read(randomKey())))) {
          assert(result.status === 'rejected' && result.reason instanceof StoreUnavailableError, JSON.stringify(result))
          assert.equal(result.reason.code, 'store_unavailable')
          assert.deepEqual(result.reason.headers, { 'retry-after': '1' })
        }
      }
      await assert.rejects(store.check(), { code: 'store_unavailable' })
      assert.equal(commands, 0)
      const { refused = 0, outages } = store.stats?.connection ?? {}
      assert(refused >= 1_001, `${refused}`) // the lease of copies asks by itself
      assert.equal(outages, 1)
      redis.resume()
      await isBack
      const key = randomKey()
      await store.apply(changeOf(key, { create: true, fields: fieldsOf({ a: '1' }) }))
      assert((await store.read(key))?.key === key)
      await sent
      assert.partialDeepStrictEqual(store.stats?.connection, { state: 'ready', outages: 1 })
      assert.deepEqual(lines.map(([level]) => level), ['warn', 'info']) // prettier-ignore
    })
  }

  it('stays open while answers come too late, and closes when they come in time', async () => {
    await using redis = await startRedis()
    await using proxy = await startTcpProxy({ to: { port: redis.port } })
    const { logger, isBack, lines } = listening()
    await using opened = await openRedisStore('a client of ioredis', proxy.port, { deadlineMs: 200, logger })
    const { store } = opened
    proxy.latency(250)
    await fallSilent(() => store.read(randomKey()))
    const late = proxy.received('down', '+PONG')
    assert.equal(store.stats?.connection?.state, 'silent')
    await late
    await assert.rejects(store.check(), { code: 'store_unavailable' })
    assert.equal(lines.length, 1)
    proxy.latency(0)
    await isBack
    await store.check()
  })

  it('holds no more than it may of calls that were given up', async () => {
    await using redis = await startRedis()
    const { logger, isBack } = listening()
    await using opened = await openRedisStore('a client of ioredis', redis.port, { deadlineMs: 200, logger })
    const { store } = opened
    redis.pause()
    const large = fieldsOf({ a: JSON.stringify('x'.repeat(2 ** 20)) })
    const results = await Promise.allSettled(Array.from({ length: 100 }, () => store.apply(changeOf(randomKey(), { create: true, fields: large })))) // prettier-ignore
    const reasons = results.map((result) => (result.status === 'rejected' ? result.reason : undefined))
    assert.equal(reasons.filter((reason) => reason instanceof StoreTimeoutError).length, 64)
    assert.equal(reasons.filter((reason) => /does not keep up/.test(String(reason))).length, 36)
    assert.equal(store.stats?.connection?.calls, 64)
    redis.resume()
    await isBack
    assert.equal(store.stats?.connection?.calls, 0)
  })
})

describe('redisStore on a Cluster of which one master gives no answers', { skip: needs('redis-server') }, () => {
  let cluster: RedisCluster
  // So long a time that none of the others takes over, nor finds the Cluster incomplete.
  before(async () => (cluster = await startRedisCluster({ nodeTimeoutMs: 60_000 })))
  after(() => cluster.stop())

  /** Keys of sessions on the first master, and on the others. */
  async function keysOf(): Promise<{ here: string; there: string }> {
    const [first] = cluster.masters
    let [here, there] = ['', '']
    while (here === '' || there === '') {
      const key = randomKey()
      if ((await cluster.masterOf(await cluster.slotOf(`sojourn:${key}`))) === first) here = key
      else there = key
    }
    return { here, there }
  }

  it('finds the slot of any key', async () => {
    for (const key of ['', 'a', `sojourn:${randomKey()}`, '{shop}:a', 'b{shop}', '{}a', 'a{b', 'a}{b}{c}', 'é🍪']) {
      assert.equal(slotOf(key), await cluster.slotOf(key), key)
    }
  })

  for (const kind of ['a url', 'a client of ioredis'] as const) {
    it(`refuses at once what is on that one, and serves the rest, with ${kind}`, async () => {
      const { logger, isBack, lines } = listening()
      await using opened = await openClusterStore(kind, cluster, { deadlineMs: 300, logger })
      const { store } = opened
      const { here, there } = await keysOf()
      const [first] = cluster.masters
      assert(first)
      await store.apply(changeOf(there, { create: true }))
      first.pause()
      await fallSilent(() => Promise.all([store.read(here), store.read(there)]))
      await assert.rejects(store.read(here), {
        code: 'store_unavailable',
        message: new RegExp(`:${first.port} gives no`),
      })
      assert((await store.read(there))?.key === there)
      first.resume()
      await isBack
      assert.equal((await store.apply(changeOf(here, { create: true }))).outcome, 'applied')
      assert.deepEqual(lines.map(([level]) => level), ['warn', 'info']) // prettier-ignore
      await store.end(tombstoneOf(here))
      await store.end(tombstoneOf(there))
    })
  }
})

/** As many calls without an answer as open the breaker. */
async function fallSilent(read: () => Promise<unknown>): Promise<void> {
  const calls = Array.from({ length: UNANSWERED_MAX }, read)
  for (const result of await Promise.allSettled(calls)) {
    assert(result.status === 'rejected' && result.reason instanceof StoreTimeoutError, JSON.stringify(result))
  }
}

/** A breaker whose probes end as the test says, in order. */
function makeBreaker(): {
  breaker: Breaker
  probes: ((isAlive: boolean) => void)[]
  told: string[]
  asked: () => Promise<void>
} {
  const probes: ((isAlive: boolean) => void)[] = []
  const told: string[] = []
  let isAsked = Promise.withResolvers<void>()
  const breaker = new Breaker({
    patienceMs: 60_000,
    probe() {
      isAsked.resolve()
      isAsked = Promise.withResolvers()
      return new Promise((resolve) => probes.push(resolve))
    },
    opened: () => told.push('opened'),
    closed: () => told.push('closed'),
  })
  return { breaker, probes, told, asked: () => isAsked.promise }
}

function silence(breaker: Breaker, count: number): void {
  for (let times = 0; times < count; times += 1) breaker.unanswered()
}
