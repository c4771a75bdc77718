/** Memory stores for tests, with a clock to turn. */

import type { Store } from '../../src/core/index.ts'
import { memoryStore, type MemoryStoreOptions } from '../../src/stores/memory/index.ts'
import { now } from './changes.ts'
import { contextOf } from './context.ts'

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
  const store = memoryStore(options).open(
    contextOf({
      clock,
      dropped(key) {
        dropped.push(key)
        whenDropped?.(key)
      },
    }),
  )
  return { store, dropped, clock }
}
