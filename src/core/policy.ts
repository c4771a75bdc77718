import {
  type CookieOptions,
  type CookiePolicy,
  type HeaderCarrier,
  type HeaderCarrierOption,
  type SecretOption,
  toCookiePolicy,
  toHeaderCarrier,
} from '../token/index.ts'
import { type Duration, TIMER_MS_MAX, toMilliseconds } from './duration.ts'
import {
  GRACE_MS,
  SESSION_BYTES_MAX,
  SESSIONS_PER_USER_MAX,
  STORE_DEADLINE_MS,
  TOUCHES_PER_IDLE_TIMEOUT,
} from './limits.ts'
import type { StandardSchema } from './standard-schema.ts'
import type { SessionRecord } from './record.ts'
import { type RequestLike, toClientLabel } from './request.ts'
import type { Clock, Logger, StoreDefinition } from './store.ts'

/** Options of `createSessions`. */
export interface SessionsOptions<Data extends object> {
  /** Where sessions live: `memoryStore()`, `sqliteStore()`, `redisStore()`, … */
  store: StoreDefinition

  /**
   * Secret of at least 32 characters from which every key is derived; or several: the first signs, all open. Roll one
   * by deploying `[old, new]`, then `[new, old]`, then, after twice the idle timeout, `[new]`.
   */
  secret: SecretOption

  /** Ends a session that was not used for so long. Measured with an error of 1/20, since touches are written no more often. Default: `'30m'`. */
  idleTimeout?: Duration | undefined

  /** Ends a session so long after its creation or, once its user logged in, after the login. Default: `'12h'`. */
  absoluteTimeout?: Duration | undefined

  /** Makes the data of a new session, and gives its type. A session keeps what it was created with; a field that is new here reads as its value here. */
  initial?: (() => Data) | undefined

  /** Any Standard Schema (Zod, Valibot, ArkType, …) of the whole data. It must accept its own output. */
  schema?: StandardSchema<Data> | undefined

  /**
   * What becomes of a stored session that does not fit the schema: its unfit fields are set to their initial values,
   * or it ends, or the request fails with `session_invalid`. Default: `'reset-field'`.
   */
  onInvalid?: 'reset-field' | 'end' | 'error' | undefined

  /** The cookies that carry the token and the hint. */
  cookie?: CookieOptions | undefined

  /**
   * What carries the token: the cookie; or, for APIs whose clients are no browsers, `Authorization: Bearer` (`'bearer'`)
   * or a header of your own (`{ header: 'x-session' }`). The same header of a response brings a new token, an empty one
   * takes it away, and the hint is in `x-session-v` (or the header's name and `-v`): a client sends back what it was
   * last given of each. Cookies are then ignored, and nothing rotates by itself. Default: `'cookie'`.
   */
  carrier?: 'cookie' | HeaderCarrierOption | undefined

  /**
   * Rotates the token of a session in use so often, so that a copied one shows: see {@link Session.rotate}. At least
   * twice `grace`. Default: never, but for a token of a secret that signs no more.
   */
  rotateEvery?: Duration | undefined

  /**
   * How long the predecessor of a rotated token is served after the successor was first used. A request and its answer
   * must take less, or be lost; or an honest client is taken for a thief. Default: `'60s'`.
   */
  grace?: Duration | undefined

  /**
   * What becomes of a session when two use it, each with a token of its own: it ends; or it goes on for both, and the
   * `stolen` event is raised with each use of the older token. Default: `'end'`.
   */
  onStolen?: 'end' | 'report' | undefined

  /**
   * How many sessions a user may have in use, and what becomes of one more: `{ max: 3, policy: 'end-oldest' }`. A login
   * counts once its token was presented. It costs two calls to the store then, and one with each login. Needs a store
   * that finds the sessions of a user. Default: any number.
   */
  maxSessionsPerUser?: SessionsPerUser | undefined

  /**
   * What to call the client of a request in the `stolen` event and in `sessions.list(user)`. Asked at login and when a
   * rotated token is first used, and kept in the store with the session; at most 200 characters. Default: its address (`request.ip`, or that of the connection, which
   * behind a proxy is the proxy's) and user agent.
   */
  clientLabel?: ((request: RequestLike) => string) | undefined

  /** Longest time of one store call; then the request fails with `store_timeout`, 503. Default: `'1s'`. */
  deadline?: Duration | undefined

  /** Largest session, in bytes of its encoded fields. Default: 1 MiB. One field has at most 256 KiB. */
  maxBytes?: number | undefined

  /** A pino-shaped logger. Default: the console, at most one line a minute of each kind. */
  logger?: Logger | undefined

  /** Time; tests turn it. Default: the system's. */
  clock?: Clock | undefined
}

/** How many sessions a user may have, and what becomes of one too many. */
export interface SessionsPerUser {
  /** 1 to 1,000. */
  readonly max: number
  /**
   * - `refuse`: `login` rejects with `too_many_sessions` while so many are in use; of several logins at once, those that
   *   are presented too late end (`ended`, `refused`);
   * - `end-oldest`: when the token of a new login is first presented, the session whose login is oldest ends (`replaced`).
   */
  readonly policy: 'refuse' | 'end-oldest'
}

/** The options with defaults filled in, checked, durations in milliseconds. */
export interface Policy {
  readonly idleTimeoutMs: number
  readonly absoluteTimeoutMs: number
  readonly touchEveryMs: number
  readonly graceMs: number
  readonly rotateEveryMs: number
  readonly onStolen: 'end' | 'report'
  readonly maxSessionsPerUser: SessionsPerUser | undefined
  readonly clientLabel: (request: RequestLike) => string
  readonly deadlineMs: number
  readonly bytesMax: number
  readonly cookie: CookiePolicy
  /** The carrier, where it is not the cookie. */
  readonly header: HeaderCarrier | undefined
  readonly onInvalid: 'reset-field' | 'end' | 'error'
}

const OPTION_NAMES: readonly (keyof SessionsOptions<object>)[] = [
  'store', 'secret', 'idleTimeout', 'absoluteTimeout', 'initial', 'schema', 'onInvalid', 'cookie', 'carrier',
  'rotateEvery',  'grace', 'onStolen', 'maxSessionsPerUser', 'clientLabel', 'deadline', 'maxBytes', 'logger', 'clock',
] // prettier-ignore

/** @throws TypeError that names the option and what it may be */
export function toPolicy<Data extends object>(options: SessionsOptions<Data>): Policy {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError('createSessions needs options; at least a store and a secret: { store: memoryStore(), secret }')
  }
  for (const name of Object.keys(options)) {
    if (!OPTION_NAMES.some((known) => known === name)) {
      throw new TypeError(
        `createSessions has no option ${JSON.stringify(name)}; its options are ${OPTION_NAMES.join(', ')}`,
      )
    }
  }
  if (typeof options.store === 'function') {
    throw new TypeError('store is a function that was not called; write memoryStore(), with the parentheses')
  }
  if (typeof options.store?.open !== 'function') {
    throw new TypeError('store is missing; give memoryStore(), sqliteStore(), redisStore() or another store definition')
  }
  checkParts(options)
  const onInvalid = options.onInvalid ?? 'reset-field'
  if (!['reset-field', 'end', 'error'].includes(onInvalid))
    throw new TypeError("onInvalid is 'reset-field', 'end' or 'error'")
  const onStolen = options.onStolen ?? 'end'
  if (!['end', 'report'].includes(onStolen)) throw new TypeError("onStolen is 'end' or 'report'")
  const graceMs = toMilliseconds('grace', options.grace ?? GRACE_MS)
  const rotateEveryMs = toMilliseconds('rotateEvery', options.rotateEvery ?? Infinity)
  if (rotateEveryMs < 2 * graceMs) {
    throw new TypeError(
      `rotateEvery is at least twice grace (${2 * graceMs} ms): until then answers with the token before may be on their way`,
    )
  }
  const bytesMax = options.maxBytes ?? SESSION_BYTES_MAX
  if (!(bytesMax > 0)) throw new TypeError('maxBytes is a number of bytes above 0')
  const idleTimeoutMs = toMilliseconds('idleTimeout', options.idleTimeout ?? '30m')
  const absoluteTimeoutMs = toMilliseconds('absoluteTimeout', options.absoluteTimeout ?? '12h')
  if (!Number.isFinite(Math.min(idleTimeoutMs, absoluteTimeoutMs))) {
    throw new TypeError(
      'idleTimeout and absoluteTimeout are both Infinity; a session needs an end, so make one of them finite',
    )
  }
  return {
    idleTimeoutMs,
    absoluteTimeoutMs,
    touchEveryMs: idleTimeoutMs / TOUCHES_PER_IDLE_TIMEOUT,
    graceMs,
    rotateEveryMs,
    onStolen,
    maxSessionsPerUser: checkSessionsPerUser(options.maxSessionsPerUser),
    clientLabel: options.clientLabel ?? toClientLabel,
    deadlineMs: toMilliseconds('deadline', options.deadline ?? STORE_DEADLINE_MS, TIMER_MS_MAX),
    bytesMax,
    cookie: toCookiePolicy(options.cookie),
    header: toHeader(options),
    onInvalid,
  }
}

function checkSessionsPerUser(limit: SessionsPerUser | undefined): SessionsPerUser | undefined {
  if (limit === undefined) return undefined
  const { max, policy } = limit ?? {}
  if (Number.isInteger(max) && max >= 1 && max <= SESSIONS_PER_USER_MAX && ['refuse', 'end-oldest'].includes(policy)) {
    return { max, policy }
  }
  throw new TypeError(
    `maxSessionsPerUser is { max, policy }: a number of 1 to ${SESSIONS_PER_USER_MAX}, and 'refuse' or 'end-oldest'`,
  )
}

/** A client that keeps a header by itself may never take a successor, and several of one token are no thieves. */
function toHeader<Data extends object>({
  carrier,
  cookie,
  rotateEvery,
}: SessionsOptions<Data>): HeaderCarrier | undefined {
  if (carrier === undefined || carrier === 'cookie') return undefined
  const header = toHeaderCarrier(carrier)
  if (cookie !== undefined) throw new TypeError('cookie and carrier are both given; with a header there is no cookie')
  if (rotateEvery !== undefined) {
    throw new TypeError(
      'rotateEvery needs the cookie: with a header for a carrier call rotate() where its clients know of it',
    )
  }
  return header
}

/** What would otherwise fail only when the first visitor needs it. */
function checkParts<Data extends object>(options: SessionsOptions<Data>): void {
  const { initial, schema, logger, clock, clientLabel } = options
  if (initial !== undefined && typeof initial !== 'function') {
    throw new TypeError('initial is a function, so that each session has objects of its own: () => ({ cart: [] })')
  }
  if (schema !== undefined && typeof schema?.['~standard']?.validate !== 'function') {
    throw new TypeError(
      'schema is no Standard Schema; give one of Zod, Valibot, ArkType or another that has "~standard"',
    )
  }
  if (clientLabel !== undefined && typeof clientLabel !== 'function') {
    throw new TypeError('clientLabel is a function of the request that returns text: (request) => request.ip')
  }
  if (logger !== undefined && !hasMethods(logger, ['info', 'warn', 'error'])) {
    throw new TypeError('logger has info, warn and error, as pino and the console have; leave it out for the console')
  }
  if (clock !== undefined && !hasMethods(clock, ['now'])) {
    throw new TypeError('clock has now(), milliseconds since 1970; leave it out for the system clock')
  }
}

function hasMethods(thing: object | null, names: readonly string[]): boolean {
  return names.every((name) => typeof (thing as Readonly<Record<string, unknown>> | null)?.[name] === 'function')
}

/** When a session ends if nothing more happens. A stored end counts too, so that a policy change never lengthens a life that had an end. */
export function endOf(policy: Policy, record: Pick<SessionRecord, 'lastSeenAt' | 'startedAt' | 'expiresAt'>): number {
  return Math.min(record.expiresAt, nextEnd(policy, record.lastSeenAt, record.startedAt))
}

/** The end that a use at `lastSeenAt` gives to a session whose absolute timeout counts from `startedAt`. */
export function nextEnd(policy: Policy, lastSeenAt: number, startedAt: number): number {
  return Math.min(lastSeenAt + policy.idleTimeoutMs, startedAt + policy.absoluteTimeoutMs)
}
