import { setTimeout as sleep } from 'node:timers/promises'
import { StoreUnavailableError, type UserEntry } from '../../../core/index.ts'
import { type Ballot, type NodeId, same } from '../protocol/messages.ts'
import type { Whereabouts } from '../protocol/node.ts'
import { FINDS_USERS_MINOR } from '../wire/limits.ts'
import { Answering, type AnsweringOptions } from './answering.ts'
import { RESEND_MS, RETRY_MS } from './limits.ts'
import type { UserAnswer, UserMessage, UserQuestion } from './messages.ts'

export interface SearchOptions extends AnsweringOptions {
  /** This node's id, now. */
  self(): NodeId
  /** Whether this node may serve, now. @throws StoreUnavailableError where it will not any more */
  isServing(): boolean
  send(to: NodeId, message: UserMessage): void
  /** The minor version that a peer speaks; `undefined` while no connection stands with it. */
  minorOf(peer: NodeId): number | undefined
  /** Longest time for one batch. */
  readonly deadlineMs: number
}

/** What was asked of a peer, and not answered yet. */
interface Asked {
  readonly to: NodeId
  readonly question: UserQuestion
  readonly settle: (answer: UserAnswer | undefined) => void
  sentAtMs: number
}

/**
 * Finds the sessions of a user wherever in the mesh they are.
 *
 * Everybody in the present view is asked for what he holds, as owner, as backup or since he has not handed it over yet, and
 * who asked removes what came twice. So a session is missed only if nobody held it, or if it moved: a node that was asked
 * before it was given a session, and one that was asked after it had dropped it. A node drops something only when
 * everybody has handed over everything, and says so in its answer; then all are asked once more, and from then on each
 * session stays with its owner for as long as the view lasts. With a new view, everything is asked again.
 */
export class UserSearch {
  readonly #options: SearchOptions
  readonly #answering: Answering
  readonly #asked = new Map<number, Asked>()
  #request = 0

  constructor(options: SearchOptions) {
    this.#options = options
    this.#answering = new Answering(options)
  }

  /**
   * The keys of a user's sessions in batches, each once: of all in which he was logged in before the call, and of some in
   * which he is no more.
   *
   * @throws StoreUnavailableError where not everybody has answered in time, so that some might be missing
   */
  async *find(user: string): AsyncGenerator<readonly UserEntry[], void> {
    const seen = new Set<string>()
    let deadlineMs = this.#deadline()
    /** The view in which everybody is known to have handed over everything. */
    let settledIn: Ballot | undefined
    for (;;) {
      const { view, holders, isSettled } = await this.#begin(deadlineMs)
      if (isSettled) settledIn = view
      const cursors = new Map(holders.map((id) => [id, 0]))
      let hasDropped = false
      while (cursors.size > 0) {
        const answers = await this.#askAll(view, user, cursors, deadlineMs)
        if (!answers) break
        const batch: UserEntry[] = []
        for (const [id, answer] of answers) {
          hasDropped ||= answer.hasDropped
          if (answer.next === 0) cursors.delete(id)
          else cursors.set(id, answer.next)
          for (const entry of answer.entries) {
            if (seen.has(entry.key)) continue
            seen.add(entry.key)
            batch.push(entry)
          }
        }
        if (batch.length === 0) continue
        yield batch
        deadlineMs = this.#deadline()
      }
      if (cursors.size > 0) await this.#pause(deadlineMs, 'its nodes change their view')
      else if (!hasDropped || (settledIn && same(settledIn, view))) return
      else settledIn = view
    }
  }

  receive(from: NodeId, message: UserMessage): void {
    if (message.type === 'findUser') {
      void this.#answering.receive(from, message, (answer) => this.#options.send(from, answer))
      return
    }
    const asked = this.#asked.get(message.request)
    if (asked?.to === from) this.#settle(asked, message)
  }

  /** Called from time to time: asks again what was not answered, and gives up what nobody can answer any more. */
  tick(): void {
    const now = performance.now()
    const whereabouts = this.#options.whereabouts()
    for (const asked of this.#asked.values()) {
      const { to, question } = asked
      const isAwaited = whereabouts && same(whereabouts.view, question.view) && whereabouts.holders.includes(to)
      if (!isAwaited) this.#settle(asked, undefined)
      else if (now - asked.sentAtMs >= RESEND_MS) this.#send(asked)
    }
  }

  #deadline(): number {
    return performance.now() + this.#options.deadlineMs
  }

  /** Waits until everybody who is to be asked can be. */
  async #begin(deadlineMs: number): Promise<Whereabouts> {
    for (;;) {
      const whereabouts = this.#options.isServing() ? this.#options.whereabouts() : undefined
      const why = whereabouts ? this.#obstacle(whereabouts) : 'it is between two views'
      if (whereabouts && !why) return whereabouts
      await this.#pause(deadlineMs, why ?? '')
    }
  }

  /** Why not everybody who may hold a session can be asked. */
  #obstacle({ holders, isMissingSome }: Whereabouts): string | undefined {
    if (isMissingSome) return 'some may be on nodes that are away'
    for (const id of holders) {
      const minor = id === this.#options.self() ? FINDS_USERS_MINOR : this.#options.minorOf(id)
      if (minor === undefined) return 'a node is not connected'
      if (minor < FINDS_USERS_MINOR) return 'a node runs a version that cannot tell them yet; update it'
    }
    return undefined
  }

  async #pause(deadlineMs: number, why: string): Promise<void> {
    if (performance.now() >= deadlineMs) throw unknown(why)
    await sleep(RETRY_MS)
  }

  /** What everybody answers; nothing where one of them cannot answer in this view any more. */
  async #askAll(
    view: Ballot,
    user: string,
    cursors: ReadonlyMap<NodeId, number>,
    deadlineMs: number,
  ): Promise<readonly (readonly [NodeId, UserAnswer])[] | undefined> {
    const answers = await Promise.all(
      [...cursors].map(async ([id, cursor]) => {
        this.#request += 1
        const question = { type: 'findUser', view, request: this.#request, user, cursor } as const
        return [id, await this.#ask(id, question, deadlineMs)] as const
      }),
    )
    const good = answers.filter((entry): entry is [NodeId, UserAnswer] => entry[1]?.isWrongView === false)
    return good.length === answers.length ? good : undefined
  }

  #ask(to: NodeId, question: UserQuestion, deadlineMs: number): Promise<UserAnswer | undefined> {
    if (to === this.#options.self()) return this.#answering.answer(question)
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#asked.delete(question.request)
        reject(unknown('a node has not answered in time'))
      }
      const timer = setTimeout(giveUp, Math.max(0, deadlineMs - performance.now()))
      const settle = (answer: UserAnswer | undefined): void => {
        clearTimeout(timer)
        resolve(answer)
      }
      const asked = { to, question, settle, sentAtMs: 0 }
      this.#asked.set(question.request, asked)
      this.#send(asked)
    })
  }

  #send(asked: Asked): void {
    asked.sentAtMs = performance.now()
    this.#options.send(asked.to, asked.question)
  }

  #settle(asked: Asked, answer: UserAnswer | undefined): void {
    if (this.#asked.delete(asked.question.request)) asked.settle(answer)
  }
}

function unknown(why: string): StoreUnavailableError {
  return new StoreUnavailableError(`the mesh cannot tell all sessions of a user: ${why}`)
}
