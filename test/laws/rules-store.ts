/** The plainest store: the rules on a Map, one step of the event loop away. It stands for every store where faults are tried. */

import {
  applyChange,
  type Change,
  type ChangeResult,
  type End,
  type EndResult,
  isTombstone,
  type ReadOptions,
  type SessionRecord,
  type Store,
  type StoreDefinition,
  takesPlace,
  type Tombstone,
  type UserEntry,
  type UserLogin,
  type UserPage,
  type UserSessions,
} from '../../src/core/index.ts'

/** What the nodes share. */
export class Shelf {
  readonly records = new Map<string, SessionRecord>()
  readonly ended = new Set<string>()
  readonly epochs = new Map<string, string>()
}

/** One node's view of a shelf. A fault is a subclass that does one thing wrong. */
export class RulesStore implements Store {
  readonly users: UserSessions
  protected readonly shelf: Shelf

  constructor(shelf: Shelf) {
    this.shelf = shelf
    this.users = new RulesUsers(shelf)
  }

  async ready(): Promise<void> {}
  async check(): Promise<void> {}
  async close(): Promise<void> {}

  async read(key: string, _options?: ReadOptions): Promise<SessionRecord | undefined> {
    await turn()
    return this.shelf.records.get(key)
  }

  async apply(change: Change): Promise<ChangeResult> {
    await turn()
    const { result, record } = this.rules(this.shelf.records.get(change.key), this.shelf.ended.has(change.key), change)
    if (record) this.shelf.records.set(change.key, record)
    return result
  }

  async end(end: End): Promise<EndResult> {
    await turn()
    const record = this.shelf.records.get(end.key)
    if (record && end.generation !== undefined && end.generation < record.floor) return 'superseded'
    this.bury(end.key)
    return record ? 'ended' : 'gone'
  }

  async install(whole: SessionRecord | Tombstone): Promise<void> {
    await turn()
    if (isTombstone(whole)) this.bury(whole.key)
    else if (takesPlace(this.shelf.records.get(whole.key), this.shelf.ended.has(whole.key), whole)) {
      this.shelf.records.set(whole.key, whole)
    }
  }

  protected rules(record: SessionRecord | undefined, ended: boolean, change: Change): ReturnType<typeof applyChange> {
    return applyChange(record, ended, change)
  }

  protected bury(key: string): void {
    this.shelf.records.delete(key)
    this.shelf.ended.add(key)
  }
}

/** One node's view of the users of a shelf, found by their records. */
export class RulesUsers implements UserSessions {
  protected readonly shelf: Shelf

  constructor(shelf: Shelf) {
    this.shelf = shelf
  }

  async enter({ user }: UserLogin): Promise<string> {
    await turn()
    return this.shelf.epochs.get(user) ?? ''
  }

  async settle(login: UserLogin, epoch: string): Promise<boolean> {
    return (await this.enter(login)) === epoch
  }

  async advance(user: string): Promise<void> {
    await turn()
    this.shelf.epochs.set(user, `${this.shelf.epochs.get(user) ?? ''}+`)
  }

  async list(user: string, _options: { limit: number; after?: string }): Promise<UserPage> {
    await turn()
    const records = [...this.shelf.records.values()].filter((record) => record.user === user)
    return { entries: records.map(({ key, startedAt: at }) => ({ key, at })) }
  }

  async seat(): Promise<boolean> {
    return true
  }

  async seated(): Promise<readonly UserEntry[]> {
    return []
  }
}

/** A definition whose nodes share one shelf, each with a view of its own. */
export function rulesStore(shelf: Shelf = new Shelf(), View: typeof RulesStore = RulesStore): StoreDefinition {
  return { name: 'rules', open: () => new View(shelf) }
}

/** As over a network, nothing is done at once. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
