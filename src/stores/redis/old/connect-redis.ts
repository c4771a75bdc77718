import { defineOldSessions, type OldSessionsDefinition } from './old-sessions.ts'
import { checkGiven, type OldSessionOptions, toOldSettings } from './options.ts'

/** Options of {@link connectRedis}. */
export interface ConnectRedisOptions extends OldSessionOptions {
  /** Name of the cookie, as express-session was given it. Default: `'connect.sid'`. */
  cookie?: string | undefined
}

/**
 * The sessions of express-session with connect-redis in the same Redis, for `redisStore({ migrateFrom })`: whoever comes
 * with the old cookie keeps data and login, also while old and new servers run side by side.
 *
 * @example
 * ```ts
 * redisStore({ url, migrateFrom: connectRedis({ secret: process.env.EXPRESS_SECRET }) })
 * ```
 * @throws TypeError for options that do not fit
 */
export function connectRedis(options: ConnectRedisOptions): OldSessionsDefinition {
  const { cookie: cookieName = 'connect.sid' } = checkGiven('connectRedis', options)
  return defineOldSessions(
    toOldSettings('connectRedis', options, { cookieName, valuePrefix: 's:', algorithm: 'sha256' }),
  )
}
