/** Deliberate faults of a store, each a small thing that one might do wrong, with the test that must see it. */

import {
  applyChange,
  type Change,
  type ChangeResult,
  type End,
  type EndResult,
  isTombstone,
  type ReadOptions,
  type SessionRecord,
  type Sessions,
  type SessionsOptions,
  type Tombstone,
  type UserPage,
} from '../../src/core/index.ts'
import type { LawData } from '../../src/laws/index.ts'
import { RulesStore, RulesUsers } from './rules-store.ts'

/** One fault. `seenBy` names the test of `laws` that is tried first. */
export interface Fault {
  readonly title: string
  readonly seenBy: string
  readonly View?: typeof RulesStore
  readonly createSessions?: (options: SessionsOptions<LawData>) => Sessions<LawData>
}

type Rules = typeof applyChange
type Application = ReturnType<Rules>

/** A store whose rules are wrong. */
function withRules(rules: Rules): typeof RulesStore {
  return class extends RulesStore {
    protected override rules(record: SessionRecord | undefined, ended: boolean, change: Change): Application {
      return rules(record, ended, change)
    }
  }
}

/** Rules that are right about another record or change, and spoil what comes out. */
function wrong(
  before: (record: SessionRecord | undefined, change: Change) => [SessionRecord | undefined, Change],
  after: (next: SessionRecord, record: SessionRecord | undefined, change: Change) => SessionRecord = (next) => next,
): typeof RulesStore {
  return withRules((record, ended, change) => {
    const application = applyChange(...spread(before(record, change), ended))
    const next = application.record && after(application.record, record, change)
    if (!next) return application
    const { result } = application
    const { version, generation, pending } = next
    return { record: next, result: result.outcome === 'applied' ? { ...result, version, generation, pending } : result }
  })
}

function spread([record, change]: [SessionRecord | undefined, Change], ended: boolean): Parameters<Rules> {
  return [record, ended, change]
}

function without(change: Change, part: 'expect' | 'unattended' | 'confirm'): Change {
  const { [part]: _, ...rest } = change
  return rest
}

/** Wrong after the rules were applied. */
function spoiled(
  after: (next: SessionRecord, record: SessionRecord | undefined, change: Change) => SessionRecord,
): typeof RulesStore {
  return wrong((record, change) => [record, change], after)
}

/** A store whose index of users is wrong. */
function withUsers(Users: typeof RulesUsers): typeof RulesStore {
  return class extends RulesStore {
    override readonly users: RulesUsers = new Users(this.shelf)
  }
}

export const storeFaults: readonly Fault[] = [
  {
    title: 'a user is found in some sessions and not in all',
    seenBy: 'revoke-user',
    View: withUsers(
      class extends RulesUsers {
        override async list(user: string, options: { limit: number; after?: string }): Promise<UserPage> {
          const { entries } = await super.list(user, options)
          return { entries: entries.slice(1) }
        }
      },
    ),
  },
  {
    title: 'a change of a session that is not there makes one',
    seenBy: 'logout-commit-in-flight',
    View: withRules((record, ended, change) => {
      const { create: _, ...rest } = change
      return record ? applyChange(record, ended, change) : applyChange(undefined, false, { ...rest, create: true })
    }),
  },
  {
    title: 'an end leaves no tombstone',
    seenBy: 'retried-commands',
    View: class extends RulesStore {
      protected override bury(key: string): void {
        this.shelf.records.delete(key)
      }
    },
  },
  {
    title: 'an end is acknowledged before it is done',
    seenBy: 'logout-slow-write',
    View: class extends RulesStore {
      override async end(end: End): Promise<EndResult> {
        const result = this.shelf.records.has(end.key) ? 'ended' : 'gone'
        setTimeout(() => void super.end(end), 20)
        return result
      }
    },
  },
  {
    title: 'an older copy is installed over a tombstone',
    seenBy: 'retried-commands',
    View: class extends RulesStore {
      override async install(whole: SessionRecord | Tombstone): Promise<void> {
        if (!isTombstone(whole)) this.shelf.records.set(whole.key, whole)
      }
    },
  },
  {
    title: 'a write replaces the whole record by the one that its node read',
    seenBy: 'fields-fleet',
    View: class extends RulesStore {
      readonly #read = new Map<string, SessionRecord>()
      override async read(key: string): Promise<SessionRecord | undefined> {
        const record = await super.read(key)
        if (record) this.#read.set(key, record)
        return record
      }
      protected override rules(record: SessionRecord | undefined, ended: boolean, change: Change): Application {
        const fields = this.#read.get(change.key)?.fields
        return super.rules(record && fields ? { ...record, fields } : record, ended, change)
      }
    },
  },
  {
    title: 'operations are not remembered',
    seenBy: 'resend-at-once',
    View: spoiled((next) => ({ ...next, operations: new Map() })),
  },
  {
    title: 'only the last operation of all nodes is remembered',
    seenBy: 'resend-late',
    View: spoiled((next) => ({ ...next, operations: new Map([...next.operations].slice(-1)) })),
  },
  {
    title: 'a repeated operation is answered with conflict',
    seenBy: 'resend-at-once',
    View: withRules((record, ended, change) => {
      const isRepeated = record?.operations.get(change.operation.slot)?.count === change.operation.count
      if (!isRepeated) return applyChange(record, ended, change)
      return { result: { outcome: 'conflict', field: change.expect && record?.fields.get(change.expect.field) } }
    }),
  },
  {
    title: 'an operation older than the last of its node is applied',
    seenBy: 'resend-everything',
    View: wrong((record, change) => {
      const last = record?.operations.get(change.operation.slot)
      const isOlder = last !== undefined && change.operation.count < last.count
      return [isOlder && record ? { ...record, operations: new Map() } : record, change]
    }),
  },
  {
    title: 'what an update expects is not compared',
    seenBy: 'held-update',
    View: wrong((record, change) => [record, without(change, 'expect')]),
  },
  {
    title: 'a change does not raise the version',
    seenBy: 'held-update',
    View: withRules((record, ended, change) => {
      if (!record) return applyChange(record, ended, change)
      const { sequence } = record.version
      return applyChange({ ...record, version: { ...record.version, sequence: sequence - 1 } }, ended, change)
    }),
  },
  {
    title: 'a removed field is not removed',
    seenBy: 'removed-stays-removed',
    View: wrong((record, change) => {
      const fields = new Map([...(change.fields ?? [])].filter(([, value]) => value !== null))
      return [record, { ...change, fields }]
    }),
  },
  {
    title: 'a creation replaces a session that is there',
    seenBy: 'resend-everything',
    View: wrong((record, change) => [change.create ? undefined : record, change]),
  },
  {
    title: 'a key that is not there gives the session that was written last',
    seenBy: 'unknown-token',
    View: class extends RulesStore {
      override async read(key: string): Promise<SessionRecord | undefined> {
        return (await super.read(key)) ?? [...this.shelf.records.values()].at(-1)
      }
    },
  },
  {
    title: 'a read does not look at the key',
    seenBy: 'own-session-alone',
    View: class extends RulesStore {
      override read(key: string): Promise<SessionRecord | undefined> {
        return super.read([...this.shelf.records.keys()][0] ?? key)
      }
    },
  },
  {
    title: 'a session whose time is over is changed',
    seenBy: 'late-write',
    View: wrong((record, change) => [
      record && { ...record, expiresAt: Math.max(record.expiresAt, change.expiresAt) },
      change,
    ]),
  },
  {
    title: 'a use does not move the end',
    seenBy: 'idle',
    View: spoiled((next, record) =>
      record ? { ...next, expiresAt: record.expiresAt, lastSeenAt: record.lastSeenAt } : next,
    ),
  },
  {
    title: 'a change outside a request counts as a use',
    seenBy: 'no-visit',
    View: wrong((record, change) => [record, without(change, 'unattended')]),
  },
  {
    title: 'a login does not restart the absolute timeout',
    seenBy: 'absolute',
    View: spoiled((next, record) => (record ? { ...next, startedAt: record.startedAt } : next)),
  },
  {
    title: 'a change begun before a login is applied',
    seenBy: 'login-commit-in-flight',
    View: wrong(
      (record, change) => [record && { ...record, floor: 0 }, change],
      (next, record) => ({ ...next, floor: Math.max(next.floor, record?.floor ?? 0) }),
    ),
  },
  {
    title: 'an end that was asked before a login ends the session',
    seenBy: 'login-slow-write',
    View: class extends RulesStore {
      override end({ generation: _, ...end }: End): Promise<EndResult> {
        return super.end(end)
      }
    },
  },
  {
    title: 'a login keeps the generation',
    seenBy: 'new-token',
    View: spoiled((next, record) => (record ? { ...next, generation: record.generation, floor: record.floor } : next)),
  },
  {
    title: 'a login does not supersede what is older',
    seenBy: 'old-token',
    View: spoiled((next, record) => (record ? { ...next, floor: record.floor } : next)),
  },
  {
    title: 'a login gives out the successor that was handed out before it',
    seenBy: 'handed-out-successor',
    View: wrong((record, change) => [record && change.login ? { ...record, pending: false } : record, change]),
  },
  {
    title: 'a login is forgotten when its answer is sent',
    seenBy: 'new-token',
    View: spoiled((next, record) => (record ? { ...next, user: record.user } : next)),
  },
  {
    title: 'an answer is sent before the change is done',
    seenBy: 'hinted-reads',
    View: class extends RulesStore {
      override async apply(change: Change): Promise<ChangeResult> {
        const record = this.shelf.records.get(change.key)
        const { result } = applyChange(record, this.shelf.ended.has(change.key), change)
        setTimeout(() => void super.apply(change), 20)
        return result
      }
    },
  },
  {
    title: 'reads come from a copy that another node has made old',
    seenBy: 'hinted-reads',
    View: class extends RulesStore {
      readonly #copies = new Map<string, SessionRecord>()
      override async read(key: string): Promise<SessionRecord | undefined> {
        const copy = this.#copies.get(key) ?? (await super.read(key))
        if (copy) this.#copies.set(key, copy)
        return copy
      }
      override apply(change: Change): Promise<ChangeResult> {
        this.#copies.delete(change.key)
        return super.apply(change)
      }
      override end(end: End): Promise<EndResult> {
        this.#copies.delete(end.key)
        return super.end(end)
      }
    },
  },
  {
    title: 'a copy one change older than the hint is served',
    seenBy: 'late-hint',
    View: class extends RulesStore {
      readonly #copies = new Map<string, SessionRecord>()
      override async read(key: string, { atLeast }: ReadOptions = {}): Promise<SessionRecord | undefined> {
        const copy = this.#copies.get(key)
        if (copy && atLeast && copy.version.sequence >= atLeast.sequence - 1) return copy
        const record = await super.read(key)
        if (record) this.#copies.set(key, record)
        return record
      }
    },
  },
  {
    title: 'the first use of a successor is not stored',
    seenBy: 'thief-after-owner',
    View: wrong((record, change) => [record, without(change, 'confirm')]),
  },
  {
    title: 'the first use of a successor, coming late, takes the generation back',
    seenBy: 'overtaken-first-use',
    View: spoiled((next, _, { confirm }) =>
      confirm && confirm.generation < next.generation ? { ...next, generation: confirm.generation, retired: [] } : next,
    ),
  },
  {
    title: 'a predecessor has no grace',
    seenBy: 'grace',
    View: wrong((record, change) => {
      const confirm = change.confirm && { ...change.confirm, graceEndsAt: change.now - 1 }
      return [record, confirm ? { ...change, confirm } : change]
    }),
  },
  {
    title: 'grace never ends',
    seenBy: 'thief-after-owner',
    View: wrong((record, change) => {
      const confirm = change.confirm && { ...change.confirm, graceEndsAt: Infinity }
      return [record, confirm ? { ...change, confirm } : change]
    }),
  },
  {
    title: 'two rotations hand out two successors',
    seenBy: 'two-rotations',
    View: spoiled((next, record, { rotate }) =>
      rotate && record?.pending ? { ...next, generation: next.generation + 1 } : next,
    ),
  },
]
