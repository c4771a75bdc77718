import type { Version } from '../token/index.ts'

/** One field as it is stored. `value` is what the codec wrote, or `null` where the field was removed. */
export interface StoredField {
  /** The version at which it last changed. */
  readonly stamp: Version
  readonly value: string | null
}

/** What the last change of one node to a session was, and what came of it. */
export interface OperationResult {
  readonly count: number
  readonly version: Version
}

/**
 * A session as a store keeps it. Times are wall-clock milliseconds since 1970.
 *
 * Tokens of generation `generation` are current. Where `pending`, `generation + 1` was handed out and not presented
 * yet. Older ones are served until their grace ends (`retired`), and below `floor` they are from before a login.
 */
export interface SessionRecord {
  /** SHA-256 of the selector, base64url. */
  readonly key: string
  readonly version: Version
  /**
   * The last version of the incarnation before the present one, where a store can lose changes (Redis, at a failover). Who
   * has seen a later one of that incarnation has seen a change that was lost.
   */
  readonly forkedFrom?: Version
  readonly generation: number
  readonly pending: boolean
  readonly floor: number
  /** When the grace of `generation - 1`, `generation - 2`, … ends; at most {@link RETIRED_MAX}, newest first. */
  readonly retired: readonly number[]
  readonly user: string | null
  /** When the session was created, or its user logged in: the absolute timeout counts from here. */
  readonly startedAt: number
  readonly createdAt: number
  readonly lastSeenAt: number
  /** End by the policy of the node that wrote last. No change revives a session after it; a store may drop it {@link CLEANING_MARGIN_MS} later. */
  readonly expiresAt: number
  readonly fields: ReadonlyMap<string, StoredField>
  /** The last operation of each node, by the node's slot. */
  readonly operations: ReadonlyMap<string, OperationResult>
  /** A copy past its time, served since the store is away: nothing is written for it that nobody asked for. Default: `false`. */
  readonly isStale?: boolean
}

/** What is left of an ended session, so that a late `create` or an older copy does not bring it back. */
export interface Tombstone {
  readonly key: string
  readonly endedAt: number
  /** From then on the store may forget it. */
  readonly forgetAt: number
}
