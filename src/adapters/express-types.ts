/**
 * Types `req.session` in Express, by what the application put into `Register`. An entry of its own, since
 * `@types/express-session` declares the same property: during a move from it, use `sessions.of(req)` instead.
 *
 * Exported from `sojourn/express/types`.
 *
 * @module
 */
import type { RegisteredRequestSession } from '../core/index.ts'

declare global {
  namespace Express {
    interface Request {
      /** The request's session; `undefined` where the middleware skipped the request. */
      session: RegisteredRequestSession
    }
  }
}
