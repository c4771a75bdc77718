import { parseSetCookie } from 'cookie'
import type { ShopAnswer } from './shop.ts'

/** Longest wait for an answer: the store's deadline, and as many tries as the gateway has nodes. */
const ANSWER_DEADLINE_MS = 15_000

/** One visitor of the demo, with cookies of its own: a browser shares them among all ports of a host, and so does it. */
export class Visitor {
  readonly #cookies: Map<string, string>

  constructor(cookies: ReadonlyMap<string, string> = new Map()) {
    this.#cookies = new Map(cookies)
  }

  /** Another visitor who holds the same cookies now: what stays in a browser that did not hear of a logout. */
  clone(): Visitor {
    return new Visitor(this.#cookies)
  }

  /** The Cookie header that it sends. */
  get cookie(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  /** What the node at this address, or the one that the gateway there chose, knows of the visitor. */
  look(url: string): Promise<ShopAnswer> {
    return this.#ask(new URL('/api/session', url), { method: 'GET' })
  }

  /** Does one thing in the shop: `login`, `cart`, `view` or `logout`. */
  act(url: string, action: string, body: object = {}): Promise<ShopAnswer> {
    return this.#ask(new URL(`/api/${action}`, url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  }

  async #ask(url: URL, request: RequestInit): Promise<ShopAnswer> {
    const { cookie } = this
    const headers = { ...(request.headers as Record<string, string>), ...(cookie === '' ? {} : { cookie }) }
    const response = await fetch(url, { ...request, headers, signal: AbortSignal.timeout(ANSWER_DEADLINE_MS) })
    const text = await response.text()
    if (!response.ok) throw new Error(`${url.pathname} was answered ${response.status}: ${text.trim()}`)
    for (const line of response.headers.getSetCookie()) this.#keep(line)
    return JSON.parse(text) as ShopAnswer
  }

  #keep(line: string): void {
    const { name, value = '', maxAge } = parseSetCookie(line)
    if (maxAge === 0) this.#cookies.delete(name)
    else this.#cookies.set(name, value)
  }
}
