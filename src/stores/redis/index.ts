/**
 * Sessions in Redis, shared by every node.
 *
 * Exported from `sojourn/redis`.
 *
 * @module
 */

import type { StoreDefinition } from '../../core/index.ts'
import { type RedisClientLike, toClient } from './client.ts'
import { checkUrl } from './own-client.ts'
import { RedisStore } from './store.ts'

export type { IoredisLike, NodeRedisLike, RedisClientLike } from './client.ts'

/** Options of {@link redisStore}: a `client` or a `url`, and not both. */
export interface RedisStoreOptions {
  /**
   * A connected client of `redis` 6 or `ioredis` 6, for one server. The store never closes it, and listens to its
   * errors while it is open. Its own timeouts may be longer than the deadline of the sessions, which holds in any case.
   * Give one of `redis` a `pingInterval` and `socket.socketTimeout`, and one of `ioredis` `maxRetriesPerRequest: 1`:
   * else a dead connection is noticed late, and what was under way on it may be sent, and applied, after the deadline.
   */
  client?: RedisClientLike | undefined

  /**
   * `redis://user:password@host:port/database`, or `rediss:` for TLS. The store then connects by itself with the package
   * `redis`, which the application installs, and closes that connection with the sessions.
   */
  url?: string | undefined

  /** Prefix of every key. Two applications on one Redis need two. Default: `'sojourn:'`. */
  keyPrefix?: string | undefined
}

/**
 * Keeps each session in one Redis hash, which it changes by one script call and reads by one HGETALL. Redis drops a
 * session by itself once its time is over; the `maxmemory-policy` must not be one that evicts others.
 *
 * Calls fail with `store_unavailable` while Redis is away, within the deadline of the sessions. A change whose connection
 * broke is sent again within it, and applied once.
 *
 * @example
 * ```ts
 * createSessions({ store: redisStore({ url: process.env.REDIS_URL }), secret })
 * ```
 * @throws TypeError for options that do not fit
 */
export function redisStore(options: RedisStoreOptions): StoreDefinition {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError('redisStore needs options: redisStore({ url }) or redisStore({ client })')
  }
  const { client, url, keyPrefix = 'sojourn:', ...others } = options
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) {
    throw new TypeError(`redisStore has no option ${JSON.stringify(unknown)}; its options are client, url, keyPrefix`)
  }
  if (typeof keyPrefix !== 'string') throw new TypeError('keyPrefix is text')
  if (client === undefined && url === undefined) {
    throw new TypeError('redisStore needs either a client or a url; a variable of the environment may be unset')
  }
  if (client !== undefined && url !== undefined) {
    throw new TypeError('redisStore takes a client or a url, and not both; leave one out')
  }
  const source = client === undefined ? { url: checkUrl(url) } : { client: toClient(client) }
  return { name: 'redis', shared: true, open: (context) => new RedisStore(source, keyPrefix, context) }
}
