import assert from 'node:assert/strict'
import { once } from 'node:events'
import { registerHooks } from 'node:module'
import { describe, it, type TestContext } from 'node:test'
import { Cluster, Redis as Ioredis } from 'ioredis'
import { createClient, createCluster, createSentinel } from 'redis'
import { StoreUnavailableError, type Store, type StoreContext } from '../../src/core/index.ts'
import { type RedisClientLike, toClient } from '../../src/stores/redis/client.ts'
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

  it('take a prefix with braces only where they keep what belongs together in one slot of a Cluster', () => {
    for (const keyPrefix of ['a}b:', 'a{b:', '{}a:', '{a}{b}:', '{{a}}:', '{a', 1]) {
      assert.throws(() => redisStore({ url: 'redis://127.0.0.1', keyPrefix } as never), {
        name: 'TypeError',
        message: /keyPrefix/,
      })
    }
    for (const keyPrefix of ['', 'shop:', '{shop}:', 'a{b}c:']) redisStore({ url: 'redis://127.0.0.1', keyPrefix })
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

  it('take the clients of both libraries for one server, a Cluster and Sentinel', () => {
    using clients = new DisposableStack()
    const server = new Ioredis({ lazyConnect: true })
    const watched = new Ioredis({ sentinels: [{ host: '127.0.0.1', port: 1 }], name: 'main', lazyConnect: true })
    const cluster = new Cluster([{ port: 1 }], { lazyConnect: true })
    for (const client of [server, watched, cluster]) clients.defer(() => client.disconnect())
    const all: [RedisClientLike, string][] = [
      [createClient(), 'server'],
      [createCluster({ rootNodes: [] }), 'cluster'],
      [createSentinel({ name: 'main', sentinelRootNodes: [{ host: '127.0.0.1', port: 1 }] }), 'sentinel'],
      [server, 'server'],
      [cluster, 'cluster'],
      [watched, 'sentinel'],
    ]
    for (const [client, kind] of all) {
      assert.equal(toClient(client).kind, kind)
      assert.equal(redisStore({ client }).name, 'redis')
    }
  })

  it('take nothing for a client that is none', () => {
    for (const client of [{}, 'redis://127.0.0.1', null]) {
      assert.throws(() => redisStore({ client } as RedisStoreOptions), { name: 'TypeError', message: /createCluster/ })
    }
  })

  it('take a Cluster by the addresses of its nodes', () => {
    redisStore({ cluster: { nodes: ['rediss://ada:secret@10.0.0.1:7000', 'rediss://ada:secret@10.0.0.2:7000/0'] } })
    const wrong: [unknown, RegExp][] = [
      [null, /cluster: \{ nodes/],
      [{ nodes: [] }, /names no node/],
      [{ nodes: '10.0.0.1:7000' }, /names no node/],
      [{ nodes: ['10.0.0.1:7000'] }, /a node of cluster is not .* redis:\/\//],
      [{ nodes: ['redis://a:b@10.0.0.1', 'redis://a:c@10.0.0.2'] }, /differ in user, password or TLS/],
      [{ nodes: ['redis://10.0.0.1', 'rediss://10.0.0.2'] }, /differ in user, password or TLS/],
      [{ nodes: ['redis://10.0.0.1/3'] }, /database 0/],
      [{ nodes: ['redis://10.0.0.1'], password: 'hunter2' }, /no option "password"/],
    ]
    for (const [cluster, message] of wrong) {
      assert.throws(() => redisStore({ cluster } as RedisStoreOptions), { name: 'TypeError', message })
    }
  })

  it('take a master by its name and the addresses of Sentinels', () => {
    redisStore({ sentinel: { name: 'main', nodes: ['10.0.0.1:26379', '[::1]:26379'], password: 'secret', tls: true } })
    const nodes = ['10.0.0.1:26379']
    const wrong: [unknown, RegExp][] = [
      ['main', /sentinel: \{ name/],
      [{ nodes }, /the master's name/],
      [{ name: 'main' }, /names no node/],
      [{ name: 'main', nodes: ['10.0.0.1'] }, /host:port/],
      [{ name: 'main', nodes: ['10.0.0.1:0'] }, /host:port/],
      [{ name: 'main', nodes: ['redis://10.0.0.1:26379'] }, /host:port/],
      [{ name: 'main', nodes, database: -1 }, /database/],
      [{ name: 'main', nodes, tls: 'yes' }, /tls/],
      [{ name: 'main', nodes, sentinelPassword: 1 }, /sentinelPassword/],
      [{ name: 'main', nodes, role: 'slave' }, /no option "role"/],
    ]
    for (const [sentinel, message] of wrong) {
      assert.throws(() => redisStore({ sentinel } as RedisStoreOptions), { name: 'TypeError', message })
    }
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
    const store = madeFor(t, { url: `redis://127.0.0.1:${port}` })
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
