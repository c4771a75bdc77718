import type { Ballot, Holding, Member, Message, NodeId, Operation, Outcome, View } from './messages.ts'

/** What a mesh node is given when it starts. Everything that is not a pure function of its inputs comes from here. */
export interface MeshNodeOptions {
  readonly self: Member
  readonly copies: number | 'all'
  readonly ack: 'backup' | 'all'
  readonly onPartition: 'serve' | 'majority'
  readonly minCopies: number
  /** How many nodes the fleet is meant to have: what a majority is of before there was a view. */
  readonly expectedNodes: number
  /**
   * The addresses of peers of which nothing is known now: no connection stands, and they do not refuse one either. With
   * `majority`, a fleet may live there that cannot be heard, so that no other is begun.
   */
  readonly unreached: () => readonly string[]
  /** A number from 0 to 1, from a seeded or a real source. */
  readonly random: () => number
  readonly records: RecordMap
}

/** Where a node keeps its records: the slab, or a Map in the simulator. */
export interface RecordMap {
  get(key: string): Holding | undefined
  set(key: string, holding: Holding): void
  delete(key: string): void
  /** Calls back for some entries from `cursor` on and returns the next cursor, or `undefined` at the end. What was there all the time is never missed. */
  scan(cursor: number, count: number, visit: (key: string, holding: Holding) => void): number | undefined
  readonly size: number
  /** Whether nothing that takes more room should come: what others have acknowledged is kept all the same. */
  readonly isFull: boolean
}

/**
 * `left`: it may close. `lost`: so many of its view are dead that, with `majority`, none can follow it; nothing is served
 * any more, and it has to begin anew, with another id and without records. `underReplicated`: it acknowledges changes that
 * have no backup.
 */
export type MeshEventName = 'view' | 'underReplicated' | 'left' | 'lost'

/** What a node wants done. */
export type Effect =
  | { readonly kind: 'send'; readonly to: NodeId; readonly message: Message }
  /** An operation that was given to {@link MeshNode.request} is finished. */
  | { readonly kind: 'outcome'; readonly request: number; readonly outcome: Outcome }
  | { readonly kind: 'event'; readonly name: MeshEventName; readonly view: View }

/** Who may hold a session in a view, for who looks for sessions by something else than their keys. */
export interface Whereabouts {
  readonly view: Ballot
  /** Who together hold every session that is served in it: its members, this node among them, and those who leave and hand over. */
  readonly holders: readonly NodeId[]
  /** As far as this node has heard, every session is where it belongs: what is dropped now nobody needs. */
  readonly isSettled: boolean
  /** Whether this node has begun to drop what belongs elsewhere: then everybody had handed over everything before. */
  readonly hasDropped: boolean
  /** Whether sessions may be with nobody but nodes that are away, so that they are not served until those are back. */
  readonly isMissingSome: boolean
}

/**
 * One node of the mesh as a state machine. No timers and no sockets: each call is given the time (monotonic milliseconds
 * of this process) and answers what is to be done. {@link tick} is called at least every 50 ms.
 */
export interface MeshNode {
  readonly view: View
  /** Where the sessions are in this view; `undefined` for a node that is in none, or that has left it for the next. */
  readonly whereabouts: Whereabouts | undefined
  /** Whether it would serve a key that it owns, now. */
  isServing(nowMs: number): boolean
  /** A connection to a peer stands (its hello was received), or has ended; `refused`: its address refuses connections. */
  connected(nowMs: number, peer: Member): Effect[]
  disconnected(nowMs: number, peer: NodeId, refused: boolean): Effect[]
  receive(nowMs: number, from: NodeId, message: Message): Effect[]
  /** Starts an operation of this node's own clients. Ends in exactly one `outcome`, unless it is given up. */
  request(nowMs: number, request: number, operation: Operation): Effect[]
  /** Its caller's deadline has passed: the outcome is of no interest any more. */
  giveUp(request: number): void
  tick(nowMs: number): Effect[]
  /** Hands over and leaves; the event `left` says when it may close. */
  leave(nowMs: number): Effect[]
}
