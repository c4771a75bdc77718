import type { Engine } from './engine.ts'
import { SojournError } from './errors.ts'
import { SEAT_TRIES_MAX, SESSIONS_PER_USER_MAX } from './limits.ts'
import { callUsers, endFound, find, leave } from './user-index.ts'
import type { SessionsPerUser } from './policy.ts'
import type { UserEntry, UserLogin } from './user-sessions.ts'

/**
 * Where the sessions of a user are bounded in number, each needs a seat from the first time that its token is presented:
 * a login whose answer was lost takes none. The store gives seats as one step, so that there are never more; a seat
 * whose session has ended without leaving it is taken back when it is needed.
 */

/** For `refuse`, before a login. @throws SojournError `too_many_sessions` while all seats are taken, and none by this session */
export async function assertRoom<Data extends object>(engine: Engine<Data>, user: string, key: string): Promise<void> {
  const { max } = limitsOf(engine)
  const seated = await seatedOf(engine, user)
  if (seated.length < max || seated.some((entry) => entry.key === key)) return
  if (await vacatesOne(engine, user, seated)) return
  throw new SojournError(
    'too_many_sessions',
    409,
    `this user has ${seated.length} sessions, and may have ${max} (maxSessionsPerUser); let the user end one, which sessions.list(user) shows and sessions.revoke(key) ends, and log in again`,
  )
}

/** When the token of a login is presented for the first time. Resolves whether the session may go on. */
export async function takeSeat<Data extends object>(engine: Engine<Data>, login: UserLogin): Promise<boolean> {
  const { max, policy } = limitsOf(engine)
  for (let tries = 0; tries < SEAT_TRIES_MAX; tries += 1) {
    if (await callUsers(engine, 'seat', (users) => users.seat(login, max))) return true
    const others = (await seatedOf(engine, login.user)).filter(({ key }) => key !== login.key)
    const tooMany = others.slice(0, Math.max(1, others.length - max + 1))
    if (policy === 'end-oldest') {
      for (const entry of tooMany) await vacate(engine, login.user, entry, 'replaced')
    } else if (others.length >= max && !(await vacatesOne(engine, login.user, others))) return false
  }
  throw new SojournError('conflict', 503, `a login lost ${SEAT_TRIES_MAX} races for one of ${max} seats of its user`)
}

async function vacatesOne<Data extends object>(
  engine: Engine<Data>,
  user: string,
  entries: readonly UserEntry[],
): Promise<boolean> {
  for (const entry of entries) if (await vacate(engine, user, entry)) return true
  return false
}

/** Takes a seat back whose session is not live; or, for a reason, ends that session. Resolves whether it is free. */
async function vacate<Data extends object>(
  engine: Engine<Data>,
  user: string,
  entry: UserEntry,
  reason?: 'replaced',
): Promise<boolean> {
  const found = await find(engine, user, entry)
  const isInUse = found.is === 'live' || found.is === 'unreadable'
  if (isInUse && !reason) return false
  if ((await endFound(engine, user, found, reason ?? 'replaced')) === 'kept') return false
  await leave(engine, user, [entry])
  return true
}

function seatedOf<Data extends object>(engine: Engine<Data>, user: string): Promise<readonly UserEntry[]> {
  return callUsers(engine, 'seated', (users) => users.seated(user, SESSIONS_PER_USER_MAX))
}

function limitsOf<Data extends object>({ policy: { maxSessionsPerUser } }: Engine<Data>): SessionsPerUser {
  return maxSessionsPerUser ?? { max: Infinity, policy: 'refuse' }
}
