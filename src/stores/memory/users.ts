import { randomUUID } from 'node:crypto'
import { EPOCH_MS, type SessionRecord, type UserEntry, type UserLogin, type UserPage } from '../../core/index.ts'
import { TimeHeap } from './heap.ts'

/** What is known of one user beside the records. */
interface User {
  /** By login, oldest first. */
  readonly entries: UserEntry[]
  readonly seats: Set<string>
  epoch: string
}

/** The users of the records that a {@link MemoryStore} has, in the order of their logins. */
export class MemoryUsers {
  readonly #users = new Map<string, User>()
  readonly #epochs = new TimeHeap<string>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** Tells that the store has one record where it had the other. */
  replace(before: SessionRecord | undefined, after: SessionRecord | undefined): void {
    const isSameUser = before?.user === after?.user
    if (isSameUser && before?.startedAt === after?.startedAt) return
    if (after && after.user !== null) {
      const { entries } = this.#of(after.user)
      const entry = { key: after.key, at: after.startedAt }
      entries.splice(placeOf(entries, entry), 0, entry)
    }
    if (before && before.user !== null) this.#remove(before.user, { key: before.key, at: before.startedAt }, isSameUser)
  }

  clear(): void {
    this.#users.clear()
    this.#epochs.clear()
  }

  async enter({ user }: UserLogin): Promise<string> {
    return this.#users.get(user)?.epoch ?? ''
  }

  async settle({ user }: UserLogin, epoch: string): Promise<boolean> {
    return epoch === (this.#users.get(user)?.epoch ?? '')
  }

  async advance(user: string): Promise<void> {
    this.#forgetEpochs()
    this.#of(user).epoch = randomUUID()
    this.#epochs.add(user, this.#now() + EPOCH_MS)
  }

  async list(user: string, { limit, after }: { limit: number; after?: string }): Promise<UserPage> {
    const entries = this.#users.get(user)?.entries ?? []
    const end = after === undefined ? entries.length : placeOf(entries, decodeEntry(after))
    const page = entries.slice(Math.max(0, end - limit), end).toReversed()
    const last = page.at(-1)
    return { entries: page, ...(last && end > limit ? { next: encodeEntry(last) } : {}) }
  }

  async seat({ user, key }: UserLogin, max: number): Promise<boolean> {
    const known = this.#users.get(user)
    if (!known?.entries.some((entry) => entry.key === key)) return true
    if (!known.seats.has(key) && known.seats.size >= max) return false
    known.seats.add(key)
    return true
  }

  async seated(user: string, limit: number): Promise<readonly UserEntry[]> {
    const known = this.#users.get(user)
    return known ? known.entries.filter(({ key }) => known.seats.has(key)).slice(0, limit) : []
  }

  #remove(user: string, entry: UserEntry, keepsSeat: boolean): void {
    const known = this.#users.get(user)
    if (!known) return
    const place = placeOf(known.entries, entry)
    if (known.entries[place]?.key === entry.key) known.entries.splice(place, 1)
    if (!keepsSeat) known.seats.delete(entry.key)
    this.#forget(user, known)
  }

  #of(user: string): User {
    const known = this.#users.get(user) ?? { entries: [], seats: new Set(), epoch: '' }
    this.#users.set(user, known)
    return known
  }

  #forget(user: string, { entries, epoch }: User): void {
    if (entries.length === 0 && epoch === '') this.#users.delete(user)
  }

  #forgetEpochs(): void {
    for (let first = this.#epochs.first; first && first.at <= this.#now(); first = this.#epochs.first) {
      this.#epochs.remove(first)
      const known = this.#users.get(first.thing)
      if (!known) continue
      known.epoch = ''
      this.#forget(first.thing, known)
    }
  }
}

/** Where an entry is, or would be. */
function placeOf(entries: readonly UserEntry[], entry: UserEntry): number {
  let [low, high] = [0, entries.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const other = entries[middle]
    if (other && isBefore(other, entry)) low = middle + 1
    else high = middle
  }
  return low
}

function isBefore(a: UserEntry, b: UserEntry): boolean {
  return a.at < b.at || (a.at === b.at && a.key < b.key)
}

function encodeEntry({ at, key }: UserEntry): string {
  return `${at} ${key}`
}

function decodeEntry(text: string): UserEntry {
  const [at, key = ''] = text.split(' ')
  return { at: Number(at), key }
}
