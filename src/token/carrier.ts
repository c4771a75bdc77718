import { parseCookie, stringifySetCookie } from 'cookie'

/** How the session's cookies are set. Both cookies, the token and the hint, share it. */
export interface CookieOptions {
  /** Default: `__Host-sid`, or `sid` where `secure: false`, `domain` or `path` is given. */
  name?: string | undefined
  /** Sent over TLS alone (browsers accept it on `http://localhost` too). Default: `true`. */
  secure?: boolean | undefined
  /** The cookie's only defence against cross-site request forgery. `'none'` needs `secure`. Default: `'lax'`. */
  sameSite?: 'lax' | 'strict' | 'none' | undefined
  /** Shares the cookie with every subdomain; rules out the `__Host-` prefix. Default: this host alone. */
  domain?: string | undefined
  /** Default: `/`. Another one rules out the `__Host-` prefix. */
  path?: string | undefined
  /**
   * Lets the cookie outlive the browser's window: `Max-Age` reaches to the session's absolute end, 400 days at most.
   * `idleTimeout` ends the session all the same. Default: `false`, the browser drops it when it is closed.
   */
  persistent?: boolean | undefined
  /** Keeps a cookie for each embedding site (CHIPS); needs `secure`. Default: `false`. */
  partitioned?: boolean | undefined
}

/** Cookie options, defaults filled in and checked. */
export interface CookiePolicy {
  readonly name: string
  readonly hintName: string
  readonly secure: boolean
  readonly persistent: boolean
  readonly attributes: {
    httpOnly: true
    secure: boolean
    sameSite: 'lax' | 'strict' | 'none'
    path: string
    domain?: string
    partitioned?: true
  }
}

/** The name of the token's cookie, by default: the first unless an option rules out its prefix. */
export const DEFAULT_COOKIE_NAMES = ['__Host-sid', 'sid'] as const

const COOKIE_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const OPTION_TYPES: Readonly<Record<keyof CookieOptions, string>> = {
  name: 'string', secure: 'boolean', sameSite: 'string', domain: 'string', path: 'string', partitioned: 'boolean',
  persistent: 'boolean',
} // prettier-ignore
/** What other session libraries take, and what to do instead. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ['httpOnly', 'the cookie is always HttpOnly'],
  [
    'maxAge',
    'idleTimeout and absoluteTimeout end the session; persistent: true keeps the cookie over a restart of the browser',
  ],
  [
    'expires',
    'idleTimeout and absoluteTimeout end the session; persistent: true keeps the cookie over a restart of the browser',
  ],
  ['signed', 'the token is always signed'],
])

/** @throws TypeError where a name, a prefix and the attributes do not fit together */
export function toCookiePolicy(options: CookieOptions = {}): CookiePolicy {
  checkTypes(options)
  const { secure = true, sameSite = 'lax', domain, path, partitioned = false, persistent = false } = options
  const [hostName, plainName] = DEFAULT_COOKIE_NAMES
  const name = options.name ?? (secure && domain === undefined && path === undefined ? hostName : plainName)
  checkCookieName('cookie.name', name)
  if (/^__host-/i.test(name) && (!secure || domain !== undefined || (path ?? '/') !== '/')) {
    throw new TypeError(
      `cookie.name: browsers drop ${name} unless it is secure, has no domain and has the path '/'; drop the prefix or those options`,
    )
  }
  if (/^__secure-/i.test(name) && !secure)
    throw new TypeError(`cookie.name: browsers drop ${name} unless it is secure; drop the prefix or 'secure: false'`)
  if (domain === '') throw new TypeError('cookie.domain is empty; leave it out for this host alone')
  if (path !== undefined && !path.startsWith('/'))
    throw new TypeError(`cookie.path: browsers ignore ${JSON.stringify(path)}, which does not begin with '/'`)
  if (sameSite === 'none' && !secure) throw new TypeError("cookie.sameSite: browsers drop 'none' without 'secure'")
  if (partitioned && !secure) throw new TypeError("cookie.partitioned: browsers drop it without 'secure'")
  if (!['lax', 'strict', 'none'].includes(sameSite)) throw new TypeError("cookie.sameSite is 'lax', 'strict' or 'none'")
  const attributes: CookiePolicy['attributes'] = { httpOnly: true, secure, sameSite, path: path ?? '/' }
  if (domain !== undefined) attributes.domain = domain
  if (partitioned) attributes.partitioned = true
  stringifySetCookie({ name, value: '', ...attributes }) // throws a TypeError for a bad domain or path
  return { name, hintName: `${name}-v`, secure, persistent, attributes }
}

/** @throws TypeError where it is no cookie name; `option` is where it was given */
export function checkCookieName(option: string, name: unknown): void {
  if (typeof name === 'string' && COOKIE_NAME.test(name)) return
  throw new TypeError(`${option}: ${JSON.stringify(name)} is not a cookie name (letters, digits, and -_.)`)
}

/** A misspelt option must not leave the cookie weaker than its author believes. */
function checkTypes(options: CookieOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`cookie is an object of options: ${Object.keys(OPTION_TYPES).join(', ')}`)
  }
  for (const [name, value] of Object.entries(options)) {
    const type = Object.hasOwn(OPTION_TYPES, name) ? OPTION_TYPES[name as keyof CookieOptions] : undefined
    if (type === undefined) {
      const advice = ADVICE.get(name) ?? `its options are ${Object.keys(OPTION_TYPES).join(', ')}`
      throw new TypeError(`cookie has no option ${JSON.stringify(name)}; ${advice}`)
    }
    if (value === undefined || typeof value === type) continue
    const advice = name === 'sameSite' ? "'lax', 'strict' or 'none'" : type === 'boolean' ? 'true or false' : 'text'
    throw new TypeError(`cookie.${name} is ${advice}`)
  }
}

/** Browsers keep no cookie longer (RFC 6265bis, section 5.5). */
const MAX_AGE_S = 400 * 86_400

/**
 * The Set-Cookie line that gives the client a cookie of this value.
 *
 * @param lifeMs how long a persistent one is of use; rounded up, since the server judges time
 */
export function toSetCookie(policy: CookiePolicy, name: string, value: string, lifeMs: number = Infinity): string {
  const lifetime = policy.persistent ? { maxAge: Math.min(Math.ceil(lifeMs / 1000), MAX_AGE_S) } : {}
  return stringifySetCookie({ name, value, ...policy.attributes, ...lifetime })
}

/** The Set-Cookie line that makes the client forget a cookie. */
export function toClearCookie(policy: CookiePolicy, name: string): string {
  return stringifySetCookie({ name, value: '', ...policy.attributes, expires: new Date(0), maxAge: 0 })
}

/** The token and the hint in a Cookie header, as sent; no check is made here. */
export function readCookies(
  policy: CookiePolicy,
  header: string,
): { token: string | undefined; hint: string | undefined } {
  if (!header.includes(policy.name)) return { token: undefined, hint: undefined }
  const cookies = parseCookie(header)
  return { token: cookies[policy.name], hint: cookies[policy.hintName] }
}

/** The first of these cookies that a Cookie header has, as sent; no check is made here. */
export function readFirstCookie(names: readonly string[], header: string): string | undefined {
  if (!names.some((name) => header.includes(name))) return undefined
  const cookies = parseCookie(header)
  const name = names.find((name) => cookies[name] !== undefined)
  return name === undefined ? undefined : cookies[name]
}
