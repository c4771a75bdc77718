import { createDecipheriv, createHmac, createSecretKey, pbkdf2Sync, timingSafeEqual } from 'node:crypto'
import { type Cookies, type OldCookieOptions, type OldCookies, parseObject } from './old-cookies.ts'

/** Options of {@link ironSession}: those that iron-session was given. */
export interface IronSessionOptions extends OldCookieOptions {
  /** One password, or several by their ids; every one opens. */
  password: string | Readonly<Record<string, string>>
  cookieName: string
}

/** Cookies of one chunked seal; iron-session makes no more. */
const CHUNKS_MAX = 20
/** How late a seal may be; iron-session grants as much. */
const SKEW_MS = 60_000
const PARTS = 8

/**
 * Reads the cookies of iron-session 8 and 9 (`Fe26.2`, the format of @hapi/iron), chunked ones too.
 *
 * @example
 * ```ts
 * cookieStore({ migrateFrom: ironSession({ password: process.env.IRON_PASSWORD!, cookieName: 'app' }) })
 * ```
 */
export function ironSession(options: IronSessionOptions): OldCookies {
  const { password, cookieName, user } = options
  if (typeof cookieName !== 'string' || cookieName === '') {
    throw new TypeError('ironSession: cookieName is the name that iron-session was given')
  }
  const passwords = new Map(Object.entries(typeof password === 'string' ? { '1': password } : { ...password }))
  if (passwords.size === 0 || [...passwords.values()].some((each) => typeof each !== 'string' || each === '')) {
    throw new TypeError('ironSession: password is the one that iron-session was given, or several by their ids')
  }
  return {
    cookieName,
    user,
    namesIn: (cookies) =>
      [cookieName, ...chunkNames(cookies, cookieName)].filter((name) => cookies[name] !== undefined),
    read(cookies, now) {
      const chunks = chunkNames(cookies, cookieName).map((name) => cookies[name])
      const seal = chunks.length > 0 ? chunks.join('') : cookies[cookieName]
      const text = seal === undefined ? undefined : unseal(seal, passwords, now)
      return text === undefined ? undefined : parseObject(text)
    },
  }
}

function chunkNames(cookies: Cookies, cookieName: string): string[] {
  const names: string[] = []
  while (names.length < CHUNKS_MAX && cookies[`${cookieName}.${names.length}`] !== undefined) {
    names.push(`${cookieName}.${names.length}`)
  }
  return names
}

/**
 * `Fe26.2 * password id * encryption salt * iv * ciphertext * expiry * MAC salt * MAC`, then `~` and a version that is
 * outside the MAC. Keys are PBKDF2-HMAC-SHA1 of one iteration, which is what @hapi/iron takes for long passwords.
 */
function unseal(seal: string, passwords: ReadonlyMap<string, string>, now: number): string | undefined {
  const [sealed = ''] = seal.split('~')
  const parts = sealed.split('*')
  const [prefix, id = '', salt = '', iv = '', ciphertext = '', expiry = '', macSalt = '', mac = ''] = parts
  const password = passwords.get(id === '' ? '1' : id)
  if (parts.length !== PARTS || prefix !== 'Fe26.2' || password === undefined) return undefined
  const expected = createHmac('sha256', keyOf(password, macSalt)).update(parts.slice(0, 6).join('*')).digest()
  const given = Buffer.from(mac, 'base64url')
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined
  if (expiry !== '' && !(Number(expiry) > now - SKEW_MS)) return undefined
  try {
    const decipher = createDecipheriv('aes-256-cbc', keyOf(password, salt), Buffer.from(iv, 'base64url'))
    return Buffer.concat([decipher.update(Buffer.from(ciphertext, 'base64url')), decipher.final()]).toString('utf8')
  } catch {
    return undefined
  }
}

function keyOf(password: string, salt: string): ReturnType<typeof createSecretKey> {
  return createSecretKey(pbkdf2Sync(password, salt, 1, 32, 'sha1'))
}
