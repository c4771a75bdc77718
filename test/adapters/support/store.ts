/** A store in this process whose calls a test can count, hold back, fail and hang. */

import {
  applyChange,
  isTombstone,
  type SessionRecord,
  type Store,
  type StoreDefinition,
  takesPlace,
} from '../../../src/core/index.ts'

type CallName = 'read' | 'apply' | 'end'

/** What happens to a call before it is carried out. */
type Before = (name: CallName) => void | Promise<void>

export interface TestStore extends StoreDefinition {
  readonly records: ReadonlyMap<string, SessionRecord>

  /** The names of the calls so far. */
  readonly calls: CallName[]

  /** Runs before each call from now on; may throw or wait. `undefined` ends it. */
  before: Before | undefined

  /** Holds back each `apply` from now on until it is released. */
  holdApply(): HeldApply
}

export interface HeldApply {
  /** Resolves when an `apply` waits. */
  readonly arrived: Promise<void>
  release(): void
}

export function createTestStore(): TestStore {
  const records = new Map<string, SessionRecord>()
  const ended = new Set<string>()

  async function call(name: CallName): Promise<void> {
    definition.calls.push(name)
    await definition.before?.(name)
  }

  const store: Store = {
    ready: async () => {},
    async read(key) {
      await call('read')
      return records.get(key)
    },
    async apply(change) {
      await call('apply')
      const { result, record } = applyChange(records.get(change.key), ended.has(change.key), change)
      if (record) records.set(change.key, record)
      return result
    },
    async end({ key }) {
      await call('end')
      ended.add(key)
      return records.delete(key)
    },
    async install(whole) {
      if (isTombstone(whole)) ended.add(whole.key)
      else if (takesPlace(records.get(whole.key), ended.has(whole.key), whole)) records.set(whole.key, whole)
    },
    check: async () => {},
    close: async () => {},
  }

  const definition: TestStore = {
    name: 'test',
    records,
    calls: [],
    before: undefined,
    open: () => store,
    holdApply() {
      const arrived = Promise.withResolvers<void>()
      const released = Promise.withResolvers<void>()
      definition.before = (name) => {
        if (name !== 'apply') return
        arrived.resolve()
        return released.promise
      }
      return {
        arrived: arrived.promise,
        release() {
          definition.before = undefined
          released.resolve()
        },
      }
    },
  }
  return definition
}
