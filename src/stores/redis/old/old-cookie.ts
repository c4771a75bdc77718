import { stringifySetCookie } from 'cookie'

/** The `cookie` option that express-session or @fastify/session was given. */
export interface OldCookieAttributes {
  /** Milliseconds. Default: as there, none: the browser keeps the cookie until it is closed. */
  maxAge?: number | undefined
  /** Where it was `'auto'` there: whether browsers come by https. Default: as the cookie of Sojourn. */
  secure?: boolean | undefined
  sameSite?: boolean | 'lax' | 'strict' | 'none' | undefined
  domain?: string | undefined
  /** Default: `'/'`. */
  path?: string | undefined
  /** Default: `true`. */
  httpOnly?: boolean | undefined
  /** Default: `false`. */
  partitioned?: boolean | undefined
  /** Default: none. */
  priority?: 'low' | 'medium' | 'high' | undefined
}

const NAMES = ['maxAge', 'secure', 'sameSite', 'domain', 'path', 'httpOnly', 'partitioned', 'priority']

/** @throws TypeError that names the attribute and what it may be */
export function checkOldCookie(maker: string, attributes: OldCookieAttributes): void {
  const { maxAge, secure, sameSite, httpOnly, partitioned, priority } = attributes ?? {}
  const option = `${maker}: cookieOptions`
  if (typeof attributes !== 'object' || attributes === null || !isAge(maxAge)) {
    throw new TypeError(`${option} is the cookie option of the old library: { maxAge: 3_600_000, path: '/' }`)
  }
  const unknown = Object.keys(attributes).find((name) => !NAMES.includes(name))
  if (unknown !== undefined) {
    throw new TypeError(
      `${option} has no option ${JSON.stringify(unknown)}; its options are ${NAMES.join(', ')}; leave it out`,
    )
  }
  if (!isGivenAs('boolean', secure)) {
    throw new TypeError(`${option}: secure is true or false; for 'auto' give whether browsers come by https`)
  }
  for (const [name, value] of Object.entries({ httpOnly, partitioned })) {
    if (!isGivenAs('boolean', value)) throw new TypeError(`${option}: ${name} is true or false`)
  }
  if (!isGivenAs('boolean', sameSite) && toSameSite(sameSite) === undefined) {
    throw new TypeError(`${option}: sameSite is true, false, 'lax', 'strict' or 'none'`)
  }
  if (!isGivenAs('undefined', priority) && toPriority(priority) === undefined) {
    throw new TypeError(`${option}: priority is 'low', 'medium' or 'high'`)
  }
  try {
    toOldSetCookie('name', 'value', createCookiePart(attributes), Date.now())
  } catch (error) {
    throw new TypeError(`${option} makes no cookie: ${error instanceof Error ? error.message : ''}`, { cause: error })
  }
}

/** As the `cookie` option of those libraries has it: milliseconds, or none. */
function isAge(maxAge: unknown): boolean {
  return maxAge === undefined || maxAge === null || Number.isFinite(maxAge)
}

/** Those libraries take `null` for none. */
function isGivenAs(type: 'boolean' | 'undefined', value: unknown): boolean {
  return value === undefined || value === null || typeof value === type
}

/** The `cookie` property of a stored session that begins now. */
export function createCookiePart(attributes: OldCookieAttributes): object {
  const { maxAge, secure, sameSite, domain, path, httpOnly, partitioned, priority } = attributes
  return {
    originalMaxAge: maxAge ?? null,
    partitioned,
    priority,
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
  const expires = endOf(rest.originalMaxAge, now)
  return expires ? { ...rest, expires: expires.toISOString() } : rest
}

/** `undefined` where the browser is to keep it until it is closed, or there is no such time. */
function endOf(originalMaxAge: unknown, now: number): Date | undefined {
  if (typeof originalMaxAge !== 'number') return undefined
  const end = new Date(now + originalMaxAge)
  return Number.isNaN(end.getTime()) ? undefined : end
}

/**
 * The Set-Cookie line for a stored session with this `cookie` property.
 *
 * @throws where that makes none
 */
export function toOldSetCookie(name: string, value: string, cookie: object, now: number): string {
  const { originalMaxAge, httpOnly, ...attributes } = cookie as Record<string, unknown>
  return stringifySetCookie({
    ...toAttributes(attributes),
    name,
    value,
    httpOnly: httpOnly !== false,
    ...(typeof originalMaxAge === 'number' ? { expires: new Date(now + originalMaxAge) } : {}),
  })
}

export function toOldClearCookie(name: string, attributes: OldCookieAttributes): string {
  return stringifySetCookie({
    ...toAttributes({ ...attributes }),
    name,
    value: '',
    httpOnly: true,
    expires: new Date(0),
    maxAge: 0,
  })
}

/** What both lines say, so that the second takes away what the first has set. */
function toAttributes(
  cookie: Readonly<Record<string, unknown>>,
): Omit<Parameters<typeof stringifySetCookie>[0], 'name' | 'value'> {
  const { secure, domain, path, sameSite, partitioned, priority } = cookie
  const [site, urgency] = [toSameSite(sameSite), toPriority(priority)]
  return {
    path: typeof path === 'string' ? path : '/',
    secure: secure === true,
    partitioned: partitioned === true,
    ...(typeof domain === 'string' ? { domain } : {}),
    ...(typeof sameSite === 'boolean' ? { sameSite } : {}),
    ...(site === undefined ? {} : { sameSite: site }),
    ...(urgency === undefined ? {} : { priority: urgency }),
  }
}

/** Those libraries take it in capitals too. */
function toSameSite(sameSite: unknown): 'lax' | 'strict' | 'none' | undefined {
  const text = typeof sameSite === 'string' ? sameSite.toLowerCase() : undefined
  return text === 'lax' || text === 'strict' || text === 'none' ? text : undefined
}

function toPriority(priority: unknown): 'low' | 'medium' | 'high' | undefined {
  const text = typeof priority === 'string' ? priority.toLowerCase() : undefined
  return text === 'low' || text === 'medium' || text === 'high' ? text : undefined
}
