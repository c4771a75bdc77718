import { stringifySetCookie } from 'cookie'

/** The `cookie` option that express-session or @fastify/session was given. */
export interface OldCookieAttributes {
  /** Milliseconds. Default: as there, none: the browser keeps the cookie until it is closed. */
  maxAge?: number | undefined
  /** Default: as the cookie of Sojourn. */
  secure?: boolean | undefined
  sameSite?: boolean | 'lax' | 'strict' | 'none' | undefined
  domain?: string | undefined
  /** Default: `'/'`. */
  path?: string | undefined
  /** Default: `true`. */
  httpOnly?: boolean | undefined
}

/** The `cookie` property of a stored session that begins now. */
export function createCookiePart({ maxAge, secure, sameSite, domain, path, httpOnly }: OldCookieAttributes): object {
  return {
    originalMaxAge: maxAge ?? null,
    expires: null,
    secure,
    httpOnly: httpOnly ?? true,
    domain,
    path: path ?? '/',
    sameSite,
  }
}

/** Its end moves with each use, as both libraries move it; @fastify/session refuses a session after it. */
export function renewCookiePart(cookie: object, now: number): object {
  const { originalExpires: _, ...rest } = cookie as { originalExpires?: unknown; originalMaxAge?: unknown }
  if (typeof rest.originalMaxAge !== 'number') return rest
  return { ...rest, expires: new Date(now + rest.originalMaxAge).toISOString() }
}

/** The Set-Cookie line for a stored session with this `cookie` property. */
export function toOldSetCookie(name: string, value: string, cookie: object, now: number): string {
  const { originalMaxAge, secure, httpOnly, domain, path, sameSite } = cookie as Record<string, unknown>
  return stringifySetCookie({
    name,
    value,
    path: typeof path === 'string' ? path : '/',
    httpOnly: httpOnly !== false,
    secure: secure === true,
    ...(typeof domain === 'string' ? { domain } : {}),
    ...(typeof sameSite === 'boolean' || isSameSite(sameSite) ? { sameSite } : {}),
    ...(typeof originalMaxAge === 'number' ? { expires: new Date(now + originalMaxAge) } : {}),
  })
}

export function toOldClearCookie(name: string, { domain, path, secure }: OldCookieAttributes): string {
  return stringifySetCookie({
    name,
    value: '',
    path: path ?? '/',
    httpOnly: true,
    ...(secure === undefined ? {} : { secure }),
    ...(domain === undefined ? {} : { domain }),
    expires: new Date(0),
    maxAge: 0,
  })
}

function isSameSite(value: unknown): value is 'lax' | 'strict' | 'none' {
  return value === 'lax' || value === 'strict' || value === 'none'
}
