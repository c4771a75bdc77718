import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { createSessions, type Sessions, type SessionsOptions } from '../../src/index.ts'
import { redisStore } from '../../src/stores/redis/index.ts'
import { Client } from '../core/fleet.ts'
import { startNode } from '../support/processes.ts'
import { needs } from '../support/programs.ts'
import { startRedisWithClient, suiteRedis } from '../support/redis-suite.ts'
import { startRedis } from '../support/redis.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { createSecret } from '../token/secrets.ts'
import { changeOf, fieldsOf, randomKey, tombstoneOf } from './changes.ts'
import { type NearNode, nearStats, openNode, until, untilCopied, untilListIsOld } from './near-support.ts'

const secret = createSecret()
const silent = { info() {}, warn() {}, error() {} }

describe('the near cache of redisStore under faults', { skip: needs('redis-server'), concurrency: 2 }, () => {
  const redis = suiteRedis()
  let there: NearNode
  before(async () => {
    there = redis.use(await openNode(redis.port))
    await untilListIsOld(there)
  })

  async function created(store = there.store): Promise<string> {
    const key = randomKey()
    await store.apply(changeOf(key, { create: true, fields: fieldsOf({ a: '1' }) }))
    return key
  }

  test('a node that hears nothing for 10 s serves no session that was logged out elsewhere', async (t) => {
    await using proxy = await startTcpProxy({ to: { port: redis.port } })
    await using here = open(`redis://127.0.0.1:${proxy.port}`)
    await using elsewhere = open(redis.url)
    await Promise.all([here.ready(), elsewhere.ready()])
    const visitor = new Client()
    await visitor.visit(elsewhere, (session) => session.login('ada'))
    const { request } = visitor.clone()
    const serves = async (): Promise<boolean> => (await here.open(request)).user === 'ada'
    await until(async () => (await serves()) && (here.stats().nearCache?.hits ?? 0) > 0, 'copies are served')

    proxy.blackHole('down')
    const held = sleep(10_000)
    const startedAt = performance.now()
    await visitor.visit(elsewhere, (session) => session.logout())
    t.diagnostic(`logout took ${Math.round(performance.now() - startedAt)} ms`)
    const outcomes = { seen: 0, gone: 0, refused: 0 }
    for (let group = 0; group < 10; group++) {
      const requests = Array.from({ length: 100 }, async () => {
        const outcome = await serves().then((isSeen) => (isSeen ? 'seen' : 'gone'), () => 'refused' as const) // prettier-ignore
        outcomes[outcome] += 1
      })
      await Promise.all(requests)
      await Promise.race([held, sleep(900)])
    }
    t.diagnostic(`of 1,000 requests: ${JSON.stringify(outcomes)}`)
    assert.equal(outcomes.seen, 0)
    assert.equal(outcomes.gone + outcomes.refused, 1_000)
    await held
    proxy.blackHole('none')
    await until(async () => !(await serves().catch(() => true)), 'the node answers again')
    assert.equal(await serves(), false)
  })

  test('a connection that is only half there: no copies are served until it is whole again', async () => {
    await using here = await openNode(redis.port)
    const key = await created()
    await untilCopied(here, key)
    here.proxy.blackHole('both')
    await until(() => here.store.copy?.(key) === undefined, 'the lease is over')
    assert.equal(nearStats(here).copies, 1)
    await there.store.apply(changeOf(key, { fields: fieldsOf({ a: '2' }) }))
    for (let count = 0; count < 100; count++) assert.equal(here.store.copy?.(key), undefined)
    here.proxy.blackHole('none')
    const copy = await untilCopied(here, key)
    assert.equal(copy.fields.get('a')?.value, '2')
  })

  test('a new connection: what changed while there was none is not served from before', async () => {
    await using here = await openNode(redis.port)
    const key = await created()
    const other = await created()
    for (const each of [key, other]) await untilCopied(here, each)
    await here.proxy.refuse(true)
    here.proxy.cut()
    await there.store.apply(changeOf(key, { fields: fieldsOf({ a: '2' }) }))
    await there.store.end(tombstoneOf(other))
    assert.equal(here.store.copy?.(other), undefined)
    await here.proxy.refuse(false)
    await until(() => here.store.read(key).then(Boolean, () => false), 'Redis is there again')
    const copy = await untilCopied(here, key)
    assert.equal(copy.fields.get('a')?.value, '2')
    assert.equal(await here.store.read(other), undefined)
    await until(() => here.told.length > 0, 'the end that nobody heard is found')
    assert.deepEqual(here.told, [[other, null, 'revoked']])
  })

  test('FLUSHALL, eviction and expiry: a session that Redis has dropped is served no more', async () => {
    await using own = await startRedisWithClient()
    await using here = await openNode(own.port)
    const { client: owner } = own
    const key = await created(here.store)
    await untilCopied(here, key)
    await owner.flushAll()
    await until(() => here.store.copy?.(key) === undefined, 'FLUSHALL is told')
    assert.equal(await here.store.read(key), undefined)

    const evicted = await created(here.store)
    await untilCopied(here, evicted)
    await owner.configSet({ 'maxmemory-policy': 'allkeys-lru', maxmemory: '4mb' })
    await until(async () => {
      await owner.set(randomKey(), 'x'.repeat(100_000))
      return (await owner.exists(`sojourn:${evicted}`)) === 0
    }, 'the session is evicted')
    await until(() => here.store.copy?.(evicted) === undefined, 'the eviction is told')
    assert.equal(await here.store.read(evicted), undefined)
    await owner.configSet({ maxmemory: '0' })

    const expired = await created(here.store)
    await untilCopied(here, expired)
    await owner.pExpire(`sojourn:${expired}`, 1)
    await until(() => here.store.copy?.(expired) === undefined, 'the expiry is told')
  })

  test('a full table of tracked keys, of which Redis forgets some without a word: no copy is served for long', async () => {
    await using own = await startRedis({ args: ['--tracking-table-max-keys', '100000'] })
    await using here = await openNode(own.port)
    await using elsewhere = await openNode(own.port)
    const other = createClient({ url: own.url })
    await other.connect()
    await other.sendCommand(['CLIENT', 'TRACKING', 'ON', 'NOLOOP'])
    for (let count = 0; count < 100; count++) {
      await other.exists(Array.from({ length: 1_000 }, (_, index) => `of-others:${count}:${index}`))
    }
    const keys = await Promise.all(Array.from({ length: 1_000 }, () => created(elsewhere.store)))
    for (const key of keys) await here.store.read(key)
    // Each of these reads lets Redis forget another key.
    await Promise.all(Array.from({ length: 3_000 }, () => here.store.read(randomKey())))
    const change = fieldsOf({ a: '2' })
    await Promise.all(keys.map((key) => elsewhere.store.apply(changeOf(key, { fields: change }))))
    for (const key of keys) {
      await until(async () => (await here.store.read(key))?.fields.get('a')?.value === '2', 'the change is seen')
    }
    other.destroy()
  })

  test('an eviction while Redis serves this node, of which it does not tell it', async () => {
    await using own = await startRedisWithClient()
    await using here = await openNode(own.port)
    const { client: owner } = own
    const key = await created(here.store)
    await untilCopied(here, key)
    await owner.configSet({ 'maxmemory-policy': 'allkeys-random', maxmemory: '3mb' })
    const large = fieldsOf({ a: JSON.stringify('x'.repeat(50_000)) })
    await until(async () => {
      await here.store.apply(changeOf(randomKey(), { create: true, fields: large }))
      return (await owner.exists(`sojourn:${key}`)) === 0
    }, 'the session is evicted')
    await until(() => here.store.copy?.(key) === undefined, 'the copy is dropped')
  })

  test('a node that has stopped holds up a logout for a lease at most, and serves nothing old when it wakes', async (t) => {
    await using stopped = startNode(new URL('redis-near-worker.ts', import.meta.url), { args: [redis.url] })
    assert.equal(await stopped.receive(), 'ready')
    const key = await created()
    const ask = async (): Promise<unknown> => {
      await stopped.send({ key })
      return stopped.receive()
    }
    await until(async () => ((await ask()) as { copy: unknown }).copy === 1, 'the node serves a copy')
    stopped.signal('SIGSTOP')
    const startedAt = performance.now()
    await there.store.end(tombstoneOf(key))
    t.diagnostic(`an end took ${Math.round(performance.now() - startedAt)} ms`)
    await Promise.all(Array.from({ length: 20 }, () => stopped.send({ key })))
    stopped.signal('SIGCONT')
    for (let count = 0; count < 20; count++) {
      const answer = (await stopped.receive()) as { copy: unknown; read: unknown }
      assert.equal(answer.copy, null)
      assert(answer.read === null || answer.read === 'StoreTimeoutError', String(answer.read))
    }
  })
})

function open(url: string): Sessions<{ views: number }> {
  const options: SessionsOptions<{ views: number }> = {
    store: redisStore({ url, nearCache: { lease: '500ms' } }), deadline: '3s', secret, logger: silent,
    initial: () => ({ views: 1 }),
  } // prettier-ignore
  return createSessions(options)
}
