/** Stores with a near cache for tests: each is a node, behind a proxy of its own. */

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EndReason, NearCacheStats, SessionRecord, Store, StoreContext } from '../../src/core/index.ts'
import type { RedisStoreOptions } from '../../src/stores/redis/index.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { makeRedisStore } from './redis-support.ts'

/** A session that a node was told has ended. */
export type Told = readonly [key: string, user: string | null, reason: EndReason]

export interface NearNode extends AsyncDisposable {
  readonly store: Store
  readonly proxy: TcpProxy
  readonly told: Told[]
}

export async function openNode(
  port: number,
  options: RedisStoreOptions | ((url: string) => RedisStoreOptions) = {},
  parts: Partial<StoreContext> = {},
): Promise<NearNode> {
  const proxy = await startTcpProxy({ to: { port } })
  const url = `redis://127.0.0.1:${proxy.port}`
  const told: Told[] = []
  const ended: StoreContext['ended'] = (...facts) => void told.push(facts)
  const given = typeof options === 'function' ? options(url) : { url, ...options }
  // Patient, for a machine that is busy, and with the lease of a node that is less so.
  const nearCache = given.nearCache ?? { lease: '500ms' }
  const store = makeRedisStore({ ...given, nearCache }, { ended, deadlineMs: 3_000, ...parts })
  await store.ready()
  async function close(): Promise<void> {
    await store.close()
    await proxy.close()
  }
  return { store, proxy, told, [Symbol.asyncDispose]: close }
}

/** Waits until something is so. */
export async function until(isSo: () => unknown, what: string): Promise<void> {
  for (let attempt = 0; attempt < 2_000; attempt++) {
    if (await isSo()) return
    await sleep(5)
  }
  assert.fail(`it never came so far: ${what}`)
}

/** Reads until a copy is served. */
export async function untilCopied({ store }: Pick<NearNode, 'store'>, key: string): Promise<SessionRecord> {
  await until(async () => store.copy?.(key) ?? (await store.read(key), store.copy?.(key)), 'a copy is served')
  const copy = store.copy?.(key)
  return copy ?? untilCopied({ store }, key)
}

export function nearStats({ store }: Pick<NearNode, 'store'>): NearCacheStats {
  const { nearCache } = store.stats ?? {}
  assert.ok(nearCache)
  return nearCache
}

/** Lets a fresh list of nodes grow old, so that no end waits for nodes of which nothing is known. */
export async function untilListIsOld({ store }: Pick<NearNode, 'store'>): Promise<void> {
  const key = 'none'.padEnd(43, '-')
  await until(async () => {
    const startedAt = performance.now()
    await store.end({ key, endedAt: 0, forgetAt: 1 })
    return performance.now() - startedAt < 300
  }, 'an end does not wait')
}
