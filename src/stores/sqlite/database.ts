import { closeSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { StoreUnavailableError } from '../../core/index.ts'
import { loadSqlite } from './load.ts'

/** `PRAGMA application_id` of our files ("Sojo"), so that no other application's database is written to by mistake. */
const APPLICATION_ID = 0x536f6a6f
const SCHEMA_VERSION = 2

/**
 * `record` is NULL for an ended session; `clean_at` is when the row may go. The table keeps its rowid, since rows of a
 * kilobyte and more would overflow the pages of a table that is an index.
 */
const SCHEMA = `
  CREATE TABLE sessions (key TEXT NOT NULL PRIMARY KEY, clean_at REAL NOT NULL, record TEXT) STRICT;
  CREATE INDEX sessions_by_clean_at ON sessions (clean_at);
  PRAGMA application_id = ${APPLICATION_ID};
`

/**
 * From version 1 on. `user` and `login_at` are those of the record, where it has a user; `seat` is 1 where the session has
 * one. Rows of version 1 tell theirs by the places in `encoding.ts`; one that is damaged has no user.
 */
const UPGRADE = `
  ALTER TABLE sessions ADD COLUMN user TEXT;
  ALTER TABLE sessions ADD COLUMN login_at REAL;
  ALTER TABLE sessions ADD COLUMN seat INTEGER;
  UPDATE sessions SET user = json_extract(record, '$[6]'), login_at = json_extract(record, '$[7]')
    WHERE json_valid(record) AND json_extract(record, '$[6]') IS NOT NULL;
  CREATE INDEX sessions_by_user ON sessions (user, login_at, key) WHERE user IS NOT NULL;
  CREATE INDEX sessions_by_seat ON sessions (user, login_at, key) WHERE seat = 1;
  CREATE TABLE epochs (user TEXT NOT NULL PRIMARY KEY, epoch TEXT NOT NULL, clean_at REAL NOT NULL) STRICT;
  CREATE INDEX epochs_by_clean_at ON epochs (clean_at);
  PRAGMA user_version = ${SCHEMA_VERSION};
`

/** How often SQLite waits for the disk. */
export type Synchronous = 'normal' | 'full'

/**
 * Opens the file, and makes it and its tables where there are none. Several processes may do so at once.
 *
 * @throws StoreUnavailableError with what to do where the file is none of ours; what SQLite throws, as it is
 */
export function openDatabase(path: string, synchronous: Synchronous): DatabaseSync {
  const { DatabaseSync } = loadSqlite()
  createPrivately(path)
  const database = new DatabaseSync(path)
  try {
    database.exec('PRAGMA busy_timeout = 0') // a wait inside SQLite would block the event loop
    const version = checkIsOurs(database, path)
    if (pragma(database, 'journal_mode = WAL') !== 'wal') {
      throw new StoreUnavailableError(
        `${path} is where SQLite cannot keep a write-ahead log; put it on a disk of this machine`,
      )
    }
    database.exec(`PRAGMA synchronous = ${synchronous}`)
    if (version < SCHEMA_VERSION) createTables(database, path)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** Runs statements as one step among all processes. Where it throws, nothing was changed. */
export function inTransaction<T>(database: DatabaseSync, run: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = run()
    database.exec('COMMIT')
    return result
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

/** Tells the file apart from another one that took its path. */
export function fileIdentity(path: string): string | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat && `${stat.dev}:${stat.ino}`
}

function createTables(database: DatabaseSync, path: string): void {
  inTransaction(database, () => {
    // Another process may have been first.
    const version = checkIsOurs(database, path)
    if (version < 1) database.exec(SCHEMA)
    if (version < SCHEMA_VERSION) database.exec(UPGRADE)
  })
}

/** The version of its schema; 0 where it is still empty. @throws StoreUnavailableError where it is not for this program */
function checkIsOurs(database: DatabaseSync, path: string): number {
  const isEmpty = database.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined
  const version = Number(pragma(database, 'user_version'))
  if (isEmpty && version === 0) return 0
  if (pragma(database, 'application_id') !== APPLICATION_ID) {
    throw new StoreUnavailableError(
      `${path} is the database of another application; give the sessions a file of their own`,
    )
  }
  if (version > SCHEMA_VERSION) {
    throw new StoreUnavailableError(
      `${path} was written by a newer version of sojourn (schema ${version}; this one knows ${SCHEMA_VERSION}); update sojourn here`,
    )
  }
  return version
}

function pragma(database: DatabaseSync, text: string): unknown {
  const row = database.prepare(`PRAGMA ${text}`).get()
  return row && Object.values(row)[0]
}

/**
 * A new file is its owner's alone, since it holds sessions; SQLite gives its log the same permissions. An existing file
 * is not touched: closing it here would drop the locks of another store of this process on it.
 */
function createPrivately(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'EEXIST') return
    const folder = dirname(path)
    const reason =
      code === 'ENOENT'
        ? `its folder ${folder} does not exist; create it first`
        : `${error instanceof Error ? error.message : String(error)}; this process must be able to write in ${folder}`
    throw new StoreUnavailableError(`the session database ${path} cannot be created: ${reason}`, { cause: error })
  }
}
