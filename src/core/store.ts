import type { CookiePolicy, KeyRing, Version } from '../token/index.ts'
import type { Carried, CarriedSessions } from './carried.ts'
import type { EndReason, SessionEvents, StoreEventName } from './events.ts'
import type { OldSessions } from './old-sessions.ts'
import type { SessionRecord, StoredField, Tombstone } from './record.ts'
import type { UserSessions } from './user-sessions.ts'

/**
 * Names one change for as long as it may be sent again. `slot` is drawn at random by each node when it starts (12
 * characters) and `count` rises with every operation of that node. A node has one operation at a time in flight for a
 * session, so a record needs to remember only the last of each slot: the same count is a repetition and is answered
 * with its first result; a lower one was given up by its caller long ago and is refused as `conflict`.
 */
export interface OperationId {
  readonly slot: string
  readonly count: number
}

/**
 * What one request did to a session. A store applies all of it at once or nothing.
 *
 * The parts are applied in this order: `confirm`, `rotate`, `login`, then fields and times.
 */
export interface Change {
  readonly key: string
  readonly operation: OperationId
  /** The node's wall clock, in milliseconds since 1970. */
  readonly now: number
  /** When the session will end if nothing more happens, by this node's policy. */
  readonly expiresAt: number
  /** Made outside a request: not a use by the visitor, so `lastSeenAt` and `expiresAt` stay. Default: `false`. */
  readonly unattended?: boolean
  /** The generation under which the change began. Below the record's floor it answers `superseded`. */
  readonly generation: number
  /** Brings the record into being. Without it an unknown key answers `gone`. Over a tombstone or an existing record it answers `gone`. */
  readonly create?: boolean
  /** Fields to write; `null` removes, and stays as a field without a value, also where there was none. */
  readonly fields?: ReadonlyMap<string, string | null>
  /** The change applies only while this field has this stamp (`null`: was never there); else it answers `conflict` with the present field. */
  readonly expect?: { readonly field: string; readonly stamp: Version | null }
  /** Hands out `generation + 1`, where `generation` is the record's; else nothing happens, since it was rotated already. */
  readonly rotate?: boolean
  /** This generation was presented: it becomes the record's, and the grace of its predecessors ends then. */
  readonly confirm?: { readonly generation: number; readonly graceEndsAt: number }
  /** Makes a new generation that supersedes all before it, handed-out ones included; restarts the absolute timeout. */
  readonly login?: { readonly user: string }
}

/** A request to end a session. */
export interface End extends Tombstone {
  /** The generation under which it was asked: below the record's floor nothing ends, and the answer is `superseded`. Default: ends the session whatever its generation. */
  readonly generation?: number
  /** Why, for those who hold the session; see {@link Store.hold}. Default: `'revoked'`. */
  readonly reason?: EndReason
}

/** `gone`: there was none, or it had ended; the tombstone is left all the same. */
export type EndResult = 'ended' | 'gone' | 'superseded'

/** What came of a {@link Change}. */
export type ChangeResult =
  /** Done; so is a repetition of a change that was applied before, with the version of that time. `generation` and `pending` are the record's now. */
  | {
      readonly outcome: 'applied'
      readonly version: Version
      readonly generation: number
      readonly pending: boolean
      /** What the client is to carry from now on; from a store that has {@link Store.carried}. */
      readonly carried?: Carried
    }
  /** No such session: ended, timed out or never there. */
  | { readonly outcome: 'gone' }
  /** `expect` did not hold; `field` is the present one, if there is one. */
  | { readonly outcome: 'conflict'; readonly field: StoredField | undefined }
  /** A login has happened since the change began. */
  | { readonly outcome: 'superseded' }

/**
 * Where sessions live. A store knows keys, never tokens, and decides nothing about time beyond cleaning.
 *
 * - Every method may be called at once for one session from any number of nodes; what one `apply` does is atomic.
 * - After `apply`, `end` or `install` has resolved, a `read` that starts later, on any node, sees it. A store with copies
 *   on its nodes may be behind with what `apply` did, by a lease of at most 1 s, for a `read` that neither asks for that
 *   version nor is `fresh`; but never with an end, a login, a `rotate` or a `confirm`.
 * - A method that rejects may or may not have taken effect. Sending the same change again is harmless.
 * - It rejects with `StoreUnavailableError` when the store cannot be reached; it never answers "no such session" instead.
 * - The engine calls no method but `close` before `ready` has resolved, and puts its own deadline on each call.
 */
export interface Store {
  /** Opens what the store needs; called again after it rejected. Rejects with the reason. */
  ready(): Promise<void>

  /** The record, or `undefined` where there is none, it was ended, or it was cleaned away. May return a session whose time is over. */
  read(key: string, options?: ReadOptions): Promise<SessionRecord | undefined>

  /**
   * The power to answer at once from memory what `read` would answer: a record that every law allows to be served at this
   * moment, or `undefined`, where `read` is to be asked. The engine changes nothing in it. Default: there is none.
   */
  copy?(key: string, atLeast?: Version): SessionRecord | undefined

  /** Applies a change. The rules are `applyChange` in `change.ts`; a store that has its own (a script) is tested against it. */
  apply(change: Change, carried?: Carried): Promise<ChangeResult>

  /** Ends a session and leaves the tombstone, at once as one step. Ending twice succeeds: the second answers `gone`. */
  end(end: End, carried?: Carried): Promise<EndResult>

  /** Puts in a whole record if there is none or an older one, and no tombstone; or a tombstone. For handover, repair and moving between stores. */
  install(whole: SessionRecord | Tombstone): Promise<void>

  /**
   * The power of a store whose sessions travel with their clients: `read`, `apply` and `end` are given what the client
   * presented. Default: the store keeps the sessions.
   */
  readonly carried?: CarriedSessions

  /** The power to take over, and to keep up, sessions of another library in the same place. Default: there are none. */
  readonly oldSessions?: OldSessions

  /** The power to find the sessions of a user. Default: `list` and `maxSessionsPerUser` are refused, and `revokeUser` without {@link endUser}. */
  readonly users?: UserSessions

  /** The power to end every session of a user that began before `now`, where nobody can find them. Default: {@link users}. */
  endUser?(user: string, now: number): Promise<void>

  /** The power to end every session that began before `now`. Default: `revokeAll` is refused as `unsupported`. */
  endAll?(now: number): Promise<void>

  /**
   * The power to tell of ends: this process goes on with the session after its request, as a WebSocket does, and from now
   * on is told of its end by {@link StoreContext.ended}, on whichever node it ends, until it calls the result (which it may
   * do more than once). At least once: after a lost connection the store asks again. Of a login it is told by
   * {@link StoreContext.tokensChanged}, once at most. Default: whoever goes on with a session reads it now and then.
   */
  hold?(key: string): () => void

  /** What the store counts by itself. Default: nothing. */
  readonly stats?: StoreStats

  /** Rejects while the store cannot serve. For probes. */
  check(): Promise<void>

  /**
   * Closes what `ready` opened, and nothing that the store was given. Closing twice succeeds.
   *
   * @param deadlineMs longest time for handing over what others are to go on with, where the store does that
   */
  close(deadlineMs?: number): Promise<void>
}

/** What a store counts by itself, as part of `sessions.stats()`. */
export interface StoreStats {
  /** Its connection to the server that keeps the sessions. */
  readonly connection?: ConnectionStats
  readonly nearCache?: NearCacheStats
  /** Changes that waited for a replica of the server that keeps the sessions, and were answered with one that has them or without. */
  readonly replication?: { readonly confirmed: number; readonly unconfirmed: number }
}

export interface ConnectionStats {
  /** `away`: there is no connection. `silent`: there is one, and no answers (in a Cluster, of some master). In both, calls are refused at once after a while. */
  readonly state: 'ready' | 'away' | 'silent' | 'closed'
  /** Calls under way, those included that were given up and may still be answered. */
  readonly calls: number
  /** Calls that were refused without being sent, since the start. */
  readonly refused: number
  /** How often the server went away or fell silent, since the start. */
  readonly outages: number
}

export interface ReadOptions {
  /** The client has seen this version: an older copy will not do. A store that has only one copy ignores it. */
  readonly atLeast?: Version
  /** No copy will do, however new: the answer decides over more than this request. */
  readonly fresh?: boolean
  /** What the client carries; given to a store that has {@link Store.carried}, which knows no session without it. */
  readonly carried?: Carried
}

/** The copies of sessions that a node keeps of a shared store. */
export interface NearCacheStats {
  /** Why this node keeps no copies. */
  readonly off?: string
  /** Copies, those of "no such session" included, and the bytes that they are taken to need. */
  readonly copies: number
  readonly bytes: number
  /** Reads that a copy served, and those that went to the store. */
  readonly hits: number
  readonly misses: number
  /** Reads that a copy was there for, while no lease was. */
  readonly lapses: number
  /** Reads that a copy served past its lease, while the store was away. */
  readonly stale: number
  /** Copies that were dropped since another node changed the session, and times that all were. */
  readonly invalidations: number
  readonly flushes: number
  /** Copies that followed a change by this node. */
  readonly patches: number
}

/** What a store function such as `redisStore()` returns: a description that opens nothing. */
export interface StoreDefinition {
  /** For logs and `health()`: `memory`, `sqlite`, `redis`, … */
  readonly name: string
  /** Whether other processes see the sessions. Default: `true`. */
  readonly shared?: boolean
  /** Makes the store, still closed. Called once by `createSessions`. */
  open(context: StoreContext): Store
}

/** What `createSessions` gives to the store that it opens. */
export interface StoreContext {
  readonly keyRing: KeyRing
  readonly clock: Clock
  readonly logger: Logger
  /** Longest time of one store call, in milliseconds. */
  readonly deadlineMs: number
  /** No session outlives its creation or last login by more, in milliseconds; may be `Infinity`. */
  readonly absoluteTimeoutMs: number
  /** How the cookies of these sessions are set. */
  readonly cookie: CookiePolicy
  /** Tells that the store dropped a session by itself before its time, as memory does under pressure. */
  dropped(key: string): void
  /** Tells that a session which this process holds has ended, through whichever node. Once or more often; told on once. */
  ended(key: string, user: string | null, reason: EndReason): void
  /** Tells that through another node a login may have superseded tokens of a session which this process holds. */
  tokensChanged(key: string): void
  /** Raises an event that is about the store and no session. */
  raise<N extends StoreEventName>(name: N, event: SessionEvents[N]): void
}

/** Time, so that tests can turn it. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. */
  now(): number
}

/** The methods of pino (and of most loggers) that Sojourn calls. */
export interface Logger {
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
  error(facts: object, message: string): void
}
