import { applyChange } from '../../src/core/change.ts'
import { isTombstone, takesPlace } from '../../src/core/install.ts'
import type { SessionRecord } from '../../src/core/record.ts'
import type { Change, EndResult, Store, StoreDefinition } from '../../src/core/store.ts'
import type { UserSessions } from '../../src/core/user-sessions.ts'

/** What a test may do around a call of the store: hold it up, lose its answer, or fail instead. */
export type Around = (
  call: keyof Store | keyof UserSessions,
  run: () => Promise<unknown>,
  change?: Change,
) => Promise<unknown>

/**
 * The core's own rules on a map, shared by every `createSessions` that gets it, so that each is a node of one fleet.
 * Never cleans. For tests of the core, which look into it and stand between it and the engine.
 */
export interface SharedStore extends StoreDefinition {
  readonly records: Map<string, SessionRecord>
  readonly ended: Set<string>
  /** The calls that reached it, but for `ready` and `close`. */
  readonly calls: string[]
  around: Around
}

export function createSharedStore(): SharedStore {
  const records = new Map<string, SessionRecord>()
  const ended = new Set<string>()
  const shared: SharedStore = {
    name: 'shared',
    records,
    ended,
    calls: [],
    around: (_, run) => run(),
    open: () => ({
      ready: () => around('ready', () => undefined),
      close: () => around('close', () => undefined),
      check: () => around('check', () => undefined),
      read: (key) => around('read', () => records.get(key)),
      apply: (change) =>
        around(
          'apply',
          () => {
            const { result, record } = applyChange(records.get(change.key), ended.has(change.key), change)
            if (record) records.set(change.key, record)
            return result
          },
          change,
        ),
      end: ({ key, generation }) =>
        around('end', (): EndResult => {
          const record = records.get(key)
          if (record && generation !== undefined && generation < record.floor) return 'superseded'
          ended.add(key)
          return records.delete(key) ? 'ended' : 'gone'
        }),
      install: (whole) =>
        around('install', () => {
          if (isTombstone(whole)) ended.add(whole.key)
          else if (takesPlace(records.get(whole.key), ended.has(whole.key), whole)) records.set(whole.key, whole)
        }),
    }),
  }

  async function around<T>(call: keyof Store, run: () => T, change?: Change): Promise<T> {
    if (call !== 'ready' && call !== 'close') shared.calls.push(call)
    return (await shared.around(call, () => Promise.resolve().then(run), change)) as T
  }

  return shared
}
