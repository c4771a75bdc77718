/** Redis stores for tests, on each client that fits. */

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster, Redis as Ioredis } from 'ioredis'
import { createClient, createCluster, createSentinel } from 'redis'
import type { Logger, Store, StoreContext } from '../../src/core/index.ts'
import { redisStore, type RedisStoreOptions } from '../../src/stores/redis/index.ts'
import type { RedisCluster } from '../support/redis-cluster.ts'
import type { RedisSentinel } from '../support/redis-sentinel.ts'
import { contextOf } from './context.ts'

/** A store that is ready. `close`, or leaving an `await using` block, also ends the client that the store was given. */
export interface OpenRedisStore extends AsyncDisposable {
  store: Store
  close: () => Promise<void>
}

export type Kind = (typeof kinds)[number]

export const kinds = ['a url', 'a client of redis', 'a client of ioredis'] as const

/** A store that is not ready yet. */
export function makeRedisStore(options: RedisStoreOptions, parts: Partial<StoreContext> = {}): Store {
  return redisStore(options).open(contextOf(parts))
}

export async function openRedisStore(
  kind: Kind,
  port: number,
  parts: Partial<StoreContext> = {},
  options: Omit<RedisStoreOptions, 'client' | 'url'> = {},
): Promise<OpenRedisStore> {
  const url = `redis://127.0.0.1:${port}`
  if (kind === 'a url') return ready(makeRedisStore({ ...options, url }, parts), () => {})
  if (kind === 'a client of redis') {
    // Without a listener of its own, as an application may have forgotten it.
    const client = createClient({ url, pingInterval: 0 })
    await client.connect()
    return ready(makeRedisStore({ ...options, client }, parts), () => client.destroy())
  }
  const client = new Ioredis(port)
  await once(client, 'ready')
  return ready(makeRedisStore({ ...options, client }, parts), () => client.disconnect())
}

export async function openClusterStore(
  kind: Kind,
  { urls }: Pick<RedisCluster, 'urls'>,
  parts: Partial<StoreContext> = {},
  options: Omit<RedisStoreOptions, 'client' | 'url'> = {},
): Promise<OpenRedisStore> {
  if (kind === 'a url') return ready(makeRedisStore({ ...options, cluster: { nodes: urls } }, parts), () => {})
  if (kind === 'a client of redis') {
    const client = createCluster({
      rootNodes: urls.map((url) => ({ url })),
      topologyRefreshOnReconnectionAttemptStrategy: 250,
    })
    await client.on('error', () => {}).connect()
    return ready(makeRedisStore({ ...options, client }, parts), () => client.destroy())
  }
  const client = new Cluster(urls)
  await once(client, 'ready')
  return ready(makeRedisStore({ ...options, client }, parts), () => client.disconnect())
}

export async function openSentinelStore(
  kind: Kind,
  { name, nodes, addresses }: Pick<RedisSentinel, 'name' | 'nodes' | 'addresses'>,
  parts: Partial<StoreContext> = {},
  options: Omit<RedisStoreOptions, 'client' | 'url'> = {},
): Promise<OpenRedisStore> {
  if (kind === 'a url') return ready(makeRedisStore({ ...options, sentinel: { name, nodes } }, parts), () => {})
  const sentinels = nodes.map((node) => {
    const [host = '', port] = node.split(':')
    return { host, port: Number(port) }
  })
  if (kind === 'a client of redis') {
    const client = createSentinel({
      name,
      sentinelRootNodes: sentinels,
      nodeAddressMap: addresses,
      reserveClient: true,
    })
    await client.on('error', () => {}).connect()
    return ready(makeRedisStore({ ...options, client }, parts), () => void client.destroy())
  }
  const client = new Ioredis({ name, sentinels, natMap: addresses, maxRetriesPerRequest: 1 })
  client.on('error', () => {})
  await once(client, 'ready')
  return ready(makeRedisStore({ ...options, client }, parts), () => client.disconnect())
}

async function ready(store: Store, closeClient: () => void): Promise<OpenRedisStore> {
  // A short deadline is meant for the calls of a test, and not for connecting on a busy machine.
  for (let triesLeft = 200; ; triesLeft -= 1) {
    const error = await store.ready().catch((reason: unknown) => reason)
    if (error === undefined) break
    if (triesLeft === 0) throw error
    await sleep(50)
  }
  async function close(): Promise<void> {
    await store.close()
    closeClient()
  }
  return { store, close, [Symbol.asyncDispose]: close }
}

/** A logger that tells what it was told, and when the connection is back. */
export function listening(): { logger: Logger; isBack: Promise<void>; lines: [level: string, message: string][] } {
  const lines: [string, string][] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const line = (level: string) => (_: object, message: string) => {
    lines.push([level, message])
    if (level === 'info') resolve()
  }
  return { logger: { info: line('info'), warn: line('warn'), error: line('error') }, isBack: promise, lines }
}

/** Empties a Redis but for its lists of servers and nodes: for a while after FLUSHALL every end waits for a whole lease. */
export async function forgetSessions(admin: ReturnType<typeof createClient>): Promise<void> {
  const keys = await admin.keys('*')
  for (const key of keys) if (!/incarnations\}?$/.test(key)) await admin.unlink(key)
}
