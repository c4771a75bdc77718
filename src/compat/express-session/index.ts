/**
 * `req.session` as express-session 1.19 offers it, on any store, for applications that move from it.
 *
 * Exported from `sojourn/express/compat`.
 *
 * @module
 */
import type { ExpressRequest, ExpressSessionOptions, SessionMiddleware } from '../../adapters/express.ts'
import { holdResponse } from '../../adapters/gate.ts'
import { setHeadersOf } from '../../adapters/head.ts'
import type { Sessions } from '../../core/index.ts'
import { checkOptions } from './options.ts'
import { isShown } from './request-session.ts'
import { passportUser, type UserOf } from './user.ts'
import { Visit } from './visit.ts'

export type { SessionCookie } from './cookie.ts'
export type { Callback, RequestSession, SessionMethods } from './request-session.ts'
export type { UserOf } from './user.ts'

/** Options of {@link session}. */
export interface CompatSessionOptions<Data extends object> extends ExpressSessionOptions {
  /**
   * Who is logged in, as the data say: `(data) => data.userId`. At each `save()`, and before the response begins, the
   * session is made the user's whom it finds: by a login, which always changes the token, whatever the application calls
   * or forgets. Where it finds nobody any more, the session ends, and what else it holds goes on under another token.
   * So `sessions.revokeUser(user)` knows whom it ends. A number is taken as text.
   *
   * Default: Passport's, `data.passport.user` where it is text or a number, or the `id` in it.
   */
  user?: UserOf<Data> | undefined
}

/**
 * Middleware that gives each request the `req.session` of express-session: data as properties, and `regenerate`, `save`,
 * `reload`, `destroy` with callbacks. `sessions.of(req)` is the same session, for what is new.
 *
 * It differs where Sojourn keeps more: concurrent requests that change different fields all keep their change, an ended
 * session stays ended, the response waits for the session, a `Date` stays one, and what cannot be kept exactly is
 * refused. `req.session.id` is no credential. Nothing of `req.session.cookie` can be set.
 *
 * As there, an upgrade may be given its session by `session(request, {}, next)`; what changes then is written by `save()`.
 *
 * An error goes to the callback; without one, to the application's error handlers, as does what a callback throws.
 *
 * @example
 * ```ts
 * import { session } from 'sojourn/express/compat'
 *
 * app.use(session(sessions))
 * app.use(passport.session())
 * ```
 * @throws TypeError for the options of express-session, which says what stands for each
 */
export function session<Data extends object>(
  sessions: Sessions<Data>,
  options: CompatSessionOptions<Data> = {},
): SessionMiddleware {
  checkOptions(sessions, options)
  const { skip, user: userOf = passportUser } = options
  return (request, response, next) => {
    if (skip?.(request) || isShown(sessionOf(request))) {
      next()
      return
    }
    if (sessionOf(request)) {
      next(new TypeError('another middleware has set req.session before this one; take one of the two out'))
      return
    }
    begin().then(
      (visit) => {
        // `session(request, {}, next)` is how an upgrade to a WebSocket is given its `req.session`: there is no response.
        if (typeof response.on !== 'function') return next()
        response.on('close', () => sessions.finish(visit.session))
        holdResponse(response, visit, next)
        next()
      },
      (error: unknown) => {
        setHeadersOf(response, error)
        next(error)
      },
    )

    async function begin(): Promise<Visit<Data>> {
      const visit = new Visit(request, await sessions.open(request), { sessions, userOf, next })
      Object.defineProperty(request, 'sessionID', { get: () => visit.session.key, configurable: true })
      return visit
    }
  }
}

function sessionOf(request: ExpressRequest): unknown {
  return (request as { session?: unknown }).session
}
