/**
 * Sessions in one SQLite file, shared by the processes of one machine.
 *
 * Exported from `sojourn/sqlite`.
 *
 * @module
 */

import { resolve } from 'node:path'
import type { StoreDefinition } from '../../core/index.ts'
import { SqliteStore } from './store.ts'

/** Options of {@link sqliteStore}. */
export interface SqliteStoreOptions {
  /**
   * The file, on a disk of this machine: over a network SQLite's locks do not hold. Where there is none it is made,
   * readable by its owner alone; its folder must exist and be writable, since `-wal` and `-shm` files stand beside it.
   */
  path: string

  /**
   * What an acknowledged change survives. `'normal'`: the kill of any process; a power cut or a crash of the whole system
   * may lose the last changes, but never damages the file. `'full'`: those too, for a wait on the disk with each change,
   * in which the process does nothing else. Default: `'normal'`.
   */
  synchronous?: 'normal' | 'full' | undefined
}

/**
 * Keeps sessions in a SQLite file, by `node:sqlite` and with a write-ahead log: safe between processes, over kills and
 * restarts, with nothing else to run.
 *
 * A call takes some tens of microseconds, in which the process does nothing else. One process writes at a time; a call that
 * finds the file held tries again, without blocking, until the deadline of the sessions, and then fails with
 * `store_timeout`. To copy the file while it is in use, take `sqlite3 sessions.db '.backup copy.db'`.
 *
 * @example
 * ```ts
 * createSessions({ store: sqliteStore({ path: 'sessions.db' }), secret })
 * ```
 * @throws TypeError for options that do not fit, and for `:memory:`, which no other process would see
 */
export function sqliteStore(options: SqliteStoreOptions): StoreDefinition {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError("sqliteStore needs the path of a file: sqliteStore({ path: './sessions.db' })")
  }
  const { path, synchronous = 'normal', ...others } = options
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) {
    throw new TypeError(`sqliteStore has no option ${JSON.stringify(unknown)}; its options are path, synchronous`)
  }
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw new TypeError("sqliteStore needs the path of a file, such as './sessions.db'")
  }
  if (path === ':memory:') {
    throw new TypeError('sqliteStore keeps no database in memory, which no other process would see; use memoryStore()')
  }
  if (path.startsWith('file:')) throw new TypeError('path is the path of a file, not a URL')
  if (synchronous !== 'normal' && synchronous !== 'full') throw new TypeError("synchronous is 'normal' or 'full'")
  const settings = { path: resolve(path), synchronous }
  return { name: 'sqlite', shared: true, open: (context) => new SqliteStore(settings, context) }
}
