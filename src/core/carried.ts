import type { SessionRecord } from './record.ts'

/** A session as its client carries it. A store keeps more beside the record in objects of its own. */
export interface Carried {
  readonly record: SessionRecord
}

/** What a client presents beside its token. */
export type CarriedReading =
  | { readonly kind: 'valid'; readonly carried: Carried }
  /** Nothing. */
  | { readonly kind: 'none' }
  /** Forged, mangled, incomplete, or of another session. */
  | { readonly kind: 'refused' }
  /** Of a secret that this node does not know. */
  | { readonly kind: 'unknownSecret' }

/** A session of another library, taken over where the client has none of ours. */
export interface Adoption {
  readonly data: object
  /** Logged in there; what can be no user here is nobody. */
  readonly user?: string
}

/**
 * The power of a store whose sessions travel with their clients: the engine hands it what the client presented with
 * each call (`carried`), and sends the client what an applied change answers.
 *
 * What it reads is authentic and the client's own, and may be older than what the client was last sent.
 */
export interface CarriedSessions {
  /** Whether tokens can be rotated, which needs a memory of the one that was used last. */
  readonly rotates: boolean

  /**
   * @param generation that of the presented token
   * @param header the Cookie header
   */
  read(key: string, generation: number, header: string): CarriedReading

  /**
   * The Set-Cookie headers that make the client carry this session, and no part of another that it presented; without a
   * session, those that make it forget what it presented.
   *
   * @param header the Cookie header of the request
   * @param lifeMs until the session's absolute end
   */
  toSetCookies(carried: Carried | undefined, header: string, lifeMs: number): string[]

  /** A session of another library in this Cookie header. Its cookies are then forgotten with {@link toSetCookies}. */
  adopt?(header: string): Adoption | undefined
}
