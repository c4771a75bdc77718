import type { UserEntry } from '../../../core/index.ts'
import type { Ballot } from '../protocol/messages.ts'

/*
 * What nodes say to each other about the sessions of a user, since version 1.1. It goes beside the protocol, which knows
 * nothing of it.
 */

/** Asks a node for the sessions of a user that it holds, as owner, as backup, or since they are still to be handed over. */
export interface UserQuestion {
  readonly type: 'findUser'
  /** Of the view in which it is asked. */
  readonly view: Ballot
  /** The asking node's own number. */
  readonly request: number
  readonly user: string
  /** Where to go on: 0, or what the answer before said. */
  readonly cursor: number
}

/** Some of what a node holds. */
export interface UserAnswer {
  readonly type: 'foundUser'
  readonly request: number
  /** The node is not in the view of the question, so that the asking node has to begin again. */
  readonly isWrongView: boolean
  /** It has begun to drop what it had handed over in this view. */
  readonly hasDropped: boolean
  /** Where to go on; 0: there is no more. */
  readonly next: number
  readonly entries: readonly UserEntry[]
}

export type UserMessage = UserQuestion | UserAnswer
