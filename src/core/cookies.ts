import {
  createIssue,
  formatVersion,
  toClearCookie,
  toSetCookie,
  type TokenCodec,
  type Version,
} from '../token/index.ts'
import type { Carried, CarriedSessions } from './carried.ts'
import type { Policy } from './policy.ts'
import type { HeaderLine } from './session.ts'

/** What a response tells the client to keep. */
interface CookieState {
  /** The generation of the token to set. */
  token?: number | undefined
  /** Whether others may be given that generation too, so that this one needs an issue of its own. */
  isSuccessor?: boolean
  hint?: Version | undefined
  carried?: Carried | undefined
  clear?: true
}

/** Where sessions travel with their clients: who seals them, and the Cookie header of the request. */
export interface Carriage {
  readonly sessions: CarriedSessions
  readonly header: string
}

/** The cookies of one response, or what stands for them with another carrier, until it takes them. */
export class ResponseCookies {
  readonly #policy: Pick<Policy, 'cookie' | 'header'>
  readonly #tokens: TokenCodec
  readonly #carriage: Carriage | undefined
  #state: CookieState = {}

  constructor(
    policy: Pick<Policy, 'cookie' | 'header'>,
    tokens: TokenCodec,
    successor: number | undefined,
    carriage?: Carriage,
  ) {
    this.#policy = policy
    this.#tokens = tokens
    this.#carriage = carriage
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

  /** What the client has seen: a session that it carries, or a hint of the version in the store. */
  set seen({ carried, version }: { carried?: Carried | undefined; version: Version }) {
    if (carried) this.#state.carried = carried
    else this.#state.hint = version
  }

  /** Whether there is nothing to tell. */
  get isEmpty(): boolean {
    const { token, hint, carried, clear } = this.#state
    return token === undefined && !hint && !carried && !clear
  }

  /** Replaces all. */
  set(state: CookieState): void {
    this.#state = state
  }

  /**
   * The headers, once. Without a selector there is no token to set. What carries a token is for its client alone, so that
   * no cache may keep it; adapters leave a `Cache-Control` that the handler set.
   *
   * @param lifeMs until the session's absolute end
   */
  take(selector: Buffer | undefined, lifeMs: number): HeaderLine[] {
    const { token, isSuccessor, hint, carried, clear } = this.#state
    this.#state = {}
    const lines: HeaderLine[] = []
    if (token !== undefined && selector) {
      lines.push(...this.#giving(this.#tokens.encode(selector, token, isSuccessor ? createIssue() : 0), lifeMs))
    } else if (clear) lines.push(...this.#clearing())
    if (this.#carriage && (carried || clear)) {
      const { sessions, header } = this.#carriage
      for (const line of sessions.toSetCookies(carried, header, lifeMs)) lines.push(['set-cookie', line])
    }
    if (lines.length > 0) lines.push(['cache-control', 'no-store'])
    if (hint) lines.push(this.#hinting(formatVersion(hint), lifeMs))
    return lines
  }

  #giving(token: string, lifeMs: number): HeaderLine[] {
    const { header, cookie } = this.#policy
    return [header ? header.toToken(token) : ['set-cookie', toSetCookie(cookie, cookie.name, token, lifeMs)]]
  }

  #hinting(hint: string, lifeMs: number): HeaderLine {
    const { header, cookie } = this.#policy
    return header ? header.toHint(hint) : ['set-cookie', toSetCookie(cookie, cookie.hintName, hint, lifeMs)]
  }

  #clearing(): HeaderLine[] {
    const { header, cookie } = this.#policy
    if (header) return [header.toToken(''), header.toHint('')]
    return [cookie.name, cookie.hintName].map((name) => ['set-cookie', toClearCookie(cookie, name)])
  }
}
