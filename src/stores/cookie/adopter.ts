import { parseCookie } from 'cookie'
import type { Adoption, StoreContext } from '../../core/index.ts'
import { toClearCookie } from '../../token/index.ts'
import type { OldCookies } from './old-cookies.ts'

/** Takes over sessions that another library left with its clients. */
export class Adopter {
  readonly #sources: readonly OldCookies[]
  readonly #context: StoreContext

  /** @throws TypeError where an old cookie has the name of ours */
  constructor(sources: readonly OldCookies[], context: StoreContext) {
    this.#sources = sources
    this.#context = context
    const { name } = context.cookie
    if (sources.some(({ cookieName }) => cookieName === name || cookieName.startsWith(`${name}-`))) {
      throw new TypeError(
        `cookieStore: migrateFrom reads ${name}, which is the name of this session's own cookie; give cookie.name another`,
      )
    }
  }

  adopt(header: string): Adoption | undefined {
    for (const { source, cookies } of this.#in(header)) {
      const data = source.read(cookies, this.#context.clock.now())
      if (!data) continue
      const user = source.user?.(data as never)
      return typeof user === 'string' ? { data, user } : { data }
    }
    return undefined
  }

  /** Clears the old cookies that a request has. */
  toClearCookies(header: string): string[] {
    return this.#in(header).flatMap(({ source, cookies }) =>
      source.namesIn(cookies).map((name) => toClearCookie(this.#context.cookie, name)),
    )
  }

  #in(header: string): { source: OldCookies; cookies: Record<string, string | undefined> }[] {
    const sources = this.#sources.filter(({ cookieName }) => header.includes(cookieName))
    if (sources.length === 0) return []
    const cookies = parseCookie(header)
    return sources.map((source) => ({ source, cookies }))
  }
}
