/** The memory store, with calls that a test can count, hold back, fail and hang. */

import type { SessionRecord, Store, StoreDefinition } from '../../../src/core/index.ts'
import { memoryStore } from '../../../src/stores/memory/index.ts'

type CallName = 'read' | 'apply' | 'end'

export interface TestStore extends StoreDefinition {
  /** The names of the calls so far. */
  readonly calls: CallName[]

  /** Runs before each call from now on; may throw or wait. `undefined` ends it. */
  before: ((name: CallName) => void | Promise<void>) | undefined

  /** Runs after each `apply` from now on. */
  applied: () => void

  /** Holds back each `apply` from now on until it is released. */
  holdApply(): HeldApply

  /** The session that was changed last; no counted call. */
  record(): Promise<SessionRecord | undefined>
}

export interface HeldApply {
  /** Resolves when an `apply` waits. */
  readonly arrived: Promise<void>
  release(): void
}

export function createTestStore(): TestStore {
  let inner: Store | undefined
  let keyChanged = ''

  async function call(name: CallName): Promise<void> {
    definition.calls.push(name)
    await definition.before?.(name)
  }

  const definition: TestStore = {
    name: 'test',
    calls: [],
    before: undefined,
    applied: () => {},
    open(context) {
      const store = memoryStore().open(context)
      inner = store
      return {
        ready: () => store.ready(),
        async read(key, options) {
          await call('read')
          return store.read(key, options)
        },
        async apply(change) {
          await call('apply')
          keyChanged = change.key
          const result = await store.apply(change)
          definition.applied()
          return result
        },
        async end(end) {
          await call('end')
          return store.end(end)
        },
        install: (whole) => store.install(whole),
        check: () => store.check(),
        close: () => store.close(),
      }
    },
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
    record: async () => inner?.read(keyChanged),
  }
  return definition
}
