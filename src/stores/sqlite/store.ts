import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { setTimeout } from 'node:timers/promises'
import {
  answerToEnd,
  applyChange,
  type Change,
  type ChangeResult,
  CLEANING_MARGIN_MS,
  type End,
  type EndResult,
  isTombstone,
  type SessionRecord,
  type Store,
  type StoreContext,
  StoreTimeoutError,
  StoreUnavailableError,
  takesPlace,
  type Tombstone,
} from '../../core/index.ts'
import { fileIdentity, inTransaction, openDatabase, type Synchronous } from './database.ts'
import { decodeRecord, encodeRecord } from './encoding.ts'
import { isBusy, toStoreError } from './failure.ts'
import { prepareUsers, SqliteUsers, type UserStatements } from './users.ts'

/** One write in so many also removes rows whose time is over: more than were made since, and few enough that no call stalls. */
const WRITES_PER_CLEANING = 64
const CLEANED_ROWS_MAX = 256

/** The longest wait before another try while another process writes; the first is a millisecond. */
const WAIT_MS_MAX = 16

/** What a {@link SqliteStore} was made with. */
export interface SqliteSettings {
  /** Absolute. */
  readonly path: string
  readonly synchronous: Synchronous
}

/** The open file. */
interface Handle {
  readonly database: DatabaseSync
  readonly identity: string | undefined
  readonly select: StatementSync
  readonly upsert: StatementSync
  readonly update: StatementSync
  readonly clean: StatementSync
  readonly users: UserStatements
}

/** What the file has under a key. */
interface Row {
  readonly record: SessionRecord | undefined
  readonly isEnded: boolean
  readonly cleanAt: number
}

const NO_ROW: Row = { record: undefined, isEnded: false, cleanAt: 0 }

export class SqliteStore implements Store {
  readonly users: SqliteUsers
  readonly #settings: SqliteSettings
  readonly #context: StoreContext
  #handle: Handle | undefined
  #isClosed = false
  #writeCount = 0

  constructor(settings: SqliteSettings, context: StoreContext) {
    this.#settings = settings
    this.#context = context
    this.users = new SqliteUsers({
      read: (task) => this.#whenFree((handle) => task(handle().users)),
      write: (task) => this.#write(({ users }) => task(users)),
      now: () => context.clock.now(),
    })
  }

  ready(): Promise<void> {
    return this.#whenFree(() => {
      if (this.#isClosed) throw this.#notOpen()
      this.#handle ??= openHandle(this.#settings)
    })
  }

  read(key: string): Promise<SessionRecord | undefined> {
    return this.#whenFree((handle) => readRow(handle(), key).record)
  }

  apply(change: Change): Promise<ChangeResult> {
    return this.#write((handle) => {
      const row = readRow(handle, change.key)
      const { result, record } = applyChange(row.record, row.isEnded, change)
      if (record) put(handle, record, row)
      return result
    })
  }

  end(end: End): Promise<EndResult> {
    return this.#write((handle) => {
      const row = readRow(handle, end.key)
      const answer = answerToEnd(row.record, end)
      if (answer !== 'superseded') bury(handle, end, row)
      return answer
    })
  }

  install(whole: SessionRecord | Tombstone): Promise<void> {
    return this.#write((handle) => {
      const row = readRow(handle, whole.key)
      if (isTombstone(whole)) bury(handle, whole, row)
      else if (takesPlace(row.record, row.isEnded, whole)) put(handle, whole, row)
    })
  }

  check(): Promise<void> {
    const { path } = this.#settings
    return this.#whenFree((handle) => {
      readRow(handle(), '')
      if (fileIdentity(path) === handle().identity) return
      throw new StoreUnavailableError(
        `the session database ${path} was removed or replaced while it is in use; restart this process`,
      )
    })
  }

  /** SQLite writes its log back into the file when the last process closes it. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#handle?.database.close()
    this.#handle = undefined
  }

  /** Runs a task as one step among all processes, and now and then a little cleaning with it. */
  #write<T>(task: (handle: Handle) => T): Promise<T> {
    return this.#whenFree((open) => {
      const handle = open()
      const result = inTransaction(handle.database, () => {
        if (this.#writeCount % WRITES_PER_CLEANING === 0) handle.clean.run(this.#context.clock.now(), CLEANED_ROWS_MAX)
        return task(handle)
      })
      this.#writeCount += 1
      return result
    })
  }

  /**
   * Runs a task, again after a while when another process holds the file.
   *
   * @throws StoreTimeoutError when it is held for too long; nothing was applied then
   */
  async #whenFree<T>(task: (handle: () => Handle) => T): Promise<T> {
    const { path } = this.#settings
    // A little before the deadline of the caller, who would otherwise hear only that it took too long.
    const waitMsMax = this.#context.deadlineMs * 0.9
    const startedAt = performance.now()
    for (let waitMs = 1; ; waitMs = Math.min(2 * waitMs, WAIT_MS_MAX)) {
      try {
        return task(() => this.#opened)
      } catch (error) {
        if (!isBusy(error)) throw toStoreError(path, error)
        if (performance.now() - startedAt >= waitMsMax) {
          throw new StoreTimeoutError(
            `the session database ${path} was held by other processes for ${waitMsMax} ms; nothing was applied. Too many write at once, or another program keeps it locked`,
            { cause: error },
          )
        }
      }
      await setTimeout(waitMs * (0.5 + Math.random() / 2))
    }
  }

  get #opened(): Handle {
    if (this.#handle) return this.#handle
    throw this.#notOpen()
  }

  #notOpen(): StoreUnavailableError {
    return new StoreUnavailableError(`the session database ${this.#settings.path} is not open`)
  }
}

function openHandle({ path, synchronous }: SqliteSettings): Handle {
  const database = openDatabase(path, synchronous)
  try {
    return {
      database,
      identity: fileIdentity(path),
      select: database.prepare('SELECT clean_at, record FROM sessions WHERE key = ?'),
      upsert: database.prepare(
        `INSERT INTO sessions (key, clean_at, record, user, login_at) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (key) DO UPDATE SET clean_at = excluded.clean_at, record = excluded.record,
          seat = CASE WHEN user IS excluded.user THEN seat END, user = excluded.user, login_at = excluded.login_at`,
      ),
      update: database.prepare('UPDATE sessions SET clean_at = ?, record = ? WHERE key = ?'),
      clean: database.prepare(
        `DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions WHERE clean_at <= ? ORDER BY clean_at LIMIT ?)`,
      ),
      users: prepareUsers(database),
    }
  } catch (error) {
    database.close()
    throw error
  }
}

function readRow({ select }: Handle, key: string): Row {
  const row = select.get(key)
  if (!row) return NO_ROW
  const { clean_at: cleanAt, record } = row as { clean_at: number; record: string | null }
  return record === null
    ? { record: undefined, isEnded: true, cleanAt }
    : { record: decodeRecord(key, record), isEnded: false, cleanAt }
}

function put({ upsert, update }: Handle, record: SessionRecord, before: Row): void {
  const { key, user, startedAt } = record
  const cleanAt = record.expiresAt + CLEANING_MARGIN_MS
  const text = encodeRecord(record)
  if (before.record?.user === user && before.record.startedAt === startedAt) update.run(cleanAt, text, key)
  else upsert.run(key, cleanAt, text, user, user === null ? null : startedAt)
}

function bury({ upsert }: Handle, { key, forgetAt }: Tombstone, { isEnded, cleanAt }: Row): void {
  upsert.run(key, isEnded ? Math.max(forgetAt, cleanAt) : forgetAt, null, null, null)
}
