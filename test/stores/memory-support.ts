/** Memory stores for tests, with a clock to turn. */

import { randomBytes } from 'node:crypto'
import type { Store } from '../../src/core/index.ts'
import { memoryStore, type MemoryStoreOptions } from '../../src/stores/memory/index.ts'
import { createKeyRing, toCookiePolicy } from '../../src/token/index.ts'
import { now } from './changes.ts'

/** A store with what it was given. */
export interface MadeMemoryStore {
  store: Store
  /** The keys of sessions that the store said it dropped, in that order. */
  dropped: string[]
  clock: { time: number; now(): number }
}

/** @param whenDropped is called with each key that the store drops */
export function makeMemoryStore(options?: MemoryStoreOptions, whenDropped?: (key: string) => void): MadeMemoryStore {
  const dropped: string[] = []
  const clock = { time: now, now: () => clock.time }
  const store = memoryStore(options).open({
    keyRing: createKeyRing(randomBytes(32).toString('base64url')),
    clock,
    logger: { info() {}, warn() {}, error() {} },
    absoluteTimeoutMs: 43_200_000,
    cookie: toCookiePolicy(),
    deadlineMs: 1_000,
    dropped(key) {
      dropped.push(key)
      whenDropped?.(key)
    },
    ended() {},
    tokensChanged() {},
    raise() {},
  })
  return { store, dropped, clock }
}
