import { randomUUID } from 'node:crypto'
import type { StoreContext } from '../../src/core/store.ts'
import type { UserEntry, UserSessions } from '../../src/core/user-sessions.ts'
import { createSharedStore, type SharedStore } from '../support/shared-store.ts'

/** What the index has of a user. */
interface Indexed {
  epoch: string
  readonly at: Map<string, number>
  readonly seats: Set<string>
}

/** A {@link SharedStore} with an index of its own, of the plainest kind. */
export interface IndexedStore extends SharedStore {
  /** The keys that are listed for a user, in no order. */
  keysOf(user: string): string[]
  seatsOf(user: string): string[]
}

export function createIndexedStore(): IndexedStore {
  const store = createSharedStore()
  const users = new Map<string, Indexed>()

  function of(user: string): Indexed {
    const indexed = users.get(user) ?? { epoch: '', at: new Map(), seats: new Set() }
    users.set(user, indexed)
    return indexed
  }

  async function around<T>(call: keyof UserSessions, run: () => T): Promise<T> {
    store.calls.push(call)
    return (await store.around(call, () => Promise.resolve().then(run))) as T
  }

  function unique({ at: taken }: Indexed, at: number): number {
    const all = new Set(taken.values())
    while (all.has(at)) at += 2 ** -10
    return at
  }

  const entriesOf = (user: string): UserEntry[] => Array.from(of(user).at, ([key, at]) => ({ key, at }))

  const index: UserSessions = {
    enter: ({ user, key, at }) =>
      around('enter', () => {
        const indexed = of(user)
        if (!indexed.at.has(key)) indexed.at.set(key, unique(indexed, at))
        return indexed.epoch
      }),
    settle: ({ user, key, at }, epoch) =>
      around('settle', () => {
        const indexed = of(user)
        if (indexed.epoch !== epoch) return false
        indexed.at.set(key, unique(indexed, Math.max(at, indexed.at.get(key) ?? 0)))
        return true
      }),
    advance: (user) => around('advance', () => void (of(user).epoch = randomUUID())),
    list: (user, { limit, after = 'Infinity' }) =>
      around('list', () => {
        const rest = entriesOf(user)
          .filter(({ at }) => at < Number(after))
          .toSorted((a, b) => b.at - a.at)
        const entries = rest.slice(0, limit)
        return { entries, ...(rest.length > limit ? { next: String(entries.at(-1)?.at) } : {}) }
      }),
    leave: (user, entries) =>
      around('leave', () => {
        const indexed = of(user)
        for (const { key, at } of entries) {
          if ((indexed.at.get(key) ?? 0) > at) continue
          indexed.at.delete(key)
          indexed.seats.delete(key)
        }
      }),
    seat: ({ user, key }, max) =>
      around('seat', () => {
        const { seats } = of(user)
        if (!seats.has(key) && seats.size >= max) return false
        seats.add(key)
        return true
      }),
    seated: (user, limit) =>
      around('seated', () =>
        entriesOf(user)
          .filter(({ key }) => of(user).seats.has(key))
          .toSorted((a, b) => a.at - b.at)
          .slice(0, limit),
      ),
  }

  const open = store.open.bind(store)
  return Object.assign(store, {
    open: (context: StoreContext) => ({ ...open(context), users: index }),
    keysOf: (user: string) => [...of(user).at.keys()],
    seatsOf: (user: string) => [...of(user).seats],
  } satisfies Partial<IndexedStore>)
}
