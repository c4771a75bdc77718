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
} from '../../src/core/index.ts'

/** What the nodes share. */
export class Shelf {
  readonly records = new Map<string, SessionRecord>()
  readonly ended = new Set<string>()
}

/** One node's view of a shelf. A fault is a subclass that does one thing wrong. */
export class RulesStore implements Store {
  protected readonly shelf: Shelf

  constructor(shelf: Shelf) {
    this.shelf = shelf
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

/** A definition whose nodes share one shelf, each with a view of its own. */
export function rulesStore(shelf: Shelf = new Shelf(), View: typeof RulesStore = RulesStore): StoreDefinition {
  return { name: 'rules', open: () => new View(shelf) }
}

/** As over a network, nothing is done at once. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
