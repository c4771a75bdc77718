import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Store, StoreTimeoutError, StoreUnavailableError } from '../../src/core/index.ts'
import { Breaker } from '../../src/stores/redis/breaker.ts'
import { UNANSWERED_MAX } from '../../src/stores/redis/limits.ts'
import { needs } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { changeOf, fieldsOf, randomKey } from './changes.ts'
import { kinds, listening, openRedisStore } from './redis-support.ts'

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
      await fallSilent(store)
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
      assert.partialDeepStrictEqual(store.stats?.connection, { refused: 1_001, outages: 1 })
      redis.resume()
      await isBack
      const key = randomKey()
      await store.apply(changeOf(key, { create: true, fields: fieldsOf({ a: '1' }) }))
      assert((await store.read(key))?.key === key)
      await sent
      assert.partialDeepStrictEqual(store.stats?.connection, { state: 'ready', calls: 0, outages: 1 })
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
    await fallSilent(store)
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

/** As many calls without an answer as open the breaker. */
async function fallSilent(store: Store): Promise<void> {
  const calls = Array.from({ length: UNANSWERED_MAX }, () => store.read(randomKey()))
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
