import {
  type Application,
  applyChange,
  type Change,
  type ChangeResult,
  type End,
  type EndResult,
  type SessionRecord,
  type Store,
  type StoreContext,
  USE_FIELD,
} from '../../core/index.ts'
import { isKey } from '../../token/index.ts'
import { EndFeed, type FeedSettings } from './end-feed.ts'
import type { Generations } from './ends.ts'
import type { Payload } from './payload.ts'

/** A session that a client carries, with the generation of the token that came with it. */
export interface Presented extends Payload {
  readonly generation: number
}

/** What the fleet knows of sealed sessions: which have ended, and which tokens of the others are good. */
export class Revocations {
  readonly #store: Store
  readonly #feed: EndFeed

  constructor(store: Store, settings: FeedSettings, context: StoreContext) {
    this.#store = store
    this.#feed = new EndFeed(store, settings, context)
  }

  async open(): Promise<void> {
    await this.#store.ready()
    await this.#feed.open()
  }

  async check(): Promise<void> {
    await this.#feed.fresh()
    await this.#store.check()
  }

  async close(deadlineMs?: number): Promise<void> {
    this.#feed.close()
    await this.#store.close(deadlineMs)
  }

  /** To be awaited, where it is a promise, before anything is asked. @throws StoreUnavailableError */
  fresh(): Promise<void> | undefined {
    return this.#feed.fresh()
  }

  get epoch(): number {
    return this.#feed.epoch
  }

  isEnded(key: string): boolean {
    return this.#feed.ends.isEnded(key)
  }

  /** The session with its tokens as the fleet knows them; `undefined` where it has ended. */
  present({ record, epoch, generation: presented }: Presented): SessionRecord | undefined {
    const { ends } = this.#feed
    if (ends.isEnded(record.key) || ends.isOver(record.user, epoch)) return undefined
    const known = ends.generationsOf(record.key)
    if (!known) return record
    const { generation, pending, floor, retired, use, number } = known
    // Of a token from after a login and a session from before it nothing is left; an old token is told that it is one.
    if (record.floor < floor && presented >= floor) return undefined
    if (use === null) return { ...record, generation, pending, floor, retired }
    // Its stamp is the entry that told of it, so that of two nodes that settle it one is told that it was overtaken.
    const fields = new Map(record.fields).set(USE_FIELD, { stamp: { incarnation: 0, sequence: number }, value: use })
    return { ...record, generation, pending, floor, retired, fields }
  }

  /** Applies a change that concerns tokens, in one order for all nodes. */
  async commit(
    carried: Presented,
    change: Change,
    seal: (application: Application, epoch: number) => ChangeResult,
  ): Promise<ChangeResult> {
    let isTold = false
    const result = await this.#feed.commit(change.key, () => {
      const present = this.present(carried)
      const application = applyChange(present, false, change)
      // A login is after whatever ended the user's sessions so far.
      const answer = seal(application, change.login ? this.epoch : carried.epoch)
      const { record } = application
      isTold = record !== undefined && !(present && sameGenerations(generationsOf(present), generationsOf(record)))
      if (!record || !isTold) return { answer }
      const generations = generationsOf(record)
      return { answer, entry: { kind: 'generations', at: change.now, key: change.key, generations } }
    })
    if (isTold) await this.#feed.known()
    return result
  }

  async end({ key, generation, endedAt }: End, carried: Payload | undefined): Promise<EndResult> {
    if (!isKey(key)) return 'gone' // every node would have to remember whatever text it is
    const result = await this.#feed.commit<EndResult>(key, () => {
      const { ends } = this.#feed
      if (ends.isEnded(key)) return { answer: 'gone' }
      const floor = Math.max(carried?.record.floor ?? 0, ends.generationsOf(key)?.floor ?? 0)
      if (generation !== undefined && generation < floor) return { answer: 'superseded' }
      return { answer: 'ended', entry: { kind: 'ended', at: endedAt, key } }
    })
    if (result === 'ended') await this.#feed.known()
    return result
  }

  async endUser(user: string, now: number): Promise<void> {
    await this.#feed.commit(`user ${user}`, () => ({ answer: undefined, entry: { kind: 'user', at: now, user } }))
    await this.#feed.known()
  }

  async endAll(now: number): Promise<void> {
    await this.#feed.commit('all', () => ({ answer: undefined, entry: { kind: 'all', at: now } }))
    await this.#feed.known()
  }
}

function generationsOf({ generation, pending, floor, retired, fields }: SessionRecord): Generations {
  return { generation, pending, floor, retired, use: fields.get(USE_FIELD)?.value ?? null }
}

function sameGenerations(a: Generations, b: Generations): boolean {
  return (
    a.generation === b.generation &&
    a.pending === b.pending &&
    a.floor === b.floor &&
    a.use === b.use &&
    a.retired.length === b.retired.length
  )
}
