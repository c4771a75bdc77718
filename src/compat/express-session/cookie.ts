import type { Session } from '../../core/index.ts'

/** What `req.session.cookie` tells. Nothing of it can be set: a session's life and its cookie are options of `createSessions`. */
export interface SessionCookie {
  /** Milliseconds until the session ends if it is not used again. */
  readonly maxAge: number
  /** Milliseconds that each use gives it. */
  readonly originalMaxAge: number
  /** When it ends if it is not used again. */
  readonly expires: Date
  readonly httpOnly: true
  toJSON(): object
}

const LIFE =
  'set idleTimeout and absoluteTimeout in createSessions, for all sessions alike, and cookie: { persistent: true } to keep the cookie when the browser is closed'
const COOKIE = 'set it in createSessions({ cookie }), for all sessions alike'

/** What express-session lets an application set, and where it is set here. Ignored, an end that was to come sooner never would. */
const ADVICE: Readonly<Record<string, string>> = {
  maxAge: LIFE,
  originalMaxAge: LIFE,
  expires: LIFE,
  httpOnly: 'the cookie always is',
  path: COOKIE,
  domain: COOKIE,
  secure: COOKIE,
  sameSite: COOKIE,
  partitioned: COOKIE,
  priority: 'Sojourn sends none',
}

/** The cookie of a session, as it is whenever it is looked at. */
export function createCookie(session: Pick<Session<object>, 'expiresAt' | 'lastSeenAt'>): SessionCookie {
  return new Cookie(session) as unknown as SessionCookie
}

export function isCookie(value: unknown): boolean {
  return value instanceof Cookie
}

class Cookie {
  readonly #session: Pick<Session<object>, 'expiresAt' | 'lastSeenAt'>

  constructor(session: Pick<Session<object>, 'expiresAt' | 'lastSeenAt'>) {
    this.#session = session
  }

  get(name: string): unknown {
    const { expiresAt, lastSeenAt } = this.#session
    if (name === 'expires') return expiresAt
    if (name === 'maxAge') return expiresAt.getTime() - Date.now()
    if (name === 'originalMaxAge') return expiresAt.getTime() - lastSeenAt.getTime()
    return name === 'httpOnly' ? true : undefined
  }

  toJSON(): object {
    return { originalMaxAge: this.get('originalMaxAge'), expires: this.get('expires'), httpOnly: true }
  }
}

for (const [name, advice] of Object.entries(ADVICE)) {
  Object.defineProperty(Cookie.prototype, name, {
    enumerable: true,
    configurable: true,
    get(this: Cookie) {
      return this.get(name)
    },
    set() {
      throw new TypeError(`req.session.cookie.${name} cannot be set: ${advice}`)
    },
  })
}
