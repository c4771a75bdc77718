import { createHash, randomUUID } from 'node:crypto'
import {
  CLEANING_MARGIN_MS,
  EPOCH_MS,
  type StoreContext,
  type UserEntry,
  type UserLogin,
  type UserPage,
  type UserSessions,
} from '../../core/index.ts'
import type { Script } from './scripts.ts'
import { enterScript, leaveScript, listScript, seatedScript, seatScript, settleScript } from './user-scripts.ts'

/** Sends a command about a key; one that runs a script may be given its text. */
type Send = (key: string, args: string[], script?: Script) => Promise<unknown>

/** The sessions of each user in a sorted set of its own. Its scripts and keys are told in `user-scripts.ts`. */
export class RedisUsers implements UserSessions {
  readonly #send: Send
  readonly #prefix: string
  /** No session is older; may be `Infinity`. */
  readonly #lifeMs: number

  constructor(keyPrefix: string, { absoluteTimeoutMs }: Pick<StoreContext, 'absoluteTimeoutMs'>, send: Send) {
    this.#send = send
    this.#prefix = `${keyPrefix}user:`
    this.#lifeMs = absoluteTimeoutMs + 2 * CLEANING_MARGIN_MS
  }

  async enter({ user, key, at }: UserLogin): Promise<string> {
    const oldest = Number.isFinite(this.#lifeMs) ? String(at - this.#lifeMs) : ''
    return String(await this.#run(enterScript, user, [key, String(at), oldest, this.#timeToLive]))
  }

  async settle({ user, key, at }: UserLogin, epoch: string): Promise<boolean> {
    return isYes(await this.#run(settleScript, user, [key, String(at), epoch, this.#timeToLive]))
  }

  async advance(user: string): Promise<void> {
    const [, , epoch] = this.#keysOf(user)
    await this.#send(epoch, ['SET', epoch, randomUUID(), 'PX', String(EPOCH_MS)])
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
    const keys = this.#keysOf(user)
    return this.#send(keys[0], ['EVALSHA', script.sha, String(keys.length), ...keys, ...args], script)
  }

  /** A digest, since a user's name may hold braces, which would move a key to another slot. */
  #keysOf(user: string): [index: string, seats: string, epoch: string] {
    const index = `${this.#prefix}{${createHash('sha256').update(user).digest('base64url')}}`
    return [index, `${index}:seats`, `${index}:epoch`]
  }

  get #timeToLive(): string {
    return Number.isFinite(this.#lifeMs) ? String(Math.ceil(this.#lifeMs)) : ''
  }
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
