import { createHash, randomUUID } from 'node:crypto'
import {
  CLEANING_MARGIN_MS,
  EPOCH_MS,
  type UserEntry,
  type UserLogin,
  type UserPage,
  type UserSessions,
} from '../../core/index.ts'
import { keyBeside } from './keys.ts'
import type { Script } from './scripts.ts'
import {
  advanceScript,
  enterScript,
  leaveScript,
  listScript,
  seatedScript,
  seatScript,
  settleScript,
} from './user-scripts.ts'

/** What {@link RedisUsers} needs. */
interface UsersOptions {
  readonly keyPrefix: string
  /** No session lives longer after its login; may be `Infinity`. */
  readonly absoluteTimeoutMs: number
  send(key: string, args: string[], script: Script): Promise<unknown>
  /** Waits for replicas; see {@link Commands.replicated}. */
  replicated(key: string, reply: string, startedAt: number): Promise<string>
}

/** The sessions of each user in a sorted set of its own. Its scripts and keys are told in `user-scripts.ts`. */
export class RedisUsers implements UserSessions {
  readonly #options: UsersOptions
  readonly #lifeMs: number

  constructor(options: UsersOptions) {
    this.#options = options
    this.#lifeMs = options.absoluteTimeoutMs + 2 * CLEANING_MARGIN_MS
  }

  async enter({ user, key, at }: UserLogin): Promise<string> {
    const oldest = Number.isFinite(this.#lifeMs) ? String(at - this.#lifeMs) : ''
    return String(await this.#run(enterScript, user, [key, String(at), oldest, this.#timeToLive]))
  }

  async settle({ user, key, at }: UserLogin, epoch: string): Promise<boolean> {
    return isYes(await this.#replicated(settleScript, user, [key, String(at), epoch, this.#timeToLive]))
  }

  async advance(user: string): Promise<void> {
    await this.#replicated(advanceScript, user, [randomUUID(), String(EPOCH_MS)])
  }

  async list(user: string, { limit, after = 'inf' }: { limit: number; after?: string }): Promise<UserPage> {
    const entries = decodeEntries(await this.#run(listScript, user, [String(limit), after]))
    const last = entries.at(-1)
    return { entries, ...(last && entries.length === limit ? { next: String(last.at) } : {}) }
  }

  async leave(user: string, entries: readonly UserEntry[]): Promise<void> {
    if (entries.length === 0) return
    const args = entries.flatMap(({ key, at }) => [key, at === Infinity ? 'inf' : String(at)])
    await this.#run(leaveScript, user, args)
  }

  async seat({ user, key, at }: UserLogin, max: number): Promise<boolean> {
    return isYes(await this.#run(seatScript, user, [key, String(at), String(max), this.#timeToLive]))
  }

  async seated(user: string, limit: number): Promise<readonly UserEntry[]> {
    return decodeEntries(await this.#run(seatedScript, user, [String(limit)]))
  }

  #run(script: Script, user: string, args: readonly string[]): Promise<unknown> {
    const { keyPrefix } = this.#options
    const index = keyPrefix + nameOf(user)
    const beside = ['seats', 'epoch'].map((what) => keyBeside(keyPrefix, what, index))
    return this.#options.send(index, ['EVALSHA', script.sha, '3', index, ...beside, ...args], script)
  }

  async #replicated(script: Script, user: string, args: readonly string[]): Promise<string> {
    const startedAt = performance.now()
    return this.#options.replicated(nameOf(user), String(await this.#run(script, user, args)), startedAt)
  }

  get #timeToLive(): string {
    return Number.isFinite(this.#lifeMs) ? String(Math.ceil(this.#lifeMs)) : ''
  }
}

/** A digest, since a user's name may hold braces, which would move a key to another slot, and is nobody's business. */
function nameOf(user: string): string {
  return `user:${createHash('sha256').update(user).digest('base64url')}`
}

function isYes(reply: unknown): boolean {
  return Number(reply) === 1
}

function decodeEntries(reply: unknown): UserEntry[] {
  const parts = Array.isArray(reply) ? reply.map(String) : []
  const entries: UserEntry[] = []
  for (let index = 0; index + 1 < parts.length; index += 2) {
    entries.push({ key: parts[index] ?? '', at: Number(parts[index + 1]) })
  }
  return entries
}
