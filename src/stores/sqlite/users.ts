import { randomUUID } from 'node:crypto'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { EPOCH_MS, type UserEntry, type UserLogin, type UserPage, type UserSessions } from '../../core/index.ts'

/** What is prepared for the sessions of users. */
export interface UserStatements {
  readonly epoch: StatementSync
  readonly advance: StatementSync
  readonly forget: StatementSync
  readonly first: StatementSync
  readonly next: StatementSync
  readonly seatOf: StatementSync
  readonly seatCount: StatementSync
  readonly seat: StatementSync
  readonly seated: StatementSync
}

export function prepareUsers(database: DatabaseSync): UserStatements {
  const listed = 'SELECT key, login_at AS at FROM sessions WHERE user = ? AND record IS NOT NULL'
  return {
    epoch: database.prepare('SELECT epoch FROM epochs WHERE user = ?'),
    advance: database.prepare('INSERT OR REPLACE INTO epochs (user, epoch, clean_at) VALUES (?, ?, ?)'),
    forget: database.prepare('DELETE FROM epochs WHERE clean_at <= ?'),
    first: database.prepare(`${listed} ORDER BY login_at DESC, key DESC LIMIT ?`),
    next: database.prepare(`${listed} AND (login_at, key) < (?, ?) ORDER BY login_at DESC, key DESC LIMIT ?`),
    seatOf: database.prepare('SELECT seat FROM sessions WHERE key = ? AND user = ? AND record IS NOT NULL'),
    seatCount: database.prepare('SELECT count(*) AS count FROM sessions WHERE user = ? AND seat = 1'),
    seat: database.prepare('UPDATE sessions SET seat = 1 WHERE key = ?'),
    seated: database.prepare(
      'SELECT key, login_at AS at FROM sessions WHERE user = ? AND seat = 1 ORDER BY login_at, key LIMIT ?',
    ),
  }
}

/** Runs a task on the open file, for itself or as one step among all processes. */
type Run = <T>(task: (statements: UserStatements) => T) => Promise<T>

/** The sessions of a user are found by a column of their rows, so that nothing is to be entered, and nothing can be left behind. */
export class SqliteUsers implements UserSessions {
  readonly #read: Run
  readonly #write: Run
  readonly #now: () => number

  constructor({ read, write, now }: { read: Run; write: Run; now: () => number }) {
    this.#read = read
    this.#write = write
    this.#now = now
  }

  enter({ user }: UserLogin): Promise<string> {
    return this.#read(({ epoch }) => epochIn(epoch.get(user)))
  }

  async settle(login: UserLogin, epoch: string): Promise<boolean> {
    return (await this.enter(login)) === epoch
  }

  advance(user: string): Promise<void> {
    return this.#write(({ advance, forget }) => {
      forget.run(this.#now())
      advance.run(user, randomUUID(), this.#now() + EPOCH_MS)
    })
  }

  async list(user: string, { limit, after }: { limit: number; after?: string }): Promise<UserPage> {
    const entries = await this.#read(({ first, next }) => {
      if (after === undefined) return entriesIn(first.all(user, limit))
      const [at, key = ''] = after.split(' ')
      return entriesIn(next.all(user, Number(at), key, limit))
    })
    const last = entries.at(-1)
    return { entries, ...(last && entries.length === limit ? { next: `${last.at} ${last.key}` } : {}) }
  }

  seat({ user, key }: UserLogin, max: number): Promise<boolean> {
    return this.#write(({ seatOf, seatCount, seat }) => {
      const row = seatOf.get(key, user)
      if (!row || row['seat'] === 1) return true // a session that is there no more takes none
      if (Number(seatCount.get(user)?.['count']) >= max) return false
      seat.run(key)
      return true
    })
  }

  seated(user: string, limit: number): Promise<readonly UserEntry[]> {
    return this.#read(({ seated }) => entriesIn(seated.all(user, limit)))
  }
}

function epochIn(row: Record<string, unknown> | undefined): string {
  return row ? String(row['epoch']) : ''
}

function entriesIn(rows: readonly Record<string, unknown>[]): UserEntry[] {
  return rows.map(({ key, at }) => ({ key: String(key), at: Number(at) }))
}
