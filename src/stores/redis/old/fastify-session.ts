import { getHashes } from 'node:crypto'
import { defineOldSessions, type OldSessionsDefinition } from './old-sessions.ts'
import { checkGiven, type OldSessionOptions, toOldSettings } from './options.ts'

/** Options of {@link fastifySession}. */
export interface FastifySessionOptions extends OldSessionOptions {
  /** Name of the cookie, `cookieName` there. Default: `'sessionId'`. */
  cookie?: string | undefined
  /** As it was given there: `'s:'` where its sessions were shared with express-session. Default: none. */
  cookiePrefix?: string | undefined
  /** Of the signature, as it was given there. Default: `'sha256'`. */
  algorithm?: string | undefined
}

/**
 * The sessions of @fastify/session with connect-redis in the same Redis, for `redisStore({ migrateFrom })`: whoever comes
 * with the old cookie keeps data and login, also while old and new servers run side by side.
 *
 * @example
 * ```ts
 * redisStore({ url, migrateFrom: fastifySession({ secret: process.env.FASTIFY_SECRET }) })
 * ```
 * @throws TypeError for options that do not fit
 */
export function fastifySession(options: FastifySessionOptions): OldSessionsDefinition {
  const {
    cookie: cookieName = 'sessionId',
    cookiePrefix: valuePrefix = '',
    algorithm = 'sha256',
  } = checkGiven('fastifySession', options)
  if (typeof valuePrefix !== 'string') throw new TypeError('fastifySession: cookiePrefix is text')
  if (!getHashes().includes(algorithm)) throw new TypeError(`fastifySession: Node has no hash ${algorithm}`)
  const format = { cookieName, valuePrefix, algorithm }
  return defineOldSessions(toOldSettings('fastifySession', options, format, ['cookiePrefix', 'algorithm']))
}
