/** A visitor: requests over real HTTP with a real cookie jar, as a browser behind a TLS-ending balancer sends them. */

import { CookieJar } from 'tough-cookie'
import type { Cookie } from 'tough-cookie'

const redirectsMax = 10

export interface VisitorOptions {
  /**
   * What the visitor takes every server for. Cookies are kept for it, whichever port was asked, so that a `Secure` or
   * `__Host-` cookie is kept although the connection is plain. Default: `'https://localhost'`.
   */
  origin?: string

  /** Sent with every request, such as `{ 'x-forwarded-proto': 'https' }`. */
  headers?: Readonly<Record<string, string>>
}

/** What `fetch` takes; but a redirect is answered as it is, unless `redirect: 'follow'` is asked. */
export interface VisitorRequest extends RequestInit {
  /** `false` leaves the jar as it is, as if the answer had been lost on the way. Default: `true`. */
  keepCookies?: boolean
}

/** One browser, with its cookies. */
export interface Visitor {
  readonly jar: CookieJar

  /** Asks the server at this address. The raw Set-Cookie headers are in `headers.getSetCookie()` of the answer. */
  fetch(url: string | URL, request?: VisitorRequest): Promise<Response>

  /** The cookies that a request to this path would carry. Default: `'/'`. */
  cookies(path?: string): Promise<Cookie[]>

  /** The value of the cookie that a request to `/` would carry. */
  cookie(name: string): Promise<string | undefined>

  /** Puts a cookie into the jar, written as in a Set-Cookie header. */
  setCookie(header: string): Promise<void>

  /** Another visitor who holds the same cookies: a second device, or a thief. */
  clone(): Promise<Visitor>
}

/** A visitor with an empty jar. */
export function createVisitor(options: VisitorOptions = {}): Visitor {
  return visitorWith(new CookieJar(), options)
}

function visitorWith(jar: CookieJar, { origin = 'https://localhost', headers = {} }: VisitorOptions): Visitor {
  const place = (path: string): string => new URL(path, origin).href

  /** A browser ignores a cookie that it does not accept; so does the jar. */
  async function setCookie(header: string, path: string): Promise<void> {
    await jar.setCookie(header, place(path), { ignoreError: true })
  }

  async function ask(url: URL, { keepCookies = true, ...request }: VisitorRequest): Promise<Response> {
    const sent = new Headers({ ...headers })
    new Headers(request.headers).forEach((value, name) => sent.set(name, value))
    const cookies = await jar.getCookieString(place(url.pathname))
    if (cookies !== '' && !sent.has('cookie')) sent.set('cookie', cookies)
    const response = await fetch(url, { ...request, headers: sent, redirect: 'manual' })
    if (keepCookies) for (const header of response.headers.getSetCookie()) await setCookie(header, url.pathname)
    return response
  }

  return {
    jar,
    async fetch(target, request = {}) {
      let url = new URL(target)
      let response = await ask(url, request)
      let next = request
      for (let redirects = 0; request.redirect === 'follow' && response.headers.has('location'); redirects += 1) {
        if (redirects === redirectsMax) throw new Error(`more than ${redirectsMax} redirects, the last to ${url.href}`)
        await response.body?.cancel()
        url = new URL(response.headers.get('location') ?? '', url)
        next = redirected(next, response.status)
        response = await ask(url, next)
      }
      return response
    },
    cookies: (path = '/') => jar.getCookies(place(path)),
    cookie: async (name) => (await jar.getCookies(place('/'))).find(({ key }) => key === name)?.value,
    setCookie: (header) => setCookie(header, '/'),
    clone: async () => visitorWith(await jar.clone(), { origin, headers }),
  }
}

/** As browsers do: a redirected form is asked for with GET, unless the status says to send it again. */
function redirected(request: VisitorRequest, status: number): VisitorRequest {
  if (status === 307 || status === 308 || request.method === 'HEAD') return request
  const { body: _, ...rest } = request
  return { ...rest, method: 'GET' }
}
