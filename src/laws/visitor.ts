import type { CookieJarLike } from './fleet.ts'
import type { ActAnswer, ActRequest } from './node.ts'
import type { Step } from './steps.ts'

/** Where the jar believes the nodes to be: one host behind a balancer that ends TLS. */
const ORIGIN = 'https://laws.example/'

/** An answer of a node to a visitor. */
export interface Answer extends ActAnswer {
  readonly status: number
  /** Set-Cookie headers. */
  readonly cookies: readonly string[]
}

/** A request on its way. */
export interface Flight {
  readonly answer: Promise<Answer>
  /** Aborts the connection; the node may have begun. */
  abort(): void
}

/** What a {@link Visitor} is made with. */
export interface VisitorPlace {
  createJar(): CookieJarLike
  url(node: number): string
}

/** A browser: cookies in a jar, requests over HTTP. */
export class Visitor {
  readonly #place: VisitorPlace
  readonly #jar: CookieJarLike

  constructor(place: VisitorPlace) {
    this.#place = place
    this.#jar = place.createJar()
  }

  /** Sends a request with the cookies of this moment. The jar takes in nothing: see {@link keep}. */
  async send(node: number, steps: readonly Step[], late: readonly Step[] = []): Promise<Flight> {
    return this.sendWith(await this.cookieHeader(), node, steps, late)
  }

  /** Sends a request with a Cookie header of the test's own. */
  sendWith(cookie: string, node: number, steps: readonly Step[] = [], late: readonly Step[] = []): Flight {
    const abort = new AbortController()
    const request: ActRequest = { steps, late }
    const answer = this.#fetch(node, cookie, request, abort.signal)
    answer.catch(() => {}) // a test that has failed elsewhere awaits it no more
    return { answer, abort: () => abort.abort() }
  }

  /** Takes the cookies of an answer into the jar. */
  async keep(answer: Answer): Promise<Answer> {
    for (const line of answer.cookies) await this.#jar.setCookie(line, ORIGIN)
    return answer
  }

  /** Another visitor with the same cookies: a second device, or a thief. */
  async copy(): Promise<Visitor> {
    const other = new Visitor(this.#place)
    for (const pair of (await this.cookieHeader()).split('; ')) {
      if (pair !== '') await other.#jar.setCookie(`${pair}; Path=/; Secure; HttpOnly`, ORIGIN)
    }
    return other
  }

  async cookieHeader(): Promise<string> {
    return this.#jar.getCookieString(ORIGIN)
  }

  /** Value of the cookie that holds the token; the hint's name ends in `-v`. */
  async token(): Promise<string | undefined> {
    return (await this.tokenPair())?.split('=')[1]
  }

  /** `name=value` of that cookie. */
  async tokenPair(): Promise<string | undefined> {
    return (await this.cookieHeader()).split('; ').find((pair) => pair !== '' && isTokenCookie(pair))
  }

  async #fetch(node: number, cookie: string, request: ActRequest, signal: AbortSignal): Promise<Answer> {
    const response = await fetch(`${this.#place.url(node)}/act`, {
      method: 'POST',
      body: JSON.stringify(request),
      headers: { 'content-type': 'application/json', ...(cookie === '' ? {} : { cookie }) },
      signal,
    })
    const body = (await response.json()) as ActAnswer
    return { ...body, status: response.status, cookies: response.headers.getSetCookie() }
  }
}

/** Whether a Set-Cookie header, or a pair, is about the token rather than the hint or a session that travels beside; a clearing one is, too. */
export function isTokenCookie(line: string): boolean {
  return !/-(v|d\d*)$/.test(line.slice(0, line.indexOf('=')))
}

/** A Cookie header without the hint. */
export function withoutHint(header: string): string {
  return header
    .split('; ')
    .filter((pair) => !pair.slice(0, pair.indexOf('=')).endsWith('-v'))
    .join('; ')
}
