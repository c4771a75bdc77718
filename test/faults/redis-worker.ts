/** One node of a fleet on a Redis under fault: a bare `node:http` server, in a process that tells of every error that nobody took. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import { Redis as Ioredis } from 'ioredis'
import { createClient } from 'redis'
import { withSession } from '../../src/adapters/node.ts'
import { createSessions, type SessionEvents, type SessionStats } from '../../src/index.ts'
import { redisStore, type RedisStoreOptions } from '../../src/stores/redis/index.ts'
import { answer, json } from './answers.ts'

/** What a node is told, as JSON in its argument. */
export interface RedisWorkerSettings {
  /** Port of 127.0.0.1 for visitors. */
  readonly http: number
  readonly url: string
  readonly client: RedisClientKind
  readonly options: Omit<RedisStoreOptions, 'client' | 'url' | 'cluster' | 'sentinel'>
  /** Longest time for a call to the store, in milliseconds. */
  readonly deadlineMs: number
}

/** Whose client the store is given, or none. */
export type RedisClientKind = 'url' | 'redis' | 'ioredis'

/** What `GET /stats` answers. */
export interface RedisWorkerStats {
  readonly stats: SessionStats
  /** Bytes of the heap that are in use, where Node runs with `--expose-gc`. */
  readonly heapBytes: number
  /** Errors that no code of the node took. */
  readonly uncaught: readonly string[]
  /** Versions that a client had seen and the store had lost. */
  readonly stale: readonly SessionEvents['stale'][]
}

const SECRET = 'q7Tz2KcW9vRn4XyB6mLp8JdH3sFg5AeU'

await main(JSON.parse(process.argv[2] ?? '{}') as RedisWorkerSettings)

async function main({ http, url, client, options, deadlineMs }: RedisWorkerSettings): Promise<void> {
  const uncaught: string[] = []
  const report = (error: unknown): void => {
    uncaught.push(error instanceof Error ? `${error.stack}` : String(error))
    console.log('uncaught', error)
  }
  process.on('uncaughtException', report).on('unhandledRejection', report)
  process.once('disconnect', () => process.exit(1))

  const source = client === 'url' ? { url } : { client: await connected(client, url) }
  const sessions = createSessions({
    store: redisStore({ ...source, ...options }),
    secret: SECRET,
    deadline: deadlineMs,
    logger: { info: print, warn: print, error() {} },
  })
  const stale: SessionEvents['stale'][] = []
  sessions.on('stale', (event) => void (event.stored && stale.push(event)))
  const act = withSession(sessions, (request, response) => answer(http, sessions, request, response))
  const server = createServer((request, response) => {
    if (request.url === '/health') return void sessions.health().then((health) => json(response, health))
    if (request.url !== '/stats') return act(request, response)
    globalThis.gc?.()
    const { heapUsed: heapBytes } = process.memoryUsage()
    json(response, { stats: sessions.stats(), heapBytes, uncaught, stale } satisfies RedisWorkerStats)
  })
  await sessions.ready()
  server.listen(http, '127.0.0.1')
  await once(server, 'listening')
  process.send?.({ kind: 'ready' })
}

/** As the docstring of `client` asks for. */
async function connected(kind: 'redis' | 'ioredis', url: string): Promise<NonNullable<RedisStoreOptions['client']>> {
  if (kind === 'ioredis') {
    const client = new Ioredis(url, { maxRetriesPerRequest: 1, retryStrategy: (times) => Math.min(times * 50, 500) })
    await once(client, 'ready')
    return client
  }
  const client = createClient({
    url,
    pingInterval: 500,
    socket: { socketTimeout: 1_000, reconnectStrategy: (retries) => Math.min(2 ** retries * 25, 500) },
  })
  await client.connect()
  return client
}

function print(facts: object, message: string): void {
  console.log(message, facts)
}
