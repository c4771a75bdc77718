/** A visitor who remembers what was acknowledged, and says so when a node forgets it, brings it back or mixes it up. */

import { request as sendRequest } from 'node:http'
import { CookieJar } from 'tough-cookie'
import type { Action, View } from './answers.ts'

/** Where the jar believes the nodes to be: one host behind a balancer that ends TLS. */
const ORIGIN = 'https://shop.example/'

/** Longer than any fault lasts: a request that takes so long has hung. */
const REQUEST_MS = 40_000

const TRIES = 20

/** Ended sessions that one visitor goes on to ask for: a long soak must not become a test of these alone. */
const ENDED_MAX = 5

/** A node's answer. */
export interface Reply {
  readonly status: number
  readonly cookies: readonly string[]
  readonly retryAfter: string | undefined
  /** Where the status is 200. */
  readonly view: View | undefined
  readonly text: string
}

/** `refused`: it reached no process. `broken`: it may have, and nothing came back. */
export class NoReply extends Error {
  readonly kind: 'refused' | 'broken'
  constructor(kind: NoReply['kind'], cause: unknown) {
    super(`no reply: ${kind}: ${String(cause)}`, { cause })
    this.kind = kind
  }
}

/** Sends a request on a connection of its own. */
export function send(port: number, cookie: string, action: Action): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', connection: 'close', ...(cookie === '' ? {} : { cookie }) }
    const request = sendRequest({ host: '127.0.0.1', port, method: 'POST', path: '/', headers, agent: false })
    const hung = (): unknown => request.destroy(new Error(`no answer in ${REQUEST_MS} ms`))
    const timer = setTimeout(hung, REQUEST_MS)
    const fail = (error: NodeJS.ErrnoException): void => {
      clearTimeout(timer)
      reject(new NoReply(error.code === 'ECONNREFUSED' ? 'refused' : 'broken', error))
    }
    request.once('error', fail)
    request.once('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.once('error', fail)
      response.once('end', () => {
        clearTimeout(timer)
        const { statusCode: status = 0 } = response
        const { 'set-cookie': cookies = [], 'retry-after': retryAfter } = response.headers
        resolve({ status, cookies, retryAfter, text, view: status === 200 ? (JSON.parse(text) as View) : undefined })
      })
    })
    request.end(JSON.stringify(action))
  })
}

/** Asks again where the answer is 503: on a machine that is busy a node may lose its lease for a moment. */
export async function insist<T extends Reply | undefined>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    const reply = await ask()
    if (reply?.status !== 503 || tries === TRIES) return reply
  }
}

/** A field: the last value acknowledged, and those of which nobody knows whether they were taken. */
interface Field {
  known: unknown
  readonly maybe: Set<unknown>
}

/** How often each thing happened. */
export class Tally {
  requests = 0
  acknowledged = 0
  /** Acknowledged changes that a node was seen to have, at the end. */
  verified = 0
  refused = 0
  unavailable = 0
  broken = 0
  sessions = 0
  ended = 0
  /** The longest that an answer took, from the sending of its request. */
  slowestMs = 0
  /** What broke a law, in words. */
  readonly violations: string[] = []

  toString(): string {
    const { violations, ...counts } = this
    return `${Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(', ')}, violations ${violations.length}` // prettier-ignore
  }
}

/** Ports in the order in which they are tried: the next only where one refuses connections, as nginx does. */
export type Route = () => readonly number[]

/** One browser with one session at a time. It sends one request after the other. */
export class Customer {
  readonly name: string
  readonly #tally: Tally
  #jar = new CookieJar()
  #fields = new Map<string, Field>()
  #countLeast = 0
  #countMost = 0
  #acknowledged = 0
  #user: string | null = null
  #life = 0
  /** Cookies of sessions that have ended. */
  readonly #ended: string[] = []
  #values = 0

  constructor(name: string, tally: Tally) {
    this.name = name
    this.#tally = tally
  }

  get hasSession(): boolean {
    return this.#acknowledged > 0
  }

  get cookie(): Promise<string> {
    return this.#jar.getCookieString(ORIGIN)
  }

  /** Begins a session, or changes the one that it has. */
  async set(route: Route, field: string): Promise<Reply | undefined> {
    const value = `${this.name} ${(this.#values += 1)}`
    const fields = this.hasSession ? { [field]: value } : { owner: this.#owner, [field]: value }
    const reply = await this.#ask(route, { do: 'set', fields })
    const entry = this.#fields.get(field) ?? { known: undefined, maybe: new Set() }
    if (reply?.view) this.#fields.set(field, { ...entry, known: value })
    // A session that was not begun has no cookie, so that nobody can ask for it again.
    else if (this.hasSession) this.#fields.set(field, { ...entry, maybe: entry.maybe.add(value) })
    return this.#told(reply)
  }

  /** Adds one to the count. */
  async add(route: Route): Promise<Reply | undefined> {
    const reply = await this.#ask(route, { do: 'add' })
    this.#countMost += 1
    if (reply?.view) this.#countLeast += 1
    return this.#told(reply)
  }

  read(route: Route): Promise<Reply | undefined> {
    return this.#ask(route, { do: 'read' }).then((reply) => this.#told(reply, 0))
  }

  async login(route: Route): Promise<Reply | undefined> {
    const user = `${this.name}-user`
    const reply = await this.#ask(route, { do: 'login', user })
    if (reply?.view) this.#user = user
    else this.forget() // its token may have been superseded
    return this.#told(reply)
  }

  rotate(route: Route): Promise<Reply | undefined> {
    return this.#ask(route, { do: 'rotate' }).then((reply) => this.#told(reply))
  }

  async logout(route: Route): Promise<Reply | undefined> {
    const cookie = await this.cookie
    const reply = await this.#ask(route, { do: 'logout' })
    if (reply?.view) {
      this.#tally.ended += 1
      this.#ended.push(cookie)
      if (this.#ended.length > ENDED_MAX) this.#ended.shift()
      this.#tally.acknowledged += 1
    }
    this.forget()
    return reply
  }

  /** Somebody sent `add` with its cookies, and it was answered 503. */
  mayHaveAdded(): void {
    this.#countMost += 1
  }

  /** Asks for a session that may be lost, and goes on as a new visitor. */
  async lose(route: Route): Promise<Reply> {
    const [port = 0] = route()
    const cookie = await this.cookie
    const reply = await insist(() => send(port, cookie, { do: 'read' }))
    this.forget()
    return reply
  }

  /** Goes on as a new visitor. */
  forget(): void {
    this.#jar = new CookieJar()
    this.#fields = new Map()
    this.#countLeast = 0
    this.#countMost = 0
    this.#acknowledged = 0
    this.#user = null
    this.#life += 1
  }

  /** Asks each of these nodes for all that was acknowledged, and for what has ended. */
  async verify(ports: readonly number[]): Promise<void> {
    for (const port of ports) {
      if (this.hasSession) {
        const reply = await insist(() => this.read(() => [port]))
        if (reply?.view) this.#tally.verified += this.#acknowledged
        else this.#violated(`node at ${port} does not answer: ${reply?.status} ${reply?.text}`)
      }
      for (const cookie of this.#ended) {
        const reply = await insist(() => send(port, cookie, { do: 'read' }))
        const isGone = reply?.view?.isNew === true && Object.keys(reply.view.data).length === 0
        if (isGone) this.#tally.verified += 1
        else this.#violated(`a session that ended has risen: ${reply?.status} ${reply?.text}`)
      }
    }
  }

  get #owner(): string {
    return `${this.name} life ${this.#life}`
  }

  async #ask(route: Route, action: Action): Promise<Reply | undefined> {
    const cookie = await this.cookie
    let refused: unknown
    for (const port of route()) {
      this.#tally.requests += 1
      const sentAt = performance.now()
      try {
        const reply = await send(port, cookie, action)
        this.#tally.slowestMs = Math.max(this.#tally.slowestMs, Math.round(performance.now() - sentAt))
        await this.#judge(reply, action)
        return reply
      } catch (error) {
        if (!(error instanceof NoReply)) throw error
        this.#tally[error.kind] += 1
        refused = error
        if (error.kind === 'broken') return undefined
      }
    }
    throw new Error('no node takes connections', { cause: refused })
  }

  async #judge({ status, cookies, retryAfter, view, text }: Reply, action: Action): Promise<void> {
    if (view) {
      if (action.do !== 'logout') this.#compare(view, action)
      for (const line of cookies) await this.#jar.setCookie(line, ORIGIN)
      return
    }
    if (status === 503) {
      this.#tally.unavailable += 1
      if (retryAfter === undefined) this.#violated(`503 came without Retry-After: ${text}`)
    } else this.#violated(`${action.do} was answered ${status}: ${text}`)
    if (cookies.length > 0) this.#violated(`${status} to ${action.do} came with ${cookies.join()}: ${text}`)
  }

  /** Counts what was acknowledged. Without an answer, or with 503, nobody knows. */
  #told(reply: Reply | undefined, changes = 1): Reply | undefined {
    if (!reply?.view) return reply
    if (this.#acknowledged === 0 && changes > 0) this.#tally.sessions += 1
    this.#tally.acknowledged += changes
    this.#acknowledged += changes
    return reply
  }

  /** What a node shows is what was acknowledged, or what may have been taken; its own change comes on top. */
  #compare({ data, user, isNew, node, key }: View, action: Action): void {
    if (!this.hasSession) return
    const where = `${key} at ${node}, ${action.do}`
    if (isNew && action.do !== 'login') return this.#violated(`${where}: the session is lost`)
    if (data['owner'] !== this.#owner) this.#violated(`${where}: of another visitor: ${String(data['owner'])}`)
    if (action.do !== 'login' && user !== this.#user) this.#violated(`${where}: user ${user}, not ${this.#user}`)
    const own = action.do === 'set' ? action.fields : {}
    for (const [name, field] of this.#fields) {
      if (name in own || data[name] === field.known) continue
      if (!field.maybe.delete(data[name]))
        this.#violated(`${where}: ${name} is ${String(data[name])}, not ${String(field.known)}`)
      field.known = data[name]
    }
    const count = Number(data['count'] ?? 0)
    const [least, most] = action.do === 'add' ? [this.#countLeast + 1, this.#countMost + 1] : [this.#countLeast, this.#countMost] // prettier-ignore
    if (count < least || count > most) this.#violated(`${where}: count ${count}, not ${least} to ${most}`)
    this.#countLeast = Math.max(this.#countLeast, action.do === 'add' ? count - 1 : count)
  }

  #violated(what: string): void {
    this.#tally.violations.push(`${new Date().toISOString()} ${this.name}: ${what}`)
  }
}
