/**
 * Types `request.session` in Fastify, by what the application put into `Register`. An entry of its own, since
 * `@fastify/session` declares the same property: during a move from it, use `sessions.of(request)` instead.
 *
 * Exported from `sojourn/fastify/types`.
 *
 * @module
 */
/// <reference types="fastify" />
import type { RegisteredSession } from '../core/index.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The request's session. Reading it throws `no_session` where the plugin skipped the request. */
    session: RegisteredSession
  }
}
