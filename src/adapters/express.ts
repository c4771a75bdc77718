/**
 * Sessions for Express 4 and 5.
 *
 * Exported from `sojourn/express`.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Sessions } from '../core/index.ts'
import { checkArguments } from './arguments.ts'
import { holdResponse, SessionCommitter } from './gate.ts'
import { setHeadersOf } from './head.ts'

const USAGE = 'app.use(session(sessions))'

/** The part of Express's request that `skip` may ask, besides Node's. */
export interface ExpressRequest extends IncomingMessage {
  /** Without the query, below the router where the middleware stands. */
  readonly path: string
  readonly originalUrl: string
}

/** Options of {@link session}. */
export interface ExpressSessionOptions {
  /** Requests without a session, such as those for assets: no store call is made, and `sessions.of` throws `no_session`. Default: none. */
  skip?: ((request: ExpressRequest) => boolean) | undefined
}

/** Middleware for `app.use`, with the types of Express 4 and 5 or without any. */
export type SessionMiddleware = (
  request: ExpressRequest,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void

/**
 * Middleware that gives each request a session: `sessions.of(req)`, and `req.session` (typed by
 * `import 'sojourn/express/types'`). The session is read before the handlers that follow and written, whole, before the
 * first byte of the response, also where the client has gone away by then. A handler that never answers writes nothing
 * but what it saved itself.
 *
 * A session that cannot be read or written goes to the application's error handlers. They find the response as this
 * middleware found it, with the error's status and `Retry-After` set; what the handler had set or written is dropped. So
 * put middleware whose headers belong on every response (CORS, Helmet) before this one, and error handlers after the
 * routes, on the same router.
 *
 * @example
 * ```ts
 * app.use(session(sessions, { skip: (req) => req.path.startsWith('/assets/') }))
 * app.get('/', (req, res) => res.json(sessions.of(req).data))
 * ```
 */
export function session<Data extends object>(
  sessions: Sessions<Data>,
  options: ExpressSessionOptions = {},
): SessionMiddleware {
  checkArguments(USAGE, sessions, options, ['skip'])
  const { skip } = options
  return (request, response, next) => {
    if (skip?.(request)) {
      next()
      return
    }
    if (typeof response?.once !== 'function') {
      next(new TypeError(`${USAGE} needs a response; for the request of an upgrade call sessions.open(request)`))
      return
    }
    sessions.open(request).then(
      (opened) => {
        // The first of two keeps the name; `sessions.of` finds both.
        if (!('session' in request)) Object.assign(request, { session: opened })
        response.on('close', () => sessions.finish(opened))
        holdResponse(response, new SessionCommitter(sessions, opened), next)
        next()
      },
      (error: unknown) => {
        setHeadersOf(response, error)
        next(error)
      },
    )
  }
}
