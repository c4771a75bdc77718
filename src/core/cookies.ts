import {
  type CookiePolicy,
  formatVersion,
  toClearCookie,
  toSetCookie,
  type TokenCodec,
  type Version,
} from '../token/index.ts'
import type { Carried, CarriedSessions } from './carried.ts'
import type { HeaderLine } from './session.ts'

/** What a response tells the client to keep. */
interface CookieState {
  /** The generation of the token to set. */
  token?: number | undefined
  hint?: Version | undefined
  carried?: Carried | undefined
  clear?: true
}

/** The cookies of one response, until it takes them. */
export class ResponseCookies {
  readonly #policy: CookiePolicy
  readonly #tokens: TokenCodec
  readonly #carrying: CarriedSessions | undefined
  readonly #presented: string
  #state: CookieState

  /** @param presented the Cookie header of the request */
  constructor(
    { policy, tokens, carrying }: { policy: CookiePolicy; tokens: TokenCodec; carrying: CarriedSessions | undefined },
    presented: string,
    token: number | undefined,
  ) {
    this.#policy = policy
    this.#tokens = tokens
    this.#carrying = carrying
    this.#presented = presented
    this.#state = { token }
  }

  get token(): number | undefined {
    return this.#state.token
  }

  set token(generation: number | undefined) {
    this.#state.token = generation
  }

  /** What the client has seen: a session that it carries, or a hint of the version in the store. */
  set seen(seen: { carried?: Carried; version: Version }) {
    if (seen.carried) this.#state.carried = seen.carried
    else this.#state.hint = seen.version
  }

  /** Replaces all. */
  set(state: CookieState): void {
    this.#state = state
  }

  /** The headers, once. Without a selector there is no token to set. */
  take(selector?: Buffer): HeaderLine[] {
    const { token, hint, carried, clear } = this.#state
    const policy = this.#policy
    this.#state = {}
    const lines: string[] = []
    if (token !== undefined && selector)
      lines.push(toSetCookie(policy, policy.name, this.#tokens.encode(selector, token)))
    else if (clear) lines.push(toClearCookie(policy, policy.name), toClearCookie(policy, policy.hintName))
    if (this.#carrying && (carried || clear)) lines.push(...this.#carrying.toSetCookies(carried, this.#presented))
    if (hint) lines.push(toSetCookie(policy, policy.hintName, formatVersion(hint)))
    return lines.map((line) => ['set-cookie', line])
  }
}
