import assert from 'node:assert/strict'
import { once } from 'node:events'
import { before, describe, test } from 'node:test'
import { Redis as Ioredis } from 'ioredis'
import { createClient } from 'redis'
import { needs } from '../support/programs.ts'
import { suiteRedis } from '../support/redis-suite.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { changeOf, randomKey, tombstoneOf } from './changes.ts'
import { until, untilCopied } from './near-support.ts'
import { makeRedisStore } from './redis-support.ts'

describe(
  'the connections that redisStore opens beside a client that it was given',
  { skip: needs('redis-server') },
  () => {
    const redis = suiteRedis()
    let proxy: TcpProxy
    before(async () => {
      proxy = redis.use(await startTcpProxy({ to: { port: redis.port } }))
    })

    /** Connected through the proxy; it gives up as soon as it loses its connection. */
    async function connected(): Promise<ReturnType<typeof createClient>> {
      const client = createClient({ url: `redis://127.0.0.1:${proxy.port}`, socket: { reconnectStrategy: false } })
      client.on('error', () => {})
      await client.connect()
      return client as ReturnType<typeof createClient>
    }

    async function connections(...type: string[]): Promise<number> {
      const list = await redis.client.sendCommand<string>(['CLIENT', 'LIST', ...type])
      return list.split('\n').filter((line) => line !== '').length
    }

    test('are closed, or never opened, when it is closed while it becomes ready', async () => {
      const client = await connected()
      const before = await connections()
      const store = makeRedisStore({ client })
      proxy.blackHole('down')
      const asked = proxy.received('up', 'PING')
      const opening = store.ready()
      await asked
      await store.close()
      proxy.blackHole('none')
      await assert.rejects(opening, { code: 'store_unavailable' })
      await until(async () => (await connections()) === before, 'nothing is open')
      client.destroy()
    })

    test('are opened once, also where it failed to become ready at first', async () => {
      const client = await connected()
      const before = await connections()
      const store = makeRedisStore({ client }, { deadlineMs: 300 })
      const asked = proxy.received('up', 'HELLO')
      const opening = store.ready()
      await asked
      proxy.blackHole('down')
      await assert.rejects(opening, { code: 'store_unavailable' })
      proxy.blackHole('none')
      await until(() => succeeds(store.ready()), 'it is ready')
      await until(async () => (await connections()) === before + 2, 'one that listens and one for commands are open')
      await store.close()
      await until(async () => (await connections()) === before, 'nothing is open')
      client.destroy()
    })

    test('come back where the client itself gives up', async () => {
      const client = await connected()
      const store = makeRedisStore({ client }, { deadlineMs: 300 })
      await until(() => succeeds(store.ready()), 'it is ready')
      await proxy.refuse(true)
      proxy.cut()
      await until(async () => !(await succeeds(store.check())), 'Redis is away')
      await proxy.refuse(false)
      const key = randomKey()
      await until(() => succeeds(store.apply(changeOf(key, { create: true }))), 'Redis is back')
      await untilCopied({ store }, key)
      await store.close()
      client.destroy()
    })

    test('come back where a client of ioredis gives up', async () => {
      const client = new Ioredis(redis.port, { retryStrategy: () => null })
      await once(client, 'ready')
      const store = makeRedisStore({ client })
      await store.ready()
      await redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub'])
      await until(async () => (await connections('TYPE', 'pubsub')) === 1, 'it listens')
      await store.close()
      client.disconnect()
    })

    test('harm nobody when they hear of an end though the store is closed', async () => {
      const client = new Ioredis(proxy.port)
      await once(client, 'ready')
      const store = makeRedisStore({ client })
      await store.ready()
      const other = makeRedisStore({ url: redis.url })
      await other.ready()
      const key = randomKey()
      proxy.blackHole('down')
      const heard = proxy.received('down', key)
      const ending = other.end(tombstoneOf(key))
      await heard
      await store.close()
      const closed = once(client, 'end')
      client.disconnect()
      proxy.blackHole('none')
      await Promise.all([closed, ending])
      await until(() => proxy.connections === 0, 'all that was said has come')
      await other.close()
    })
  },
)

async function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  )
}
