/**
 * Sessions in one SQLite file, shared by every process of one machine, with nothing else to run.
 *
 * Exported from `sojourn/sqlite`.
 *
 * @module
 */
import type { StoreDefinition } from '../../core/index.ts'
import { SqliteStore } from './store.ts'

/** Options of {@link sqliteStore}. */
export interface SqliteStoreOptions {
  /**
   * The file, on a disk of this machine (not on a network: SQLite's write-ahead log needs shared memory). Made, readable
   * by its owner alone, where it does not exist; its folder must exist.
   */
  path: string

  /**
   * What an acknowledged change survives. `'normal'`: the kill of any process; a power cut may lose the last moments,
   * and never damages the file. `'full'`: a power cut too, for one more wait on the disk at each write.
   * Default: `'normal'`.
   */
  synchronous?: 'normal' | 'full'
}

/**
 * Sessions in a SQLite file (`node:sqlite`, in WAL mode): safe between processes, over kills and restarts.
 *
 * Calls are synchronous inside, some tens of microseconds each. While another process writes, a call waits without
 * blocking this one.
 *
 * @throws TypeError when the path is missing, or `:memory:`, which no other process shares
 */
export function sqliteStore({ path, synchronous = 'normal' }: SqliteStoreOptions): StoreDefinition {
  if (typeof path !== 'string' || path === '') throw new TypeError("sqliteStore: path is missing; give a file such as 'sessions.db'")
  if (path.startsWith(':memory:')) throw new TypeError('sqliteStore: no other process shares :memory:; use memoryStore()')
  if (!['normal', 'full'].includes(synchronous)) throw new TypeError("sqliteStore: synchronous is 'normal' or 'full'")
  return { name: 'sqlite', open: (context) => new SqliteStore(context, { path, synchronous }) }
}
