import { checkCookieName } from '../../../token/index.ts'
import { checkOldCookie, type OldCookieAttributes } from './old-cookie.ts'
import type { SignedIdFormat } from './signed-id.ts'

/** What is known of a session where it is written in the other library's format. */
export interface MovedSession {
  // oxlint-disable-next-line typescript/no-explicit-any -- the application knows its data
  readonly data: any
  /** The user that is logged in here. */
  readonly user: string | null
  /** The properties that the old session has now. */
  readonly old: Readonly<Record<string, unknown>>
}

/** Between a session and the text in Redis. */
export interface OldSerializer {
  parse(text: string): unknown
  stringify(session: object): string
}

/** What both kinds of old sessions take. */
export interface OldSessionOptions {
  /** The secret that the other library was given, or several: the first signs, all verify. */
  secret: string | undefined | readonly (string | undefined)[]

  /** Prefix of its keys in Redis, as connect-redis was given it. Default: `'sess:'`. */
  prefix?: string | undefined

  /** The `cookie` option that it was given: how the old cookie is set where `write` is `'both'`, and cleared at a logout. */
  cookieOptions?: OldCookieAttributes | undefined

  /** Seconds, as connect-redis was given it: how long it keeps a session whose cookie has no `maxAge`. Default: 86,400. */
  ttl?: number | undefined

  /** What connect-redis was given instead of JSON. Default: JSON. */
  serializer?: OldSerializer | undefined

  /**
   * - `'new'`: an old session is taken over once. What changes here afterwards is not known to the servers that still run
   *   the other library, nor after a rollback.
   * - `'both'`: both kinds of servers see the changes of each other, and every visitor of the new ones can go on with the old
   *   ones. Costs a read of the old session for each request, and a write for each change.
   *
   * In both a session that ends on one kind of server ends on the other. Default: `'new'`.
   */
  write?: 'new' | 'both' | undefined

  /**
   * The user that an old session is logged in as, text or a number, so that it is logged in here too; what is neither is
   * nobody. It answers at once, as do `data` and `save`. Default: nobody is.
   */
  // oxlint-disable-next-line typescript/no-explicit-any -- the application knows its data
  user?: ((old: any) => string | number | null | undefined) | undefined

  /** The data to take over. Default: every property but `cookie`. */
  // oxlint-disable-next-line typescript/no-explicit-any -- the application knows its data
  data?: ((old: any) => object) | undefined

  /**
   * Inverse of `user` and `data`, needed with them where `write` is `'both'`: the properties of the old session, all
   * that are to be kept, without `cookie`. Default: the data.
   */
  save?: ((session: MovedSession) => object) | undefined
}

/** Options, checked and with defaults filled in. */
export interface OldSettings {
  readonly format: SignedIdFormat
  readonly keyPrefix: string
  readonly attributes: OldCookieAttributes
  /** The longest that an old session may live untouched. */
  readonly lifeMs: number
  readonly isMirrored: boolean
  readonly serializer: OldSerializer
  readonly user: NonNullable<OldSessionOptions['user']>
  readonly data: NonNullable<OldSessionOptions['data']>
  readonly save: NonNullable<OldSessionOptions['save']>
}

const TTL_S = 86_400
const OPTION_NAMES = [
  'secret',
  'prefix',
  'cookie',
  'cookieOptions',
  'ttl',
  'serializer',
  'write',
  'user',
  'data',
  'save',
]

const EXAMPLES = {
  user: '(old) => old.userId',
  data: '({ cart }) => ({ cart })',
  save: '({ data, user, old }) => ({ ...old, ...data, userId: user })',
}

/** @throws TypeError where there are none */
export function checkGiven<T extends object>(maker: string, options: T): T {
  if (typeof options === 'object' && options !== null) return options
  throw new TypeError(`${maker} needs options; at least the secret of the other library: ${maker}({ secret })`)
}

/** @throws TypeError that names the option and what it may be */
export function toOldSettings(
  maker: string,
  options: OldSessionOptions,
  format: Omit<SignedIdFormat, 'secrets'>,
  moreNames: readonly string[] = [],
): OldSettings {
  const names = [...OPTION_NAMES, ...moreNames]
  const unknown = Object.keys(options).find((name) => !names.includes(name))
  if (unknown !== undefined) {
    throw new TypeError(`${maker} has no option ${JSON.stringify(unknown)}; its options are ${names.join(', ')}`)
  }
  const { prefix = 'sess:', cookieOptions = {}, ttl = TTL_S, serializer = JSON, write = 'new' } = options
  const { user, data, save } = options
  if (typeof format.cookieName === 'object') {
    throw new TypeError(
      `${maker}: cookie is the name of the old cookie; what the library was given as cookie is cookieOptions`,
    )
  }
  checkCookieName(`${maker}: cookie`, format.cookieName)
  if (typeof prefix !== 'string') throw new TypeError(`${maker}: prefix is text; connect-redis has 'sess:'`)
  if (!Number.isFinite(ttl) || ttl <= 0)
    throw new TypeError(`${maker}: ttl is a number of seconds, as connect-redis was given it`)
  checkOldCookie(maker, cookieOptions)
  if (typeof serializer?.parse !== 'function' || typeof serializer.stringify !== 'function') {
    throw new TypeError(`${maker}: serializer has parse(text) and stringify(session), as connect-redis was given it`)
  }
  for (const [name, value] of Object.entries({ user, data, save })) {
    if (value !== undefined && typeof value !== 'function') {
      throw new TypeError(`${maker}: ${name} is a function: ${EXAMPLES[name as keyof typeof EXAMPLES]}`)
    }
  }
  if (write !== 'new' && write !== 'both') throw new TypeError(`${maker}: write is 'new' or 'both'`)
  if (write === 'both' && (user ?? data) && !save) {
    throw new TypeError(
      `${maker}: with write: 'both' give save, the inverse of user and data: it makes the properties of the old session`,
    )
  }
  return {
    format: { ...format, secrets: toSecrets(maker, options.secret) },
    keyPrefix: prefix,
    attributes: cookieOptions,
    lifeMs: Math.max(ttl * 1000, cookieOptions.maxAge ?? 0),
    serializer,
    isMirrored: write === 'both',
    user: user ?? (() => undefined),
    data: data ?? withoutCookie,
    save: save ?? (({ data }) => data as object),
  }
}

function withoutCookie(old: { readonly cookie?: unknown }): object {
  const { cookie: _, ...data } = old
  return data
}

function toSecrets(maker: string, secret: OldSessionOptions['secret']): readonly string[] {
  const secrets = Array.isArray(secret) ? (secret as readonly unknown[]) : [secret]
  const texts = secrets.filter((each): each is string => typeof each === 'string' && each !== '')
  if (texts.length > 0 && texts.length === secrets.length) return texts
  throw new TypeError(
    `${maker}: secret is the one that the other library was given, or several; is the environment variable set?`,
  )
}
