import type { Session } from './session.ts'
import type { Sessions } from './sessions.ts'

/**
 * Where an application names its sessions, for the type of `req.session` and `request.session`. `sessions.of(request)`
 * needs none of it.
 *
 * @example
 * ```ts
 * import 'sojourn/express/types'
 *
 * declare module 'sojourn' {
 *   interface Register {
 *     sessions: typeof sessions
 *   }
 * }
 * ```
 */
// oxlint-disable-next-line typescript/no-empty-interface -- applications add to it
export interface Register {}

/** What `req.session` is in Express: `requestSession` of {@link Register}, with `sojourn/express/compat`; or {@link RegisteredSession}. */
export type RegisteredRequestSession = Register extends { requestSession: infer Shown } ? Shown : RegisteredSession

/** The session of the sessions in {@link Register}; one of untyped data where there are none. */
export type RegisteredSession = Register extends { sessions: Sessions<infer Data> }
  ? Session<Data>
  : Session<Record<string, unknown>>
