/** Every code of a {@link SojournError}. `docs/errors.md` lists them, and a test keeps the two equal. */
export type SojournErrorCode =
  | 'closed'
  | 'conflict'
  | 'headers_sent'
  | 'login_revoked'
  | 'no_session'
  | 'session_gone'
  | 'session_invalid'
  | 'session_superseded'
  | 'session_too_large'
  | 'store_full'
  | 'store_timeout'
  | 'store_unavailable'
  | 'too_many_sessions'
  | 'unstorable_value'
  | 'unsupported'

/** Facts that some errors carry besides their code. */
export interface SojournErrorOptions {
  readonly cause?: unknown
  /** The field that the error is about. */
  readonly field?: string | undefined
}

/**
 * Base of every operating failure. A wrong argument is a `TypeError` instead.
 *
 * `status`, `statusCode` and `headers` are what Express, Fastify, Koa and Hono read from an error to answer it.
 */
export class SojournError extends Error {
  override readonly name: string = 'SojournError'
  /** Stable; compare this, not the message. */
  readonly code: SojournErrorCode
  /** The HTTP status that fits. */
  readonly status: number
  readonly statusCode: number
  /** `Retry-After`, in seconds, where the status is 503. */
  readonly headers: Readonly<Record<string, string>>
  readonly field?: string

  constructor(code: SojournErrorCode, status: number, message: string, options: SojournErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.status = status
    this.statusCode = status
    this.headers = status === 503 ? { 'retry-after': '1' } : {}
    if (options.field !== undefined) this.field = options.field
  }
}

/** The store cannot be reached, or cannot serve. Nothing is known about whether a change that was under way was applied. 503. */
export class StoreUnavailableError extends SojournError {
  override readonly name: string = 'StoreUnavailableError'
  constructor(
    message: string,
    options?: SojournErrorOptions,
    code: 'store_unavailable' | 'store_timeout' | 'store_full' = 'store_unavailable',
  ) {
    super(code, 503, message, options)
  }
}

/** A store call took longer than the deadline; it may still be applied. 503. */
export class StoreTimeoutError extends StoreUnavailableError {
  override readonly name: string = 'StoreTimeoutError'
  constructor(message: string, options?: SojournErrorOptions) {
    super(message, options, 'store_timeout')
  }
}

/** A bounded store is full of sessions that it must not drop. 503. */
export class StoreFullError extends StoreUnavailableError {
  override readonly name: string = 'StoreFullError'
  constructor(message: string, options?: SojournErrorOptions) {
    super(message, options, 'store_full')
  }
}

/** The token is from before a login (or the login happened meanwhile): it reads as empty and writes nothing. 409. */
export class SessionSupersededError extends SojournError {
  override readonly name: string = 'SessionSupersededError'
  constructor() {
    super(
      'session_superseded',
      409,
      'this request carries a token from before a login, so nothing of it was written; send it again with the cookie that the login set, or call login()',
    )
  }
}

/** The session was ended (logout, revoke, timeout) while the request was in flight. 409. */
export class SessionGoneError extends SojournError {
  override readonly name: string = 'SessionGoneError'
  constructor() {
    super(
      'session_gone',
      409,
      'the session was ended while this request was in flight, so nothing of it was written; open a new one',
    )
  }
}

/** Fields that a message names. */
const NAMED_MAX = 3

/** A field, or the whole session, is larger than its limit; the message names the largest fields. Nothing was written. 413. */
export class SessionTooLargeError extends SojournError {
  override readonly name: string = 'SessionTooLargeError'
  /** @param fields the field that is too large; or those of a session, with their bytes, of which the largest are named */
  constructor(message: string, fields?: string | readonly (readonly [name: string, bytes: number])[]) {
    const largest = typeof fields === 'object' ? fields.toSorted((a, b) => b[1] - a[1]).slice(0, NAMED_MAX) : []
    const named = largest.map(([name, bytes]) => `${JSON.stringify(name)} (${bytes} bytes)`).join(', ')
    super('session_too_large', 413, named === '' ? message : `${message}; its largest fields are ${named}`, {
      field: typeof fields === 'string' ? fields : largest[0]?.[0],
    })
  }
}

/** A field holds what cannot be stored exactly (a class instance, a function, a symbol, an unfit name). Nothing was written. 500. */
export class UnstorableValueError extends SojournError {
  override readonly name: string = 'UnstorableValueError'
  constructor(field: string, message: string, cause?: unknown) {
    super('unstorable_value', 500, message, { field, cause })
  }
}

/** The data does not fit the schema. Nothing was written. 500. */
export class SessionInvalidError extends SojournError {
  override readonly name: string = 'SessionInvalidError'
  constructor(message: string, field?: string) {
    super('session_invalid', 500, message, { field })
  }
}
