import { endSession } from './ending.ts'
import type { Engine } from './engine.ts'
import { SessionInvalidError, SojournError } from './errors.ts'
import type { EndReason } from './events.ts'
import { LOGIN_UNDER_WAY_MS } from './limits.ts'
import { endOf } from './policy.ts'
import type { SessionRecord } from './record.ts'
import type { Store } from './store.ts'
import type { UserEntry, UserSessions } from './user-sessions.ts'

/** Asks the store for what it knows of users. @throws SojournError `unsupported` */
export function callUsers<Data extends object, T>(
  { store }: Engine<Data>,
  name: keyof UserSessions,
  ask: (users: UserSessions) => Promise<T>,
): Promise<T> {
  return store.call(name, async (store) => ask(usersOf(store)))
}

function usersOf({ users }: Store): UserSessions {
  if (users) return users
  throw new SojournError('unsupported', 501, 'this store cannot find the sessions of a user')
}

/** What is under a key that is listed for a user. */
export type Found = { readonly entry: UserEntry } & (
  | { readonly is: 'live' | 'over'; readonly record: SessionRecord }
  /** Nothing, or a session that is no user's or that began as somebody else's. */
  | { readonly is: 'none' }
  /** A session that another login has made somebody else's. */
  | { readonly is: 'taken'; readonly record: SessionRecord }
  /** A session that is damaged, or sealed with a secret that is missing. */
  | { readonly is: 'unreadable' }
)

export async function find<Data extends object>(
  { store, clock, policy }: Engine<Data>,
  user: string,
  entry: UserEntry,
): Promise<Found> {
  try {
    const record = await store.call('read', (store) => store.read(entry.key, { fresh: true }))
    if (!record) return { entry, is: 'none' }
    if (record.user !== user) return record.floor > 0 ? { entry, record, is: 'taken' } : { entry, is: 'none' }
    return { entry, record, is: endOf(policy, record) > clock.now() ? 'live' : 'over' }
  } catch (error) {
    if (error instanceof SessionInvalidError) return { entry, is: 'unreadable' }
    throw error
  }
}

/** Takes keys out of the index, where the store has one. A key that stays though its session has ended harms nobody, so that a failure does not count. */
export async function leave<Data extends object>(
  engine: Engine<Data>,
  user: string,
  entries: readonly UserEntry[],
): Promise<void> {
  if (!engine.hasUserIndex || entries.length === 0) return
  await callUsers(engine, 'leave', async (users) => users.leave?.(user, entries)).catch(() => {})
}

const isDead: ReadonlySet<Found['is']> = new Set(['none', 'taken', 'over'])

/** Those without a session, but for what a login that is under way may be about to make one of. */
export function dead<Data extends object>({ clock }: Engine<Data>, found: readonly Found[]): UserEntry[] {
  const before = clock.now() - LOGIN_UNDER_WAY_MS
  return found.flatMap(({ entry, is }) => (isDead.has(is) && entry.at < before ? [entry] : []))
}

/**
 * Ends a session that was found, unless a login has changed it since (`kept`). One whose time was over is put away without
 * a word (`dead`), and so is what is none. Where the login of another has taken it, which may still be telling the nodes,
 * resolves when none serves it as it was before.
 */
export async function endFound<Data extends object>(
  engine: Engine<Data>,
  user: string,
  found: Found,
  reason: EndReason,
): Promise<'ended' | 'dead' | 'kept'> {
  const { key } = found.entry
  if (found.is === 'none') return 'dead'
  if (found.is === 'taken') {
    // Under the generation before that login it ends nothing, and waits as the login does.
    await endSession(engine, { key, user, reason: undefined, generation: found.record.floor - 1 })
    return 'dead'
  }
  if (found.is === 'unreadable') {
    return (await endSession(engine, { key, user, reason })) === 'ended' ? 'ended' : 'dead'
  }
  const { record } = found
  const isLive = found.is === 'live'
  const end = { key, user, record, reason: isLive ? reason : undefined, generation: record.floor }
  const result = await endSession(engine, end)
  if (result === 'superseded') return 'kept'
  return result === 'ended' && isLive ? 'ended' : 'dead'
}
