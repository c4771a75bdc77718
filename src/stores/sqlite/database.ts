import { closeSync, openSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { StoreTimeoutError, StoreUnavailableError } from '../../core/index.ts'

/** `PRAGMA application_id` of our files ("Sojo"), so that no other application's database is written into by mistake. */
const APPLICATION_ID = 0x536f6a6f
const SCHEMA_VERSION = 1

/** `record` is NULL for an ended session; `clean_at` is when the row may go. */
const SCHEMA = `
  CREATE TABLE sessions (
    key TEXT PRIMARY KEY,
    expires_at REAL NOT NULL,
    clean_at REAL NOT NULL,
    record TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX sessions_by_clean_at ON sessions (clean_at);
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
`

/** @throws StoreUnavailableError with what to do when the file cannot serve */
export function openDatabase(path: string, synchronous: 'normal' | 'full'): DatabaseSync {
  createPrivately(path)
  const { DatabaseSync } = loadSqlite()
  const database = new DatabaseSync(path)
  try {
    database.exec('PRAGMA busy_timeout = 0') // waiting inside SQLite would block the event loop
    const { application_id: id } = database.prepare('PRAGMA application_id').get() as { application_id: number }
    const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number }
    const { count } = database.prepare('SELECT count(*) AS count FROM sqlite_master').get() as { count: number }
    if (count > 0 && id !== APPLICATION_ID) throw new StoreUnavailableError(`${path} is the database of another application; give the sessions a file of their own`)
    if (version > SCHEMA_VERSION) throw new StoreUnavailableError(`${path} was written by a newer version of Sojourn (schema ${version}); update this one`)
    const { journal_mode: mode } = database.prepare('PRAGMA journal_mode = WAL').get() as { journal_mode: string }
    if (mode !== 'wal') throw new StoreUnavailableError(`${path} is on a file system without SQLite's write-ahead log; put it on a local disk`)
    database.exec(`PRAGMA synchronous = ${synchronous}`)
    if (version === 0) createSchema(database)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** Several processes may start at once: only the first makes the tables. */
function createSchema(database: DatabaseSync): void {
  database.exec('BEGIN IMMEDIATE')
  try {
    const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number }
    if (version === 0) database.exec(SCHEMA)
    database.exec('COMMIT')
  } catch (error) {
    database.exec('ROLLBACK')
    throw error
  }
}

/** A new file is its owner's alone, since it holds sessions. SQLite gives its log the same permissions. */
function createPrivately(path: string): void {
  try {
    closeSync(openSync(path, 'a', 0o600))
  } catch (error) {
    throw new StoreUnavailableError(`the session database cannot be opened: ${(error as Error).message}; its folder must exist and be writable`, { cause: error })
  }
}

/** Node 22 warns on the terminal that SQLite is experimental; the user has not chosen it, we have. */
function loadSqlite(): typeof import('node:sqlite') {
  const emitWarning = process.emitWarning
  process.emitWarning = ((warning: string | Error, ...rest: []) => {
    if (!String(warning).includes('SQLite')) emitWarning(warning, ...rest)
  }) as typeof process.emitWarning
  try {
    return process.getBuiltinModule('node:sqlite')
  } finally {
    process.emitWarning = emitWarning
  }
}

const SQLITE_BUSY = 5
const SQLITE_LOCKED = 6
const WAIT_MS_MAX = 8

const ADVICE: ReadonlyMap<number, string> = new Map([
  [8, 'the file is read-only for this process'],
  [10, 'the disk failed'],
  [11, 'the file is damaged; restore it or move it away'],
  [13, 'the disk is full'],
  [14, 'the file or its folder cannot be opened'],
  [26, 'the file is no SQLite database; give the sessions a file of their own'],
])

/**
 * Runs something on the database, again while another process holds it, without blocking this one.
 *
 * @throws StoreTimeoutError when it is held for longer than the deadline, StoreUnavailableError for what else SQLite refuses
 */
export async function whenFree<T>(path: string, deadlineMs: number, run: () => T): Promise<T> {
  const startedAt = performance.now()
  for (let waitMs = 1; ; waitMs = Math.min(2 * waitMs, WAIT_MS_MAX)) {
    try {
      return run()
    } catch (error) {
      const code = primaryCode(error)
      if (code === undefined) throw error
      if (code !== SQLITE_BUSY && code !== SQLITE_LOCKED) {
        const advice = ADVICE.get(code) ?? (error as Error).message
        throw new StoreUnavailableError(`the session database ${path} failed: ${advice}`, { cause: error })
      }
      if (performance.now() - startedAt > deadlineMs) {
        throw new StoreTimeoutError(`the session database ${path} was held by another process for longer than ${deadlineMs} ms`, { cause: error })
      }
      await delay(waitMs * Math.random())
    }
  }
}

function primaryCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined
  return error.errcode & 0xff
}
