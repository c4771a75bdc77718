/** Sealed cookies of made-up sessions, and clients that carry them. */

import { randomBytes } from 'node:crypto'
import { parseSetCookie } from 'cookie'
import { openSessions, type SessionEventName, type Sessions, type SessionsOptions } from '../../../src/core/index.ts'
import { cookieStore, type CookieStoreOptions } from '../../../src/stores/cookie/index.ts'

export type Data = Record<string, unknown>

/** One node, its clock and what it told. */
export interface MadeSessions {
  readonly sessions: Sessions<Data>
  readonly clock: { time: number; now(): number }
  readonly logged: string[]
  readonly events: (readonly [SessionEventName, unknown])[]
}

const EVENT_NAMES: readonly SessionEventName[] = [
  'created', 'login', 'ended', 'stolen', 'superseded', 'lateChange', 'changeDropped', 'tokenRefused', 'storeFailed',
] // prettier-ignore

export const secret: string = randomBytes(32).toString('base64url')

export function makeSessions(
  store: CookieStoreOptions = {},
  options: Partial<SessionsOptions<Data>> = {},
  clock: MadeSessions['clock'] = { time: 1_795_000_000_000, now: () => clock.time },
): MadeSessions {
  const logged: string[] = []
  const log = (_: object, message: string): void => void logged.push(message)
  const events: [SessionEventName, unknown][] = []
  const sessions = openSessions<Data>(
    { store: cookieStore(store), secret, ...options },
    { clock, logger: { info: log, warn: log, error: log } },
  )
  for (const name of EVENT_NAMES) sessions.on(name, (event) => events.push([name, event]))
  return { sessions, clock, logged, events }
}

/** A browser as far as cookies go. */
export class Client {
  readonly cookies = new Map<string, string>()

  get header(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  /** Another with the same cookies. */
  copy(): Client {
    const other = new Client()
    for (const [name, value] of this.cookies) other.cookies.set(name, value)
    return other
  }

  keep(lines: readonly string[]): void {
    for (const line of lines) {
      const { name, value, maxAge } = parseSetCookie(line)
      if (maxAge === 0) this.cookies.delete(name)
      else this.cookies.set(name, value ?? '')
    }
  }

  /** One request; its answer is kept. Resolves the Set-Cookie lines. */
  async visit(
    sessions: Sessions<Data>,
    handle: (session: Awaited<ReturnType<Sessions<Data>['open']>>) => unknown = () => {},
  ): Promise<string[]> {
    const session = await sessions.open({ headers: this.header === '' ? {} : { cookie: this.header } })
    await handle(session)
    const headers = await sessions.commit(session)
    const lines = headers.filter(([name]) => name === 'set-cookie').map(([, line]) => line)
    this.keep(lines)
    return lines
  }

  /** What the session is now; the answer is lost. */
  async look(sessions: Sessions<Data>): Promise<{ isNew: boolean; user: string | null; data: Data }> {
    const session = await sessions.open({ headers: this.header === '' ? {} : { cookie: this.header } })
    const { isNew, user, data } = session
    return { isNew, user, data: { ...data } }
  }
}

/** Text that no compression makes smaller. */
export function noise(characters: number): string {
  return randomBytes(characters).toString('base64url').slice(0, characters)
}
