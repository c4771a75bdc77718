import type * as Redis from 'redis'
import { StoreUnavailableError } from '../../core/index.ts'
import type { Client, Duplicate } from './client.ts'
import { CALLS_MAX, OWN_COMMANDS_MAX, SENTINEL_SCAN_MS, TOPOLOGY_PAUSE_MS } from './limits.ts'
import { connecting, fromNodeRedis, fromNodeRedisCluster, fromNodeRedisSentinel } from './node-redis.ts'
import type { RedisSource } from './source.ts'

/** Longest pause between two attempts to connect, so that a server that is back is noticed soon. */
const RECONNECT_PAUSE_MAX_MS = 500

/** A connection whose server is silent for so long is given up, however short the deadline: servers pause to fork. */
const SILENCE_MIN_MS = 1_000

/** Makes a client, with the package `redis`, that connects, and connects again, by itself. */
export async function openOwnClient(
  source: Exclude<RedisSource, { client: Client }>,
  deadlineMs: number,
): Promise<Duplicate> {
  const redis = await importRedis()
  const silenceMs = Math.max(deadlineMs, SILENCE_MIN_MS)
  const socket = {
    socketTimeout: silenceMs,
    connectTimeout: silenceMs,
    reconnectStrategy: (retries: number): number =>
      Math.min(2 ** retries * 25, RECONNECT_PAUSE_MAX_MS) * (0.5 + Math.random() / 2),
  }
  const connection = {
    // Calls that wait for a connection wait in the store, within their deadline.
    disableOfflineQueue: true,
    // The store lets no more be under way; the client's own PING and HELLO come on top.
    commandsQueueMaxLength: CALLS_MAX + OWN_COMMANDS_MAX,
    // With the timeout of the socket it notices a connection that is dead without having been closed.
    pingInterval: silenceMs / 2,
  }
  if ('url' in source) {
    return connecting(redis.createClient({ ...connection, url: source.url, socket }), fromNodeRedis)
  }
  if ('cluster' in source) {
    const { urls, username, password, tls } = source.cluster
    const cluster = redis.createCluster({
      rootNodes: urls.map((url) => ({ url })),
      // What the URLs say holds for finding the nodes alone.
      defaults: { ...connection, ...credentials(username, password), socket: tls ? { ...socket, tls } : socket },
      topologyRefreshOnReconnectionAttemptStrategy: TOPOLOGY_PAUSE_MS,
    })
    return connecting(cluster, fromNodeRedisCluster)
  }
  const { name, nodes, username, password, database, tls, sentinelUsername, sentinelPassword } = source.sentinel
  const secured = tls ? { ...socket, tls } : socket
  const sentinel = redis.createSentinel({
    name,
    sentinelRootNodes: [...nodes],
    nodeClientOptions: { ...connection, ...credentials(username, password), database, socket: secured },
    sentinelClientOptions: { ...credentials(sentinelUsername, sentinelPassword), socket: { ...secured } },
    reserveClient: true,
    passthroughClientErrorEvents: true,
    scanInterval: SENTINEL_SCAN_MS,
  })
  return connecting(sentinel, fromNodeRedisSentinel)
}

function credentials(
  username: string | undefined,
  password: string | undefined,
): { username?: string; password?: string } {
  return { ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) }
}

async function importRedis(): Promise<typeof Redis> {
  try {
    return await import('redis')
  } catch (error) {
    const message =
      'redisStore({ url }), ({ cluster }) and ({ sentinel }) need the package redis: npm install redis; or give a connected client'
    throw new StoreUnavailableError(message, { cause: error })
  }
}
