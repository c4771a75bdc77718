export * from './carried.ts'
export * from './change.ts'
export { type Duration, toMilliseconds } from './duration.ts'
export * from './errors.ts'
export type { EndReason, SessionEventName, SessionEvents, SessionListener } from './events.ts'
export * from './generation.ts'
export * from './install.ts'
export * from './limits.ts'
export type { SessionsOptions } from './policy.ts'
export * from './record.ts'
export * from './register.ts'
export type { HeaderLine, LoginOptions, Session } from './session.ts'
export {
  type Health,
  openSessions,
  type RequestLike,
  type Sessions,
  type SessionStats,
  type SessionView,
} from './sessions.ts'
export type { StandardSchema } from './standard-schema.ts'
export * from './store.ts'
