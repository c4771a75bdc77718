/**
 * One user's session across a fleet of servers.
 *
 * Exported from `sojourn`.
 *
 * @module
 */
import { openSessions, type Sessions, type SessionsOptions } from './core/index.ts'
import { createConsoleLogger } from './logger.ts'

/**
 * Makes the sessions of an application. Opens nothing: call `ready()`, or let the first request open the store.
 *
 * @example
 * ```ts
 * import { createSessions, memoryStore } from 'sojourn'
 *
 * export const sessions = createSessions({
 *   store: memoryStore(),
 *   secret: process.env.SESSION_SECRET,
 *   initial: () => ({ views: 0, cart: [] as string[] }),
 * })
 * ```
 *
 * @throws TypeError when an option is missing, unknown or does not fit; the message says what to do
 */
export function createSessions<Data extends object = Record<string, unknown>>(
  options: SessionsOptions<Data>,
): Sessions<Data> {
  return openSessions(options, {
    clock: options?.clock ?? { now: Date.now },
    logger: options?.logger ?? createConsoleLogger(),
  })
}

export {
  type Change,
  type ChangeResult,
  type Clock,
  type ConnectionStats,
  type Duration,
  type End,
  type EndReason,
  type EndResult,
  type HeaderLine,
  type Health,
  type Logger,
  type LoginOptions,
  type NearCacheStats,
  type OperationId,
  type PeerRefusal,
  type ReadOptions,
  type RequestLike,
  type Session,
  type SessionEventName,
  type SessionEvents,
  SessionGoneError,
  SessionInvalidError,
  type SessionListener,
  type SessionRecord,
  type Sessions,
  type SessionsOptions,
  type SessionsPerUser,
  type SessionStats,
  SessionSupersededError,
  SessionTooLargeError,
  type SessionView,
  type SessionWatch,
  SojournError,
  type SojournErrorCode,
  type StandardSchema,
  type Store,
  type StoreContext,
  type StoredField,
  type StoreDefinition,
  StoreFullError,
  type StoreStats,
  StoreTimeoutError,
  StoreUnavailableError,
  type Tombstone,
  UnstorableValueError,
  type UserEntry,
  type UserLogin,
  type UserPage,
  type UserSession,
  type UserSessions,
  type WatchEnd,
} from './core/index.ts'
export * from './core/register.ts' // whole, so that an application can add to Register by `declare module 'sojourn'`
export { memoryStore, type MemoryStoreOptions } from './stores/memory/index.ts'
export type { CookieOptions, HeaderCarrierOption, SecretOption, Version } from './token/index.ts'
