import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createClient } from 'redis'
import { StoreTimeoutError, StoreUnavailableError, type Store } from '../../src/core/index.ts'
import { needs } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { changeOf, createNode, fieldsOf, randomKey, tombstoneOf } from './changes.ts'
import { type Kind, kinds, listening, makeRedisStore, type OpenRedisStore, openRedisStore } from './redis-support.ts'

/** Longer than any of these tests. */
const patient = { deadlineMs: 60_000 }

describe('redisStore when Redis fails', { skip: needs('redis-server') }, () => {
  for (const kind of kinds) {
    describe(`with ${kind}`, () => {
      it('refuses every call while the server is gone, and serves again by itself once it is back', async () => {
        await using opened = await throughAnOutage(kind)
        await assertServes(opened.store)
      })

      it('sends a change again that was under way when the server died, and applies it', async () => {
        await using redis = await startRedis()
        await using proxy = await startTcpProxy({ to: { port: redis.port } })
        await using opened = await openRedisStore(kind, proxy.port, patient)
        const { store } = opened
        const key = randomKey()
        redis.pause()
        const sent = proxy.received('up', 'EVALSHA')
        const applying = store.apply(changeOf(key, { create: true, fields: fieldsOf({ a: '1' }) }))
        await sent
        await redis.restart()
        assert.equal((await applying).outcome, 'applied')
        assert.equal((await store.read(key))?.fields.get('a')?.value, '1')
      })

      it('applies a change once whose answer was lost, and gives the first result', async () => {
        await using redis = await startRedis()
        await using proxy = await startTcpProxy({ to: { port: redis.port } })
        await using opened = await openRedisStore(kind, proxy.port, patient)
        const { store } = opened
        const key = randomKey()
        const node = createNode()
        await store.apply(changeOf(key, { create: true, operation: node.next() }))
        const lost = proxy.dropNextAnswer('EVALSHA')
        const result = await store.apply(changeOf(key, { operation: node.next(), fields: fieldsOf({ a: '1' }) }))
        await lost
        assert.partialDeepStrictEqual(result, { outcome: 'applied', version: { sequence: 2 } })
        assert.equal((await store.read(key))?.version.sequence, 2)
      })

      it('does not wait for a server that is paused longer than the deadline', async () => {
        await using redis = await startRedis()
        await using opened = await openRedisStore(kind, redis.port, { deadlineMs: 200 })
        const { store } = opened
        redis.pause()
        await assert.rejects(store.read(randomKey()), StoreTimeoutError)
        await assert.rejects(store.check(), StoreTimeoutError)
        redis.resume()
      })
    })
  }

  it('refuses calls at once where ten thousand wait already for a server that does not answer', async () => {
    await using redis = await startRedis()
    await using opened = await openRedisStore('a client of redis', redis.port, patient)
    const { store } = opened
    redis.pause()
    const waiting = Array.from({ length: 10_000 }, () => store.check())
    await assert.rejects(store.check(), { code: 'store_unavailable', message: /does not keep up/ })
    redis.resume()
    await Promise.all(waiting)
    await store.check()
  })

  it('tells once that the connection was lost, and once that it is back', async () => {
    await using opened = await throughAnOutage('a url')
    const { lines } = opened
    assert.deepEqual(lines.map(([level]) => level), ['warn', 'info']) // prettier-ignore
  })

  it('sends nothing on to a server after the deadline of its call', async () => {
    await using redis = await startRedis()
    await using proxy = await startTcpProxy({ to: { port: redis.port } })
    const { logger, isBack } = listening()
    await using opened = await openRedisStore('a client of redis', proxy.port, { deadlineMs: 200, logger })
    const { store } = opened
    await proxy.refuse(true)
    proxy.cut()
    const key = randomKey()
    await assert.rejects(store.apply(changeOf(key, { create: true })), StoreUnavailableError)
    await proxy.refuse(false)
    await isBack
    assert.equal(await store.read(key), undefined)
  })

  describe('answers what Redis refuses with an error that says what to do', () => {
    it('where memory is full, in which a session can still be ended', async () => {
      await using redis = await startRedis()
      await using opened = await openRedisStore('a url', redis.port)
      const { store } = opened
      const key = randomKey()
      await store.apply(changeOf(key, { create: true, fields: fieldsOf({ a: '1' }) }))
      await configure(redis.url, 'maxmemory', '1')
      await assertRefused(store.apply(changeOf(key, { fields: fieldsOf({ a: '2' }) })), /maxmemory/)
      await assertRefused(store.apply(changeOf(randomKey(), { create: true })), /maxmemory/)
      assert.partialDeepStrictEqual(await store.read(key), { version: { sequence: 1 } })
      assert.equal(await store.end(tombstoneOf(key)), 'ended')
      assert.equal(await store.read(key), undefined)
      await configure(redis.url, 'maxmemory', '0')
      assert.deepEqual(await store.apply(changeOf(key, { create: true })), { outcome: 'gone' })
    })

    it('where the server is a replica', async () => {
      await using master = await startRedis()
      await using replica = await startRedis({ args: ['--replicaof', '127.0.0.1', `${master.port}`] })
      await using opened = await openRedisStore('a url', replica.port)
      const { store } = opened
      await assertRefused(store.apply(changeOf(randomKey(), { create: true })), /connect to the master/)
    })

    it('where the server is a node of a Cluster', async () => {
      await using redis = await startRedis({ args: ['--cluster-enabled', 'yes'] })
      await using opened = await openRedisStore('a url', redis.port)
      const { store } = opened
      await assertRefused(store.read(randomKey()), /the Cluster does not serve this key now/)
    })

    for (const [title, login, advice] of [
      ['is wrong', ':hunter2-wrong@', /password is wrong/],
      ['is missing', '', /asks for a password/],
    ] as const) {
      it(`where the password ${title}, without telling it`, async () => {
        await using redis = await startRedis({ args: ['--requirepass', 'hunter2'] })
        const store = makeRedisStore({ url: `redis://${login}127.0.0.1:${redis.port}` })
        const error = await assertRefused(store.ready(), advice)
        assert.doesNotMatch(`${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`, /hunter2/)
        await store.close()
      })
    }

    it('where its user lacks a right, before anybody is served', async () => {
      await using redis = await startRedis()
      const rule = '~sojourn:* &sojourn:* +@read +@write +@scripting +@connection +@pubsub +info +time'
      const admin = await createClient({ url: redis.url }).connect()
      for (const less of ['-info', '-time', '-@scripting', 'resetkeys']) {
        await admin.sendCommand(['ACL', 'SETUSER', 'ann', 'reset', 'on', '>pw', ...rule.split(' '), less])
        const store = makeRedisStore({ url: `redis://ann:pw@127.0.0.1:${redis.port}` })
        const { message } = await assertRefused(store.ready(), /the user lacks a right/)
        assert(message.includes('+@read +@write +@scripting +@connection +@pubsub +info +time'), message)
        await store.close()
      }
      await admin.sendCommand(['ACL', 'SETUSER', 'ann', 'reset', 'on', '>pw', ...rule.split(' ')])
      const store = makeRedisStore({ url: `redis://ann:pw@127.0.0.1:${redis.port}` })
      await store.ready()
      await assertServes(store)
      assert.equal(store.stats?.nearCache?.off, undefined)
      await store.close()
      admin.destroy()
    })

    it('and keeps what a visitor stored out of it', async () => {
      await using redis = await startRedis()
      await using opened = await openRedisStore('a client of ioredis', redis.port)
      const { store } = opened
      await configure(redis.url, 'maxmemory', '1')
      const change = changeOf(randomKey(), { create: true, fields: fieldsOf({ diary: '"secret"' }) })
      const error = await assertRefused(store.apply(change), /maxmemory/)
      assert(error.cause instanceof Error)
      assert.doesNotMatch(JSON.stringify([error, error.cause, Object.values(error.cause)]), /secret/)
    })
  })
})

/** A store that has refused calls while its server was gone, and knows that it is back; with what it logged. */
async function throughAnOutage(kind: Kind): Promise<OpenRedisStore & Pick<ReturnType<typeof listening>, 'lines'>> {
  const redis = await startRedis()
  const { logger, isBack, lines } = listening()
  const opened = await openRedisStore(kind, redis.port, { deadlineMs: 200, logger })
  await redis.kill()
  await assertUnavailable(opened.store)
  await assertUnavailable(opened.store)
  await redis.restart()
  await isBack
  async function close(): Promise<void> {
    await opened.close()
    await redis.stop()
  }
  return { ...opened, lines, close, [Symbol.asyncDispose]: close }
}

async function assertUnavailable(store: Store): Promise<void> {
  for (const call of [store.read(randomKey()), store.apply(changeOf(randomKey())), store.check()]) {
    await assert.rejects(call, { name: 'StoreUnavailableError', code: 'store_unavailable' })
  }
}

async function assertServes(store: Store): Promise<void> {
  const key = randomKey()
  assert.equal((await store.apply(changeOf(key, { create: true }))).outcome, 'applied')
  assert((await store.read(key))?.key === key)
}

async function assertRefused(call: Promise<unknown>, message: RegExp): Promise<StoreUnavailableError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert(error instanceof StoreUnavailableError, String(error))
  assert.equal(error.code, 'store_unavailable')
  assert.match(error.message, message)
  return error
}

async function configure(url: string, name: string, value: string): Promise<void> {
  const admin = createClient({ url })
  await admin.connect()
  await admin.configSet(name, value)
  admin.destroy()
}
