/**
 * Sessions in Redis, shared by every node.
 *
 * Exported from `sojourn/redis`.
 *
 * @module
 */

import type { Duration, StoreDefinition } from '../../core/index.ts'
import { isOfIoredis, type RedisClientLike } from './client.ts'
import { checkKeyPrefix } from './keys.ts'
import type { OldSessionsDefinition } from './old/old-sessions.ts'
import { type RedisClusterOptions, type RedisSentinelOptions, toSource } from './source.ts'
import { type NearCacheOptions, toNearCache, toStaleMs } from './near-cache-options.ts'
import { RedisStore } from './store.ts'

export { connectRedis, type ConnectRedisOptions } from './old/connect-redis.ts'
export { fastifySession, type FastifySessionOptions } from './old/fastify-session.ts'
export type { OldCookieAttributes } from './old/old-cookie.ts'
export type { OldSessionsDefinition } from './old/old-sessions.ts'
export type { MovedSession, OldSerializer, OldSessionOptions } from './old/options.ts'
export type { RedisClientLike } from './client.ts'
export type { IoredisClusterLike, IoredisLike } from './ioredis.ts'
export type { NearCacheOptions } from './near-cache-options.ts'
export type { NodeRedisClusterLike, NodeRedisLike, NodeRedisSentinelLike } from './node-redis.ts'
export type { RedisClusterOptions, RedisSentinelOptions } from './source.ts'

/** Options of {@link redisStore}: one of `client`, `url`, `cluster` and `sentinel`. */
export interface RedisStoreOptions {
  /**
   * A connected client of `redis` 6 (`createClient`, `createCluster`, `createSentinel`) or `ioredis` 6 (`Redis`, also with
   * `sentinels`, and `Cluster`). The store never closes it, and listens to its errors while it is open. Its own timeouts
   * may be longer than the deadline of the sessions, which holds in any case. Give one of `redis` a `pingInterval` and
   * `socket.socketTimeout` (in a Cluster as `defaults`, with `topologyRefreshOnReconnectionAttemptStrategy: 250`; with
   * Sentinels as `nodeClientOptions`, with `reserveClient: true`), and one of `ioredis` `maxRetriesPerRequest: 1`: else a
   * dead connection is noticed late, and what was under way on it may be sent, and applied, after the deadline.
   */
  client?: RedisClientLike | undefined

  /**
   * `redis://user:password@host:port/database`, or `rediss:` for TLS. The store then connects by itself with the package
   * `redis`, which the application installs, and closes that connection with the sessions.
   */
  url?: string | undefined

  /** A Redis Cluster, to which the store connects as with `url`. */
  cluster?: RedisClusterOptions | undefined

  /** A master that Sentinels watch, to which the store connects as with `url`. */
  sentinel?: RedisSentinelOptions | undefined

  /** Prefix of every key and channel. Two applications on one Redis need two. Braces only as one tag, `'{shop}:'`. Default: `'sojourn:'`. */
  keyPrefix?: string | undefined

  /**
   * Seals the value of each field with XAES-256-GCM, by a key of the `secret`, bound to its session and its name: Redis,
   * its dumps and whoever reads them see no data of a session, and a value that was moved to another session or field is
   * refused. They still see keys, users, times, versions, the names of fields and how long values are; and whoever writes
   * to Redis can put back an older value of the same field, change who is logged in, and delete.
   *
   * - `true`: a field that is not sealed is refused (`session_invalid`), since anybody who writes to Redis could put it there;
   * - `'migrate'`: plain fields are read too, and sealed once they were read;
   * - `false`: sealed fields are read, and plain ones written.
   *
   * To turn it on in a fleet with sessions deploy `'migrate'`, let the idle timeout pass, and deploy `true`; to turn it off
   * go back the same way. When a secret rolls, a session is sealed anew once it was
   * read, so that what is said of tokens holds for fields as well. Default: `false`.
   */
  encrypt?: boolean | 'migrate' | undefined

  /**
   * Sessions that another library keeps in the same Redis, {@link connectRedis} or {@link fastifySession}: they are taken
   * over as their visitors come by, also while servers of both kinds run side by side. Take it out when no old cookie is
   * good any more. Default: none.
   */
  migrateFrom?: OldSessionsDefinition | undefined

  /**
   * How many replicas every change waits for, by WAIT, before it is answered. Where fewer confirm it in time, or are
   * connected at all, the call rejects (503), though the change was made and may stay; so have one replica more than this,
   * or a failover leaves a fleet that answers nothing until another follows. It costs each change two round trips more.
   *
   * WAIT narrows the window in which a failover loses what was answered, and is no guarantee: a replica without the change
   * may be the one that is promoted, and a master that was cut off goes on until it notices. Default: 0; then logins, ends,
   * rotations and the first uses of their tokens wait for one replica where the server has any, for at most a quarter of
   * the deadline, and are answered without it after that, with a warning and `stats().replication`.
   */
  waitReplicas?: number | undefined

  /**
   * Keeps copies of sessions in this process, so that most reads make no round trip. Redis tells of changes by others, and
   * a copy is served for at most a lease after a sign of life: a request that carries the hint of a change sees it, one
   * without may be behind by a lease, and after `logout`, `login`, `revoke` and `rotate` have resolved no node serves a copy
   * of before. Needs the package `redis`: a client that was given is duplicated, and with one of ioredis there are no copies;
   * `sessions.stats().nearCache.off` says why there are none. Give every node of a fleet the same. Default: `true`.
   */
  nearCache?: boolean | NearCacheOptions | undefined

  /**
   * While Redis is away from this node or gives it no answers, a copy of the near cache is served to whoever only reads, for
   * so long after its lease ran out, at most a minute. Whatever writes is answered 503 all the same, and so is a request that
   * has seen a newer version, and who has no copy here. The price: where this node alone is cut off, it goes on to serve for
   * so long what others have changed, and sessions that they have ended. Needs `nearCache`. Default: never.
   */
  staleReads?: Duration | undefined
}

/**
 * Keeps each session in one Redis hash, which it changes by one script call and reads by one HGETALL. Redis drops a
 * session by itself once its time is over; the `maxmemory-policy` must not be one that evicts others.
 *
 * After a failover or a restart, which may lose the last changes, versions go on in a new incarnation, so that none is issued
 * twice; a client that has seen a lost one raises `stale`. Replicas must be of Redis 5 or later, which tell their
 * replication id.
 *
 * Calls fail with `store_unavailable` while Redis is away, within the deadline of the sessions. A change whose connection
 * broke is sent again within it, and applied once.
 *
 * @example
 * ```ts
 * createSessions({ store: redisStore({ url: process.env.REDIS_URL }), secret })
 * createSessions({ store: redisStore({ cluster: { nodes: ['redis://10.0.0.1:6379', 'redis://10.0.0.2:6379'] } }), secret })
 * createSessions({ store: redisStore({ sentinel: { name: 'mymaster', nodes: ['10.0.0.1:26379'] } }), secret })
 * ```
 * @throws TypeError for options that do not fit
 */
export function redisStore(options: RedisStoreOptions): StoreDefinition {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError('redisStore needs options: redisStore({ url }) or redisStore({ client })')
  }
  const {
    client,
    url,
    cluster,
    sentinel,
    keyPrefix = 'sojourn:',
    encrypt = false,
    migrateFrom,
    waitReplicas = 0,
    nearCache = true,
    staleReads,
    ...others
  } = options
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) {
    throw new TypeError(
      `redisStore has no option ${JSON.stringify(unknown)}; its options are client, url, cluster, sentinel, keyPrefix, encrypt, migrateFrom, waitReplicas, nearCache, staleReads`,
    )
  }
  checkKeyPrefix(keyPrefix)
  if (typeof encrypt !== 'boolean' && encrypt !== 'migrate') {
    throw new TypeError("encrypt is true, false or 'migrate'; the key is derived from the secret of the sessions")
  }
  if (!Number.isSafeInteger(waitReplicas) || waitReplicas < 0) {
    throw new TypeError('waitReplicas is the number of replicas that every change waits for: 0, 1, …')
  }
  if (migrateFrom !== undefined && typeof migrateFrom?.open !== 'function') {
    throw new TypeError('migrateFrom is connectRedis({ … }) or fastifySession({ … })')
  }
  const settings = {
    source: toSource({ client, url, cluster, sentinel }),
    keyPrefix,
    encrypt,
    migrateFrom,
    waitReplicas,
    staleMs: toStaleMs(staleReads, nearCache !== false && !isOfIoredis(client)),
  }
  const near = toNearCache(nearCache)
  return {
    name: 'redis',
    shared: true,
    open: (context) => new RedisStore({ ...settings, ...near(context.deadlineMs) }, context),
  }
}
