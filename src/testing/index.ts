/**
 * For an application's own tests: cookies of sessions that were never logged in by hand, and a clock to turn.
 *
 * Exported from `sojourn/testing`.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import { type Clock, type Duration, toMilliseconds } from '../core/index.ts'
import { createSessions, memoryStore, type Sessions, type SessionsOptions } from '../index.ts'

/** A clock that moves only when it is told to. */
export interface TestClock extends Clock {
  /** Moves the clock on. */
  advance(duration: Duration): void
}

/** @param start where the clock begins, in milliseconds since 1970; default: now */
export function createTestClock(start: number = Date.now()): TestClock {
  let now = start
  return { now: () => now, advance: (duration) => void (now += toMilliseconds('advance', duration)) }
}

/** What {@link issue} makes. */
export interface IssueOptions<Data extends object> {
  /** The user that is logged in. Default: nobody. */
  user?: string | undefined
  /** Fields that differ from `initial()`. */
  data?: Partial<Data> | undefined
}

/** A stored session, and the credential that opens it. */
export interface IssuedSession {
  readonly key: string
  /** Value for the `Cookie` header: `request(app).get('/').set('Cookie', cookie)`, `app.inject({ headers: { cookie } })`. */
  readonly cookie: string
  /** The headers of a request, whatever the carrier: `{ cookie }`, or those of `carrier`. */
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Stores a session and gives its cookie, as if a visitor had made it.
 *
 * @throws TypeError when there is neither a user nor data that differs from `initial()`: such a session is never stored
 */
export async function issue<Data extends object>(
  sessions: Sessions<Data>,
  { user, data }: IssueOptions<Data> = {},
): Promise<IssuedSession> {
  const session = await sessions.open({ headers: {} })
  Object.assign(session.data, data)
  if (user !== undefined) await session.login(user)
  const lines = await sessions.commit(session)
  if (lines.length === 0) {
    throw new TypeError(
      'issue(): give a user or data that differs from initial(); a visitor whose session holds nothing has no cookie',
    )
  }
  const cookies = lines.filter(([name]) => name === 'set-cookie')
  const cookie = cookies.map(([, line]) => line.slice(0, line.indexOf(';'))).join('; ')
  const others = lines.filter(([name]) => name !== 'set-cookie' && name !== 'cache-control')
  return { key: session.key, cookie, headers: cookie === '' ? Object.fromEntries(others) : { cookie } }
}

/** Sessions for a test: in memory, with a secret of their own, a {@link TestClock}, and {@link issue} as a method. */
export interface TestSessions<Data extends object> extends Sessions<Data> {
  readonly clock: TestClock
  issue(options?: IssueOptions<Data>): Promise<IssuedSession>
}

/**
 * Makes sessions for a test. Options are those of `createSessions`; store, secret, clock and a silent logger are
 * filled in.
 */
export function createTestSessions<Data extends object = Record<string, unknown>>(
  options: Partial<Omit<SessionsOptions<Data>, 'clock'>> = {},
): TestSessions<Data> {
  const clock = createTestClock()
  const silent = { info: () => {}, warn: () => {}, error: () => {} }
  const secret = randomBytes(32).toString('base64url')
  const sessions = createSessions<Data>({ store: memoryStore(), secret, logger: silent, ...options, clock })
  return Object.assign(sessions, { clock, issue: (options?: IssueOptions<Data>) => issue(sessions, options) })
}
