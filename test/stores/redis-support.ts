/** Redis stores for tests. */

import { randomBytes } from 'node:crypto'
import { createKeyRing } from '../../src/token/index.ts'
import type { Logger, Store, StoreContext } from '../../src/core/index.ts'
import { redisStore, type RedisStoreOptions } from '../../src/stores/redis/index.ts'

export interface OpenRedisStore {
  store: Store
  close(): Promise<void>
}

export const silent: Logger = { info() {}, warn() {}, error() {} }

/** What `createSessions` would give to the store. */
export function contextOf(parts: Partial<StoreContext> = {}): StoreContext {
  const keyRing = createKeyRing(randomBytes(32).toString('base64url'))
  return { keyRing, clock: { now: Date.now }, logger: silent, deadlineMs: 1_000, dropped() {}, ...parts }
}

/** A store that is not ready yet. */
export function makeRedisStore(options: RedisStoreOptions, context: Partial<StoreContext> = {}): Store {
  return redisStore(options).open(contextOf(context))
}

/** A store that is ready. `closeClient` ends the client that it was given. */
export async function openRedisStore(
  options: RedisStoreOptions,
  closeClient: () => void = () => {},
  context: Partial<StoreContext> = {},
): Promise<OpenRedisStore> {
  const store = makeRedisStore(options, context)
  await store.ready()
  return {
    store,
    async close() {
      await store.close()
      closeClient()
    },
  }
}
