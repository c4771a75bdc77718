/** The cookies of a request by name, percent-decoded. */
export type Cookies = Readonly<Record<string, string | undefined>>

/** Reads the sessions that another library left with its clients. Made by `ironSession()` or `fastifySecureSession()`. */
export interface OldCookies {
  /** The names that it reads; one of them, or of its parts, is never the name of ours. */
  readonly cookieName: string

  /** The cookies of this request that belong to such a session, whole or not: they are cleared once it was taken over. */
  namesIn(cookies: Cookies): string[]

  /** The session's data; `undefined` where there is none, it is forged, or its time is over. @param now milliseconds since 1970 */
  read(cookies: Cookies, now: number): object | undefined

  /** The user that is logged in, if the data says so. */
  readonly user?: ((data: never) => string | null | undefined) | undefined
}

/** What every source of old cookies takes. */
export interface OldCookieOptions {
  /**
   * Finds the user in the old data, so that the session is logged in here too (`revokeUser` ends it).
   * Default: nobody is.
   */
  // oxlint-disable-next-line typescript/no-explicit-any -- the data is whatever the other library kept
  user?: ((data: any) => string | null | undefined) | undefined
}

/** The object that a text is as JSON, and nothing else. */
export function parseObject(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}
