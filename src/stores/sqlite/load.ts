import type * as Sqlite from 'node:sqlite'
import { StoreUnavailableError } from '../../core/index.ts'

/**
 * Loads `node:sqlite`, when a store is opened and not before. Node 22 prints a warning then that SQLite is experimental;
 * it is for us to heed and says nothing to the users of an application, so it is held back for the moment of loading.
 *
 * @throws StoreUnavailableError where the runtime has no `node:sqlite`
 */
export function loadSqlite(): typeof Sqlite {
  const emitWarning: unknown = Reflect.get(process, 'emitWarning')
  process.emitWarning = () => {}
  let sqlite: typeof Sqlite | undefined
  try {
    sqlite = process.getBuiltinModule('node:sqlite')
  } finally {
    Object.assign(process, { emitWarning })
  }
  if (sqlite) return sqlite
  throw new StoreUnavailableError('this runtime has no node:sqlite; run Node 22.19 or later, or use another store')
}
