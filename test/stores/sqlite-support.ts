/** SQLite stores for tests. */

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Store, StoreContext } from '../../src/core/index.ts'
import { sqliteStore, type SqliteStoreOptions } from '../../src/stores/sqlite/index.ts'
import { createKeyRing, toCookiePolicy } from '../../src/token/index.ts'
import { temporaryFolder } from '../support/folders.ts'

/** A path of a file that is not there yet, in a folder of its own. */
export function temporaryDatabase(): string {
  return join(temporaryFolder(), 'sessions.db')
}

/** A store that is not ready yet. */
export function makeSqliteStore(options: SqliteStoreOptions, parts: Partial<StoreContext> = {}): Store {
  return sqliteStore(options).open({
    keyRing: createKeyRing(randomBytes(32).toString('base64url')),
    clock: { now: Date.now },
    logger: { info() {}, warn() {}, error() {} },
    absoluteTimeoutMs: 43_200_000,
    cookie: toCookiePolicy(),
    deadlineMs: 1_000,
    dropped() {},
    ended() {},
    tokensChanged() {},
    raise() {},
    ...parts,
  })
}

/** A store that is ready. */
export async function openSqliteStore(path: string, parts: Partial<StoreContext> = {}): Promise<Store> {
  const store = makeSqliteStore({ path }, parts)
  await store.ready()
  return store
}
