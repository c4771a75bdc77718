/** A Redis with a client of it: of one test, or of all tests of a suite. */

import { after, before } from 'node:test'
import { createClient } from 'redis'
import { startRedis } from './redis.ts'

/** A client of the test's own. */
export type RedisClient = ReturnType<typeof createClient>

/** A running redis-server on 127.0.0.1. */
export interface RedisWithClient {
  readonly url: string
  readonly port: number

  /** Connected, and of nobody but the tests. */
  readonly client: RedisClient
}

/** A redis-server that runs from before the first test of a suite until after its last. */
export interface SuiteRedis extends RedisWithClient {
  /** Leaves something to the suite, which ends it before the server, and what was left last first. */
  use<Thing extends AsyncDisposable>(thing: Thing): Thing
}

/** Starts it. Leaving an `await using` block stops it. */
export async function startRedisWithClient(): Promise<RedisWithClient & AsyncDisposable> {
  const redis = await startRedis()
  const { url, port } = redis
  const client: RedisClient = createClient({ url })
  await client.connect()
  async function stop(): Promise<void> {
    client.destroy()
    await redis.stop()
  }
  return { url, port, client, [Symbol.asyncDispose]: stop }
}

/** Call it in the body of a suite. */
export function suiteRedis(): SuiteRedis {
  const owned = new AsyncDisposableStack()
  let redis: RedisWithClient | undefined
  before(async () => void (redis = owned.use(await startRedisWithClient())))
  after(() => owned.disposeAsync())

  function running(): RedisWithClient {
    if (!redis) throw new Error('the Redis of the suite runs once its tests do')
    return redis
  }

  return {
    get url() {
      return running().url
    },
    get port() {
      return running().port
    },
    get client() {
      return running().client
    },
    use: (thing) => owned.use(thing),
  }
}
