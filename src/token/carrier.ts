import { parseCookie, stringifySetCookie } from 'cookie'

/** How the session's cookies are set. Both cookies, the token and the hint, share it. */
export interface CookieOptions {
  /** Default: `__Host-sid`, or `sid` where `secure: false`, `domain` or `path` is given. */
  name?: string
  /** Sent over TLS alone (browsers accept it on `http://localhost` too). Default: `true`. */
  secure?: boolean
  /** The cookie's only defence against cross-site request forgery. `'none'` needs `secure`. Default: `'lax'`. */
  sameSite?: 'lax' | 'strict' | 'none'
  /** Shares the cookie with every subdomain; rules out the `__Host-` prefix. Default: this host alone. */
  domain?: string
  /** Default: `/`. Another one rules out the `__Host-` prefix. */
  path?: string
  /** Keeps a cookie for each embedding site (CHIPS); needs `secure`. Default: `false`. */
  partitioned?: boolean
}

/** Cookie options, defaults filled in and checked. */
export interface CookiePolicy {
  readonly name: string
  readonly hintName: string
  readonly secure: boolean
  readonly attributes: {
    httpOnly: true
    secure: boolean
    sameSite: 'lax' | 'strict' | 'none'
    path: string
    domain?: string
    partitioned?: true
  }
}

const COOKIE_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** @throws TypeError where a name, a prefix and the attributes do not fit together */
export function toCookiePolicy(options: CookieOptions = {}): CookiePolicy {
  const { secure = true, sameSite = 'lax', domain, path, partitioned = false } = options
  const name = options.name ?? (secure && domain === undefined && path === undefined ? '__Host-sid' : 'sid')
  if (!COOKIE_NAME.test(name))
    throw new TypeError(`cookie.name: ${JSON.stringify(name)} is not a cookie name (letters, digits, and -_.)`)
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
  return { name, hintName: `${name}-v`, secure, attributes }
}

/** The Set-Cookie line that gives the client a cookie of this value. */
export function toSetCookie(policy: CookiePolicy, name: string, value: string): string {
  return stringifySetCookie({ name, value, ...policy.attributes })
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
