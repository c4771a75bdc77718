import type {
  Change,
  ChangeResult,
  End,
  EndResult,
  SessionRecord,
  StoredField,
  Tombstone,
} from '../../../core/index.ts'
import type { Version } from '../../../token/index.ts'

/** Drawn at random by a node at each start: 11 characters of base64url. */
export type NodeId = string

/** A node as the others know it. */
export interface Member {
  readonly id: NodeId
  /** `host:port`. */
  readonly address: string
  /** Copies of a session are spread over zones where there are several. */
  readonly zone: string
}

/** Orders proposals: by number, then by id. */
export interface Ballot {
  readonly number: number
  readonly id: NodeId
}

export function same(a: Ballot, b: Ballot): boolean {
  return a.number === b.number && a.id === b.id
}

/** Who keeps the sessions, from one agreement to the next. */
export interface View {
  readonly ballot: Ballot
  /** Incarnation of the versions that are written in it. */
  readonly incarnation: number
  /** In the order of their ids. */
  readonly members: readonly Member[]
  /** Members of the view before that still hand their sessions over. */
  readonly leaving: readonly Member[]
  /** The view from which every member that held anything comes; `null` where they come from several, as after a partition. */
  readonly previous: Ballot | null
  /** The members of earlier views from which not everything was seen handed over when this view was decided. */
  readonly placements: readonly (readonly Member[])[]
  /** Members that earlier views lost without a handover, and that may come back with what they hold. */
  readonly losses: readonly Loss[]
}

/** Who was in a view, and who of them is away since, or came back with nothing. */
export interface Loss {
  readonly members: readonly Member[]
  readonly away: readonly NodeId[]
  readonly dead: readonly NodeId[]
}

/** What a node holds under a key. */
export type Holding = SessionRecord | Tombstone

/** What a client of the store asks; sent on to the owner as it is. */
export type Operation =
  | { readonly kind: 'read'; readonly key: string; readonly atLeast?: Version }
  | { readonly kind: 'apply'; readonly key: string; readonly change: Change }
  | { readonly kind: 'end'; readonly key: string; readonly end: Omit<End, 'reason'> }
  | { readonly kind: 'install'; readonly key: string; readonly whole: Holding }

/** What came of an {@link Operation}. */
export type Outcome =
  | { readonly kind: 'read'; readonly record: SessionRecord | undefined }
  | { readonly kind: 'apply'; readonly result: ChangeResult }
  | { readonly kind: 'end'; readonly result: EndResult }
  | { readonly kind: 'install' }
  /** This node does not serve the key now (no lease, another view, not the owner): ask again, in the present view. */
  | { readonly kind: 'retry' }
  /** With fewer copies alive than `minCopies`. */
  | { readonly kind: 'underReplicated' }
  /** The owner or a backup has no room for a session more, or a larger one. */
  | { readonly kind: 'full' }

/** A part of a record that changed, for a backup that holds the version before. */
export interface Delta {
  readonly base: Version
  /** Everything but the fields; of the operations, those that the version before does not have. */
  readonly meta: Omit<SessionRecord, 'fields'>
  readonly fields: ReadonlyMap<string, StoredField>
}

/** The version of a record that a node holds; absent for a tombstone. */
export interface Digest {
  readonly key: string
  readonly version?: Version
}

/** Everything that nodes say to each other. `view` is the ballot of the sender's installed view. */
export type Message =
  /** First on each connection, both ways. */
  | {
      readonly type: 'hello'
      readonly member: Member
      readonly major: number
      readonly minor: number
      readonly wallClockMs: number
    }
  /** `sentAt` is the sender's own clock, echoed, so that its lease counts from the sending. `hears`: the peers that it has heard within a lease. `isSettled`: it has offered all that it holds to the owners of this view. `isFull`: it has no room for more. */
  | {
      readonly type: 'heartbeat'
      readonly view: Ballot
      readonly sentAt: number
      readonly hears: readonly NodeId[]
      readonly isLeaving: boolean
      readonly isSettled: boolean
      readonly isFull: boolean
    }
  | { readonly type: 'heartbeatAnswer'; readonly view: Ballot; readonly sentAt: number; readonly granted: boolean }
  | { readonly type: 'propose'; readonly view: View }
  /** `settled`: who in the view `installed`, members and leaving, is known to have handed over all that it held. */
  | {
      readonly type: 'accept'
      readonly ballot: Ballot
      readonly installed: View
      readonly accepted: readonly View[]
      readonly settled: readonly NodeId[]
    }
  /** Not accepted: `ballot` is the highest seen; `installed` the sender's view, if that is newer than the proposer's. */
  | { readonly type: 'refuse'; readonly ballot: Ballot; readonly seen: Ballot; readonly installed: View }
  | { readonly type: 'install'; readonly view: View }
  /** An operation for the owner, and its outcome. `request` is the asking node's own number. */
  | { readonly type: 'ask'; readonly view: Ballot; readonly request: number; readonly operation: Operation }
  | { readonly type: 'answer'; readonly request: number; readonly outcome: Outcome }
  /** The owner to its backups. `isSure`: it knows all that was acknowledged, so that the copy may be served. */
  | {
      readonly type: 'replicate'
      readonly view: Ballot
      readonly request: number
      readonly key: string
      readonly isSure: boolean
      readonly delta?: Delta
      readonly whole?: Holding
    }
  | { readonly type: 'replicated'; readonly request: number; readonly state: 'kept' | 'needsWhole' | 'wrongView' }
  /** An unsure owner to everybody, and what they hold. */
  | { readonly type: 'fetch'; readonly view: Ballot; readonly request: number; readonly key: string }
  | { readonly type: 'holding'; readonly request: number; readonly holding?: Holding; readonly isWrongView?: boolean }
  /** Background: what a node holds and the owner may lack. Acknowledged, so that a leaving node knows when it may go. */
  | { readonly type: 'offer'; readonly view: Ballot; readonly request: number; readonly holdings: readonly Holding[] }
  | { readonly type: 'offered'; readonly request: number; readonly isWrongView?: boolean }
  /** Repair: what an owner holds, to a backup; and what that lacks of it. Neither is sent again: the next pass finds it. */
  | { readonly type: 'digest'; readonly view: Ballot; readonly entries: readonly Digest[] }
  | { readonly type: 'lacks'; readonly view: Ballot; readonly keys: readonly string[] }

export type MessageType = Message['type']
