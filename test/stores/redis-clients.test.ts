import assert from 'node:assert/strict'
import { once } from 'node:events'
import { registerHooks } from 'node:module'
import { describe, it, type TestContext } from 'node:test'
import { Cluster, Redis as Ioredis } from 'ioredis'
import { createClient, createCluster, createSentinel } from 'redis'
import { StoreUnavailableError, type Store, type StoreContext } from '../../src/core/index.ts'
import { redisStore, type RedisStoreOptions } from '../../src/stores/redis/index.ts'
import { freePorts } from '../support/ports.ts'
import { startNode } from '../support/processes.ts'
import { needs } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'
import { changeOf, randomKey, tombstoneOf } from './changes.ts'
import { makeRedisStore } from './redis-support.ts'

describe('options of redisStore', () => {
  it('are a client or a url, and not both', () => {
    for (const options of [{}, { url: undefined }]) {
      assert.throws(() => redisStore(options), { name: 'TypeError', message: /either a client or a url/ })
    }
    const both = { url: 'redis://127.0.0.1', client: createClient() }
    assert.throws(() => redisStore(both), { name: 'TypeError', message: /not both/ })
    for (const options of [undefined, null, 'redis://127.0.0.1']) {
      assert.throws(() => redisStore(options as never), { name: 'TypeError', message: /redisStore\(\{ url \}\)/ })
    }
  })

  it('are refused where they are unknown', () => {
    const options = { url: 'redis://127.0.0.1', prefix: 'a' }
    assert.throws(() => redisStore(options), { name: 'TypeError', message: /no option "prefix".*keyPrefix/ })
  })

  for (const url of ['127.0.0.1:6379', 'http://:hunter2@127.0.0.1', 'redis://:hunter2@a b']) {
    it(`take no ${JSON.stringify(url)} for a url, and do not tell its password`, () => {
      assert.throws(
        () => redisStore({ url }),
        (error) =>
          error instanceof TypeError &&
          /redis:\/\//.test(error.message) &&
          !/hunter2/.test(JSON.stringify(error) + error.stack),
      )
    })
  }

  it('take no client of a Cluster or Sentinel yet, and nothing that is no client', () => {
    const cluster = new Cluster([{ port: 1 }], { lazyConnect: true })
    const clients: unknown[] = [
      createCluster({ rootNodes: [] }),
      createSentinel({ name: 'main', sentinelRootNodes: [{ host: '127.0.0.1', port: 1 }] }),
      cluster,
      {},
      'redis://127.0.0.1',
      null,
    ]
    for (const client of clients) assert.throws(() => redisStore({ client } as RedisStoreOptions), TypeError)
    cluster.disconnect()
  })

  it('open nothing', async () => {
    assert.equal(redisStore({ url: 'redis://127.0.0.1:1' }).name, 'redis')
    await makeRedisStore({ url: 'redis://127.0.0.1:1' }).close()
  })
})

describe('the client of redisStore', { skip: needs('redis-server') }, () => {
  it('is to be connected where it was given', async (t) => {
    const store = madeFor(t, { client: createClient() })
    await assert.rejects(
      store.ready(),
      (error) => error instanceof StoreUnavailableError && /await client\.connect\(\)/.test(error.message),
    )
  })

  it('may be connecting still', async (t) => {
    await using redis = await startRedis()
    using clients = new DisposableStack()
    const client = createClient({ url: redis.url })
    clients.defer(() => client.destroy())
    const connecting = client.connect()
    const store = madeFor(t, { client })
    await store.ready()
    await connecting
  })

  it('of ioredis may be lazy, and connects with the store', async (t) => {
    await using redis = await startRedis()
    using clients = new DisposableStack()
    const client = new Ioredis(redis.port, { lazyConnect: true })
    clients.defer(() => client.disconnect())
    const store = madeFor(t, { client })
    await store.ready()
    assert.equal((await store.apply(changeOf(randomKey(), { create: true }))).outcome, 'applied')
  })

  it('tells why it cannot be reached, and serves once ready is called again', async (t) => {
    const [port = 0] = await freePorts(1)
    const store = madeFor(t, { url: `redis://127.0.0.1:${port}` }, { deadlineMs: 200 })
    await assert.rejects(
      store.ready(),
      (error) => error instanceof StoreUnavailableError && /ECONNREFUSED/.test(error.message),
    )
    await using _redis = await startRedis({ port })
    for (;;) {
      try {
        await store.ready()
        break
      } catch (error) {
        assert(error instanceof StoreUnavailableError)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    assert.equal((await store.apply(changeOf(randomKey(), { create: true }))).outcome, 'applied')
  })

  it('is left open and without listeners when the store that was given it closes', async (t) => {
    await using redis = await startRedis()
    using clients = new DisposableStack()
    const [node, io] = [createClient({ url: redis.url }), new Ioredis(redis.port)]
    clients.defer(() => node.destroy())
    clients.defer(() => io.disconnect())
    await Promise.all([node.connect(), once(io, 'ready')])
    const both = [
      { client: node, ping: () => node.ping() },
      { client: io, ping: () => io.ping() },
    ]
    for (const { client, ping } of both) {
      const count = (): number[] => ['ready', 'error', 'end'].map((event) => client.listenerCount(event))
      const listeners = count()
      const store = madeFor(t, { client })
      await store.ready()
      await store.close()
      await store.close()
      assert.equal(await ping(), 'PONG')
      assert.deepEqual(count(), listeners)
    }
  })

  it('keeps its own type mapping and still fits', async (t) => {
    await using redis = await startRedis()
    using clients = new DisposableStack()
    const client = createClient({ url: redis.url, commandOptions: { typeMapping: { 36: Buffer, 37: Map } } })
    clients.defer(() => client.destroy())
    await client.connect()
    const store = madeFor(t, { client })
    await store.ready()
    const key = randomKey()
    await store.apply(changeOf(key, { create: true, fields: new Map([['a', '"1"']]) }))
    assert.equal((await store.read(key))?.fields.get('a')?.value, '"1"')
    assert.equal(await store.end(tombstoneOf(key)), 'ended')
  })

  for (const [title, isThere] of [
    ['serves', true],
    ['cannot be reached', false],
  ] as const) {
    it(`of a url lets the process end once the store is closed, where Redis ${title}`, async () => {
      await using redis = await startRedis()
      if (!isThere) await redis.kill()
      await using child = startNode(new URL('redis-exit.ts', import.meta.url), { args: [redis.url] })
      assert.deepEqual(await child.exited, { code: 0, signal: null }, child.output)
      assert.match(child.output, isThere ? /^applied\n$/ : /^StoreUnavailableError: .*ECONNREFUSED.*\n$/)
    })
  }

  it('of a url needs the package redis, and says so where it is missing', async (t) => {
    const hooks = registerHooks({
      resolve(name, context, next) {
        if (name === 'redis') throw Object.assign(new Error('not found'), { code: 'ERR_MODULE_NOT_FOUND' })
        return next(name, context)
      },
    })
    const store = madeFor(t, { url: 'redis://127.0.0.1' })
    await assert.rejects(
      store.ready(),
      (error) => error instanceof StoreUnavailableError && /npm install redis/.test(error.message),
    )
    hooks.deregister()
  })
})

/** A store that is not ready yet, and is closed after the test. */
function madeFor(t: TestContext, options: RedisStoreOptions, parts: Partial<StoreContext> = {}): Store {
  const store = makeRedisStore(options, parts)
  t.after(() => store.close())
  return store
}
