import {
  type CookiePolicy,
  createIssue,
  formatVersion,
  toClearCookie,
  toSetCookie,
  type TokenCodec,
  type Version,
} from '../token/index.ts'
import type { HeaderLine } from './session.ts'

/** What a response tells the client to keep. */
interface CookieState {
  /** The generation of the token to set. */
  token?: number | undefined
  /** Whether others may be given that generation too, so that this one needs an issue of its own. */
  isSuccessor?: boolean
  hint?: Version | undefined
  clear?: true
}

/** The cookies of one response, until it takes them. */
export class ResponseCookies {
  readonly #policy: CookiePolicy
  readonly #tokens: TokenCodec
  #state: CookieState = {}

  constructor(policy: CookiePolicy, tokens: TokenCodec, successor: number | undefined) {
    this.#policy = policy
    this.#tokens = tokens
    this.successor = successor
  }

  get token(): number | undefined {
    return this.#state.token
  }

  set token(generation: number | undefined) {
    this.#state.token = generation
    this.#state.isSuccessor = false
  }

  set successor(generation: number | undefined) {
    this.#state.token = generation
    this.#state.isSuccessor = true
  }

  set hint(version: Version) {
    this.#state.hint = version
  }

  /** Replaces all. */
  set(state: CookieState): void {
    this.#state = state
  }

  /** The headers, once. Without a selector there is no token to set. */
  take(selector?: Buffer | undefined): HeaderLine[] {
    const { token, isSuccessor, hint, clear } = this.#state
    const policy = this.#policy
    this.#state = {}
    const lines: string[] = []
    if (token !== undefined && selector) {
      const text = this.#tokens.encode(selector, token, isSuccessor ? createIssue() : 0)
      lines.push(toSetCookie(policy, policy.name, text))
    } else if (clear) lines.push(toClearCookie(policy, policy.name), toClearCookie(policy, policy.hintName))
    if (hint) lines.push(toSetCookie(policy, policy.hintName, formatVersion(hint)))
    return lines.map((line) => ['set-cookie', line])
  }
}
