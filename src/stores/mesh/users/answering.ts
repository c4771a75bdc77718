import { setImmediate as nextTurn } from 'node:timers/promises'
import type { UserEntry } from '../../../core/index.ts'
import { type NodeId, same } from '../protocol/messages.ts'
import type { Whereabouts } from '../protocol/node.ts'
import type { EncodedRecords } from '../records.ts'
import { ANSWER_KEYS, QUESTIONS_MAX } from './limits.ts'
import type { UserAnswer, UserQuestion } from './messages.ts'

export interface AnsweringOptions {
  /** What this node holds, now. */
  records(): EncodedRecords
  /** Of this node, now. */
  whereabouts(): Whereabouts | undefined
}

/** Tells what this node holds of a user's sessions, a bounded piece in each turn of the event loop. */
export class Answering {
  readonly #options: AnsweringOptions
  readonly #underWay = new Set<string>()

  constructor(options: AnsweringOptions) {
    this.#options = options
  }

  /** Answers a peer, unless it has asked the same already or too much is asked. */
  async receive(from: NodeId, question: UserQuestion, send: (answer: UserAnswer) => void): Promise<void> {
    const name = `${from} ${question.request}`
    if (this.#underWay.has(name) || this.#underWay.size >= QUESTIONS_MAX) return
    this.#underWay.add(name)
    try {
      send(await this.answer(question))
    } finally {
      this.#underWay.delete(name)
    }
  }

  /** A node that has left the view of the question can never come back to it, so that it is looked at only at the end. */
  async answer({ view, request, user, cursor }: UserQuestion): Promise<UserAnswer> {
    const entries: UserEntry[] = []
    let next: number | undefined = cursor
    while (next !== undefined && entries.length < ANSWER_KEYS && this.#whereaboutsIn(view)) {
      if (next !== cursor) await nextTurn()
      next = this.#options.records().searchUser(user, next, (entry) => entries.push(entry))
    }
    const whereabouts = this.#whereaboutsIn(view)
    const hasDropped = whereabouts?.hasDropped ?? false
    const type = 'foundUser'
    if (!whereabouts) return { type, request, isWrongView: true, hasDropped, next: 0, entries: [] }
    return { type, request, isWrongView: false, hasDropped, next: next ?? 0, entries }
  }

  #whereaboutsIn(view: UserQuestion['view']): Whereabouts | undefined {
    const whereabouts = this.#options.whereabouts()
    return whereabouts && same(whereabouts.view, view) ? whereabouts : undefined
  }
}
