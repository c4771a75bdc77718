/** SQLite stores for tests. */

import { join } from 'node:path'
import type { Store, StoreContext } from '../../src/core/index.ts'
import { sqliteStore, type SqliteStoreOptions } from '../../src/stores/sqlite/index.ts'
import { temporaryFolder } from '../support/folders.ts'
import { contextOf } from './context.ts'

/** A path of a file that is not there yet, in a folder of its own. */
export function temporaryDatabase(): string {
  return join(temporaryFolder(), 'sessions.db')
}

/** A store that is not ready yet. */
export function makeSqliteStore(options: SqliteStoreOptions, parts: Partial<StoreContext> = {}): Store {
  return sqliteStore(options).open(contextOf(parts))
}

/** A store that is ready. */
export async function openSqliteStore(path: string, parts: Partial<StoreContext> = {}): Promise<Store> {
  const store = makeSqliteStore({ path }, parts)
  await store.ready()
  return store
}
