import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { SojournError, StoreUnavailableError } from '../../core/index.ts'

/** Primary result codes of SQLite. */
const BUSY = 5
const LOCKED = 6
const CANTOPEN = 14

/** What to do about a result code. */
const ADVICE: ReadonlyMap<number, string> = new Map([
  [3, 'this process may not use it; check its owner and permissions'],
  [8, 'this process may not write to it; check the permissions of the file and of its -wal and -shm files'],
  [10, 'its disk failed; look at the log of the system'],
  [11, 'it is damaged; restore it, or move it away to begin with an empty one'],
  [13, 'its disk is full'],
  [22, 'it is too large for this system'],
  [26, 'it is no SQLite database; give the sessions a file of their own'],
])

/** Whether another process holds the database for the moment. */
export function isBusy(error: unknown): boolean {
  const code = resultCode(error)
  return code === BUSY || code === LOCKED
}

/** The error that a call rejects with. */
export function toStoreError(path: string, error: unknown): SojournError {
  if (error instanceof SojournError) return error
  const message = error instanceof Error ? error.message : String(error)
  const code = resultCode(error)
  const advice = code === CANTOPEN ? adviceOnOpening(path) : ADVICE.get(code ?? 0)
  const reason = advice === undefined ? message : `${advice} (${message})`
  return new StoreUnavailableError(`the session database ${path} failed: ${reason}`, { cause: error })
}

/** The result code of SQLite without its extension; `undefined` for other errors. */
function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined
  return error.errcode & 0xff
}

function adviceOnOpening(path: string): string {
  const folder = dirname(path)
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return 'it is a folder; give a file in it'
  return `it, its -wal and its -shm file must be writable for this process, and so must their folder ${folder}`
}
