import type { DatabaseSync, StatementSync } from 'node:sqlite'
import {
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
  StoreUnavailableError,
  takesPlace,
  type Tombstone,
} from '../../core/index.ts'
import { openDatabase, whenFree } from './database.ts'
import { decodeRecord, encodeRecord } from './encoding.ts'

/** One write in so many also removes rows whose time is over, at most so many. */
const WRITES_PER_CLEANING = 64
const CLEANED_ROWS_MAX = 256

interface Row {
  readonly expires_at: number
  readonly record: string | null
}

interface Open {
  readonly database: DatabaseSync
  readonly read: StatementSync
  readonly write: StatementSync
  readonly clean: StatementSync
}

/** What is under a key. */
interface Present {
  readonly record: SessionRecord | undefined
  readonly isEnded: boolean
}

export class SqliteStore implements Store {
  readonly #context: StoreContext
  readonly #path: string
  readonly #synchronous: 'normal' | 'full'
  #open: Open | undefined
  #writes = 0

  constructor(context: StoreContext, { path, synchronous }: { path: string; synchronous: 'normal' | 'full' }) {
    this.#context = context
    this.#path = path
    this.#synchronous = synchronous
  }

  async ready(): Promise<void> {
    if (this.#open) return
    const database = await this.#whenFree(() => openDatabase(this.#path, this.#synchronous))
    this.#open = {
      database,
      read: database.prepare('SELECT expires_at, record FROM sessions WHERE key = ?'),
      write: database.prepare('INSERT OR REPLACE INTO sessions (key, expires_at, clean_at, record) VALUES (?, ?, ?, ?)'),
      clean: database.prepare('DELETE FROM sessions WHERE key IN (SELECT key FROM sessions WHERE clean_at < ? LIMIT ?)'),
    }
  }

  read(key: string): Promise<SessionRecord | undefined> {
    return this.#whenFree(() => this.#present(key).record)
  }

  apply(change: Change): Promise<ChangeResult> {
    return this.#transaction(() => {
      const { record: present, isEnded } = this.#present(change.key)
      const { result, record } = applyChange(present, isEnded, change)
      if (record) this.#write(record)
      return result
    })
  }

  end(end: End): Promise<EndResult> {
    return this.#transaction(() => {
      const { record } = this.#present(end.key)
      if (record && end.generation !== undefined && end.generation < record.floor) return 'superseded'
      this.#bury(end)
      return record ? 'ended' : 'gone'
    })
  }

  install(whole: SessionRecord | Tombstone): Promise<void> {
    return this.#transaction(() => {
      if (isTombstone(whole)) return this.#bury(whole)
      const { record, isEnded } = this.#present(whole.key)
      if (takesPlace(record, isEnded, whole)) this.#write(whole)
      return undefined
    })
  }

  async check(): Promise<void> {
    await this.#whenFree(() => this.#present(''))
  }

  async close(): Promise<void> {
    this.#open?.database.close()
    this.#open = undefined
  }

  #present(key: string): Present {
    const row = this.#opened.read.get(key) as Row | undefined
    if (!row) return { record: undefined, isEnded: false }
    return row.record === null
      ? { record: undefined, isEnded: true }
      : { record: decodeRecord(key, row.expires_at, row.record), isEnded: false }
  }

  #write(record: SessionRecord): void {
    const { key, expiresAt } = record
    this.#opened.write.run(key, expiresAt, expiresAt + CLEANING_MARGIN_MS, encodeRecord(record))
  }

  #bury({ key, endedAt, forgetAt }: Tombstone): void {
    const row = this.#opened.read.get(key) as Row | undefined
    const remembered = row?.record === null ? row.expires_at : 0
    this.#opened.write.run(key, Math.max(forgetAt, remembered), Math.max(forgetAt, remembered, endedAt), null)
  }

  /** Reads and writes as one step among all processes. */
  #transaction<T>(run: () => T): Promise<T> {
    return this.#whenFree(() => {
      const { database } = this.#opened
      database.exec('BEGIN IMMEDIATE')
      try {
        const result = run()
        if (this.#writes++ % WRITES_PER_CLEANING === 0) this.#opened.clean.run(this.#context.clock.now(), CLEANED_ROWS_MAX)
        database.exec('COMMIT')
        return result
      } catch (error) {
        if (database.isTransaction) database.exec('ROLLBACK')
        throw error
      }
    })
  }

  #whenFree<T>(run: () => T): Promise<T> {
    return whenFree(this.#path, this.#context.deadlineMs, run)
  }

  get #opened(): Open {
    if (this.#open) return this.#open
    throw new StoreUnavailableError(`the session database ${this.#path} is not open`)
  }
}
