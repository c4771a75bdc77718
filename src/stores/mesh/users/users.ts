import { hash, randomBytes } from 'node:crypto'
import {
  type Change,
  type ChangeResult,
  EPOCH_MS,
  type SessionRecord,
  StoreUnavailableError,
  type UserEntry,
  type UserLogin,
  type UserPage,
  type UserSessions,
} from '../../../core/index.ts'
import type { Version } from '../../../token/index.ts'
import type { NodeId } from '../protocol/messages.ts'
import { NO_USER } from '../protocol/user-record.ts'
import { RACES_MAX } from './limits.ts'
import { Listings } from './listings.ts'
import type { UserMessage } from './messages.ts'
import { type SearchOptions, UserSearch } from './search.ts'

const EPOCH = 'epoch'
const SEATS = 'seats'

/** The first generation of the record of a user, and the only one. */
const GENERATION = 1

/** Newer than any: only the owner answers a read that asks for it. */
export const NEWEST: Version = { incarnation: Number.MAX_SAFE_INTEGER, sequence: Number.MAX_SAFE_INTEGER }

export interface MeshUsersOptions extends SearchOptions {
  read(key: string, atLeast: Version): Promise<SessionRecord | undefined>
  apply(change: Change): Promise<ChangeResult>
  readonly absoluteTimeoutMs: number
  /** Wall clock, milliseconds since 1970. */
  now(): number
}

/** What the owner of a user's record says of it. */
interface Known {
  readonly epoch: string
  readonly seats: readonly string[]
  /** Of the seats. */
  readonly stamp: Version | null
}

/**
 * The users of a mesh. Sessions are found by their records; the epoch of a user and his seats are in a record of his own, and
 * only its owner is asked for them.
 */
export class MeshUsers implements UserSessions {
  readonly #options: MeshUsersOptions
  readonly #search: UserSearch
  readonly #listings: Listings
  readonly #slot = randomBytes(9).toString('base64url')
  #operations = 0

  constructor(options: MeshUsersOptions) {
    this.#options = options
    this.#search = new UserSearch(options)
    this.#listings = new Listings((user) => this.#search.find(user))
  }

  /** Takes what another node says of users. */
  receive(from: NodeId, message: UserMessage): void {
    this.#search.receive(from, message)
  }

  /** Called from time to time. */
  tick(): void {
    this.#search.tick()
  }

  async enter({ user }: UserLogin): Promise<string> {
    return (await this.#read(user)).epoch
  }

  async settle({ user }: UserLogin, epoch: string): Promise<boolean> {
    return (await this.#read(user)).epoch === epoch
  }

  async advance(user: string): Promise<void> {
    const fields = new Map([[EPOCH, randomBytes(12).toString('base64url')]])
    await this.#race(async () => (await this.#write(user, { fields })) || undefined)
  }

  list(user: string, options: { readonly limit: number; readonly after?: string }): Promise<UserPage> {
    return this.#listings.list(user, options)
  }

  async seat({ user, key }: UserLogin, max: number): Promise<boolean> {
    return this.#race(async () => {
      const { seats, stamp } = await this.#read(user)
      if (seats.includes(key)) return true
      const taken = seats.length < max ? seats : (await this.#alive(user, seats)).map((entry) => entry.key)
      if (taken.length >= max) return false
      const fields = new Map([[SEATS, JSON.stringify([...taken, key])]])
      return (await this.#write(user, { fields, expect: { field: SEATS, stamp } })) || undefined
    })
  }

  async seated(user: string, limit: number): Promise<readonly UserEntry[]> {
    const { seats } = await this.#read(user)
    return (await this.#alive(user, seats)).toSorted((a, b) => a.at - b.at).slice(0, limit)
  }

  /** Those of which the sessions are there, and the user's. What has ended never comes back. */
  async #alive(user: string, seats: readonly string[]): Promise<UserEntry[]> {
    const records = await Promise.all(seats.map((key) => this.#options.read(key, NEWEST)))
    return records.flatMap((record) => (record?.user === user ? { key: record.key, at: record.startedAt } : []))
  }

  async #read(user: string): Promise<Known> {
    const fields = (await this.#options.read(keyOfUser(user), NEWEST))?.fields
    const seats = fields?.get(SEATS)
    return {
      epoch: fields?.get(EPOCH)?.value ?? '',
      seats: JSON.parse(seats?.value ?? '[]') as string[],
      stamp: seats?.stamp ?? null,
    }
  }

  /** Changes the record of a user, or makes it; `false` where another call came between. */
  async #write(user: string, parts: Pick<Change, 'fields' | 'expect'>): Promise<boolean> {
    for (const kind of [{}, { create: true, login: { user: NO_USER } }]) {
      const result = await this.#options.apply({ ...this.#change(user), ...parts, ...kind })
      if (result.outcome !== 'gone') return result.outcome === 'applied'
    }
    return false
  }

  /** A record whose time is over can be changed as any other until it is cleaned away: its change is of the year 1970. */
  #change(user: string): Omit<Change, 'fields'> {
    this.#operations += 1
    const operation = { slot: this.#slot, count: this.#operations }
    const expiresAt = this.#options.now() + Math.max(EPOCH_MS, this.#options.absoluteTimeoutMs)
    return { key: keyOfUser(user), operation, now: 0, expiresAt, generation: GENERATION }
  }

  async #race<T>(attempt: () => Promise<T | undefined>): Promise<T> {
    for (let races = 0; races < RACES_MAX; races++) {
      const result = await attempt()
      if (result !== undefined) return result
    }
    throw new StoreUnavailableError(`a change of what the mesh knows of a user lost ${RACES_MAX} races`)
  }
}

/** A session's key is the hash of 16 bytes, so that none is the same. */
function keyOfUser(user: string): string {
  return hash('sha256', Buffer.from(`sojourn mesh user\0${user}`, 'utf16le'), 'base64url')
}
