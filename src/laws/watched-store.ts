import { inspect } from 'node:util'
import type {
  Carried,
  CarriedSessions,
  Change,
  ChangeResult,
  End,
  EndResult,
  ReadOptions,
  SessionRecord,
  Store,
  StoreContext,
  StoreDefinition,
  Tombstone,
  UserSessions,
} from '../core/index.ts'
import type { Barriers } from './steps.ts'

/** What is to happen to the next `apply` of a node. */
export interface ApplyPlan {
  /** Waits here before the store is asked. */
  readonly before?: string
  /** Waits here after the store has answered. */
  readonly after?: string
  /** Sends the change twice, as a client library does that lost the answer; after the waits, and takes the second answer. */
  readonly resend?: boolean
}

const CHANGES_MAX = 10_000

/** The store of a law node: passes everything on, remembers what the store was given, and waits or repeats as planned. */
export class WatchedStore implements Store {
  readonly plans: ApplyPlan[] = []
  readonly changes: (readonly [Change, Carried | undefined])[] = []
  readonly carried?: CarriedSessions
  readonly copy?: NonNullable<Store['copy']>
  readonly given: string[] = []
  readonly hold?: (key: string) => () => void
  readonly users?: UserSessions
  readonly #store: Store
  readonly #barriers: Barriers

  constructor(store: Store, barriers: Barriers) {
    this.#store = store
    this.#barriers = barriers
    if (store.carried) this.carried = store.carried
    if (store.users) this.users = store.users
    if (store.hold) this.hold = (key) => store.hold?.(key) ?? (() => {})
    if (store.copy) this.copy = store.copy.bind(store)
  }

  ready(): Promise<void> {
    return this.#store.ready()
  }

  read(key: string, options?: ReadOptions): Promise<SessionRecord | undefined> {
    this.#note('read', key)
    return options ? this.#store.read(key, options) : this.#store.read(key)
  }

  async apply(change: Change, carried?: Carried): Promise<ChangeResult> {
    this.#note('apply', [change, carried])
    if (this.changes.length < CHANGES_MAX) this.changes.push([change, carried])
    const plan = this.plans.shift()
    if (plan?.before !== undefined) await this.#barriers.meet(plan.before)
    const result = await this.#store.apply(change, carried)
    if (plan?.after !== undefined) await this.#barriers.meet(plan.after)
    return plan?.resend ? this.#store.apply(change, carried) : result
  }

  end(end: End, carried?: Carried): Promise<EndResult> {
    this.#note('end', [end, carried])
    return this.#store.end(end, carried)
  }

  install(whole: SessionRecord | Tombstone): Promise<void> {
    this.#note('install', whole)
    return this.#store.install(whole)
  }

  check(): Promise<void> {
    return this.#store.check()
  }

  close(deadlineMs?: number): Promise<void> {
    return this.#store.close(deadlineMs)
  }

  /** Sends every change of a session that this node has ever sent again: in their order, then the last one first. */
  async replay(key: string): Promise<void> {
    const changes = this.changes.filter(([change]) => change.key === key)
    for (const [change, carried] of [...changes, ...changes.toReversed()]) await this.#store.apply(change, carried)
  }

  #note(call: string, argument: unknown): void {
    if (this.given.length < CHANGES_MAX) this.given.push(`${call} ${inspect(argument, { depth: 10 })}`)
  }
}

/** The definition with its store watched; `opened` is told of the one that was opened. */
export function watched(
  definition: StoreDefinition,
  barriers: Barriers,
  opened: (store: WatchedStore) => void,
): StoreDefinition {
  return {
    ...definition,
    open(context: StoreContext) {
      const store = new WatchedStore(definition.open(context), barriers)
      opened(store)
      return store
    },
  }
}
