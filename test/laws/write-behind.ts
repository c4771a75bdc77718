import {
  applyChange,
  type Change,
  type ChangeResult,
  type SessionRecord,
  type StoreDefinition,
} from '../../src/core/index.ts'
import { RulesStore, Shelf } from './rules-store.ts'

/** Longer than it takes to kill a process. */
const LATER_MS = 2_000

/** A fault: a node answers from its memory, and the store hears of a change only later. */
export function writeBehind(definition: StoreDefinition): StoreDefinition {
  return {
    ...definition,
    open(context) {
      const store = definition.open(context)
      const shelf = new Shelf()
      return new (class extends RulesStore {
        override ready(): Promise<void> {
          return store.ready()
        }
        override close(): Promise<void> {
          return store.close()
        }
        override async read(key: string): Promise<SessionRecord | undefined> {
          return shelf.records.get(key) ?? store.read(key)
        }
        override async apply(change: Change): Promise<ChangeResult> {
          const { result, record } = applyChange(await this.read(change.key), false, change)
          if (record) {
            shelf.records.set(change.key, record)
            setTimeout(() => void store.install(record).catch(() => {}), LATER_MS).unref()
          }
          return result
        }
      })(shelf)
    },
  }
}
