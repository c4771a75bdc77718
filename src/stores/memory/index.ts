/**
 * Sessions in the memory of one process.
 *
 * @module
 */

import type { StoreDefinition } from '../../core/index.ts'
import { MemoryStore } from './store.ts'

/** Options of {@link memoryStore}. */
export interface MemoryStoreOptions {
  /** Sessions that it keeps at most. Default: 100,000. */
  maxSessions?: number | undefined

  /** Memory that they may take together, in bytes; estimated, so leave some room. Default: 256 MiB. */
  maxBytes?: number | undefined
}

const SESSIONS_MAX = 100_000
const BYTES_MAX = 256 * 1024 * 1024

/**
 * Keeps sessions in this process alone: they are gone when it stops, and no other process sees them. For development, for
 * tests, and for a single server or one behind affinity that may lose its sessions.
 *
 * When it is full it drops sessions without a user, the one that was unused for longest first; each raises `ended` with the
 * reason `dropped`. A session whose user is logged in is never dropped: when only those are left, what needs more room fails
 * with `store_full`, 503.
 *
 * @example
 * ```ts
 * createSessions({ store: memoryStore({ maxSessions: 10_000 }), secret })
 * ```
 * @throws TypeError for options that do not fit
 */
export function memoryStore(options: MemoryStoreOptions = {}): StoreDefinition {
  const { maxSessions = SESSIONS_MAX, maxBytes = BYTES_MAX, ...others } = options
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) {
    throw new TypeError(`memoryStore has no option ${JSON.stringify(unknown)}; its options are maxSessions, maxBytes`)
  }
  for (const [name, value] of Object.entries({ maxSessions, maxBytes })) {
    if (!(typeof value === 'number' && value >= 1)) throw new TypeError(`${name} is a number of at least 1`)
  }
  const limits = { sessionsMax: maxSessions, bytesMax: maxBytes }
  return { name: 'memory', shared: false, open: (context) => new MemoryStore(limits, context) }
}
