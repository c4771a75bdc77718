import type { Engine } from './engine.ts'
import { USER_ENTRIES_PER_CALL } from './limits.ts'
import { endOf } from './policy.ts'
import { loginOf } from './use.ts'
import { callUsers, dead, endFound, find, type Found, leave } from './user-index.ts'
import type { UserEntry } from './user-sessions.ts'

/** A session of a user, as `list` tells it. */
export interface UserSession {
  /** For `revoke`, and to find the present one: `session.key`. */
  readonly key: string
  /** Of the device, as `login` was given it or `clientLabel` made it; empty where nobody knows. */
  readonly client: string
  /** When the visit began, which may be before the login. */
  readonly createdAt: Date
  readonly loggedInAt: Date
  /** With an error of 1/20 of the idle timeout. */
  readonly lastSeenAt: Date
  readonly expiresAt: Date
}

/** The live sessions of a user, newest login first. */
export async function* listSessions<Data extends object>(
  engine: Engine<Data>,
  user: string,
): AsyncGenerator<UserSession, void, undefined> {
  for await (const entries of pages(engine, user)) {
    const found = await Promise.all(entries.map((entry) => find(engine, user, entry)))
    await leave(engine, user, dead(engine, found))
    for (const one of found) {
      if (one.is !== 'live') continue
      const { record } = one
      yield {
        key: record.key,
        client: loginOf(record).client,
        createdAt: new Date(record.createdAt),
        loggedInAt: new Date(record.startedAt),
        lastSeenAt: new Date(record.lastSeenAt),
        expiresAt: new Date(endOf(engine.policy, record)),
      }
    }
  }
}

/** Ends the sessions of a user, and every login of theirs that is under way. Resolves how many sessions it ended. */
export async function endSessionsOf<Data extends object>(
  engine: Engine<Data>,
  user: string,
  except: string | undefined,
): Promise<number> {
  await callUsers(engine, 'advance', (users) => users.advance(user))
  let count = 0
  for await (const entries of pages(engine, user)) {
    const others = entries.filter(({ key }) => key !== except)
    const results = await Promise.all(others.map((entry) => endListed(engine, user, entry)))
    count += results.filter(({ result }) => result === 'ended').length
    const gone = results
      .filter(({ found: { is }, result }) => is !== 'none' && is !== 'taken' && result !== 'kept')
      .map(({ found }) => found.entry)
    await leave(engine, user, [
      ...gone,
      ...dead(
        engine,
        results.map(({ found }) => found),
      ),
    ])
  }
  return count
}

async function endListed<Data extends object>(
  engine: Engine<Data>,
  user: string,
  entry: UserEntry,
): Promise<{ found: Found; result: 'ended' | 'dead' | 'kept' }> {
  const found = await find(engine, user, entry)
  return { found, result: await endFound(engine, user, found, 'revoked') }
}

/** The keys of a user, so many at a time. */
async function* pages<Data extends object>(
  engine: Engine<Data>,
  user: string,
): AsyncGenerator<readonly UserEntry[], void, undefined> {
  for (let after: string | undefined, isFirst = true; isFirst || after !== undefined; isFirst = false) {
    const from = after === undefined ? {} : { after }
    const page = await callUsers(engine, 'list', (users) => users.list(user, { limit: USER_ENTRIES_PER_CALL, ...from }))
    yield page.entries
    after = page.next
  }
}
