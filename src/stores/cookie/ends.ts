import { CLEANING_MARGIN_MS, type SessionRecord } from '../../core/index.ts'
import { FORGOTTEN_AT_ONCE } from './limits.ts'

/** What of a session's tokens all nodes must agree on. */
export interface Generations extends Pick<SessionRecord, 'generation' | 'pending' | 'floor' | 'retired'> {
  /** Who uses the present generation, as the engine keeps it in `USE_FIELD`; `null` where nobody does. */
  readonly use: string | null
}

/** What happened to one session, to the sessions of one user, or to all; the unit of the log. `at` is wall-clock milliseconds. */
export type Entry =
  | { readonly kind: 'ended'; readonly at: number; readonly key: string }
  | { readonly kind: 'generations'; readonly at: number; readonly key: string; readonly generations: Generations }
  | { readonly kind: 'user'; readonly at: number; readonly user: string }
  | { readonly kind: 'all'; readonly at: number }

/** Words with spaces between: kind, time in base 36, then what the kind has. */
export function formatEntry(entry: Entry): string {
  const at = entry.at.toString(36)
  switch (entry.kind) {
    case 'ended':
      return `e ${at} ${entry.key}`
    case 'generations': {
      const { generation, pending, floor, retired, use } = entry.generations
      const used = use === null ? '-' : encodeURIComponent(use)
      return ['g', at, entry.key, used, generation, pending ? 1 : 0, floor, ...retired].join(' ')
    }
    case 'user':
      return `u ${at} ${encodeURIComponent(entry.user)}`
    case 'all':
      return `a ${at}`
  }
}

/** Inverse of {@link formatEntry}; `undefined` for what a later version may have written. */
export function parseEntry(text: string): Entry | undefined {
  const [kind, time = '', name = '', used = '-', ...numbers] = text.split(' ')
  const at = parseInt(time, 36)
  switch (kind) {
    case 'e':
      return { kind: 'ended', at, key: name }
    case 'g': {
      const [generation = 1, pending = 0, floor = 1, ...retired] = numbers.map(Number)
      const use = used === '-' ? null : decodeURIComponent(used)
      const generations = { generation, pending: pending === 1, floor, retired, use }
      return { kind: 'generations', at, key: name, generations }
    }
    case 'u':
      return { kind: 'user', at, user: decodeURIComponent(name) }
    case 'a':
      return { kind: 'all', at }
    default:
      return undefined
  }
}

/**
 * What the log says, in memory. Each map is in the order of the log, so that what may be forgotten comes first: nothing
 * that was sealed before an entry lives longer than the absolute timeout after it.
 */
export class Ends {
  readonly #keptMs: number
  /** When the session ended, in seconds since 1970; small integers take no memory of their own. */
  readonly #ended = new Map<string, number>()
  readonly #generations = new Map<string, Generations & { readonly at: number; readonly number: number }>()
  readonly #users = new Map<string, { readonly number: number; readonly at: number }>()
  #all = -1

  constructor(absoluteTimeoutMs: number) {
    this.#keptMs = absoluteTimeoutMs + CLEANING_MARGIN_MS
  }

  /** How many ended sessions it remembers. */
  get size(): number {
    return this.#ended.size
  }

  isEnded(key: string): boolean {
    return this.#ended.has(key)
  }

  /** Of a session that has logged in since it was created, or rotated; one that has not is as its seal says. */
  generationsOf(key: string): (Generations & { readonly number: number }) | undefined {
    return this.#generations.get(key)
  }

  /** Whether all sessions, or all of the user, were ended since a session began before entry `epoch`. */
  isOver(user: string | null, epoch: number): boolean {
    if (epoch <= this.#all) return true
    const entry = user === null ? undefined : this.#users.get(user)
    return entry !== undefined && epoch <= entry.number
  }

  /** Takes over an entry with its number. Doing so twice is harmless. */
  take(entry: Entry, number: number): void {
    switch (entry.kind) {
      case 'ended':
        this.#generations.delete(entry.key)
        this.#ended.delete(entry.key)
        this.#ended.set(entry.key, Math.floor(entry.at / 1000))
        return
      case 'generations':
        if (this.#ended.has(entry.key)) return
        this.#generations.delete(entry.key)
        this.#generations.set(entry.key, { ...entry.generations, at: entry.at, number })
        return
      case 'user':
        this.#users.delete(entry.user)
        this.#users.set(entry.user, { number, at: entry.at })
        return
      case 'all':
        this.#all = Math.max(this.#all, number)
    }
  }

  /** Forgets what can concern no session that still lives; some of it, so that no call takes long. */
  forget(now: number): void {
    const before = now - this.#keptMs
    let left = FORGOTTEN_AT_ONCE
    for (const [key, at] of this.#ended) {
      if (at * 1000 >= before || left === 0) break
      this.#ended.delete(key)
      left -= 1
    }
    for (const map of [this.#generations, this.#users]) {
      for (const [name, { at }] of map) {
        if (at >= before || left === 0) break
        map.delete(name)
        left -= 1
      }
    }
  }
}
