import type { Change, ChangeResult, EndResult, SessionRecord } from '../../src/core/index.ts'
import { compareVersions, type Version } from '../../src/token/index.ts'

export type OperationKind = 'create' | 'assign' | 'increment' | 'touch' | 'confirm' | 'rotate' | 'login' | 'end'

/** One change or end as its caller knows it. */
export interface SimOperation {
  readonly id: number
  readonly kind: OperationKind
  readonly key: string
  /** Absent for an end. */
  readonly change?: Change
  readonly generation: number | undefined
  startedAt: number
  /** Attempts: more than one where it was sent again. */
  sends: number
  /** Whether it was under way during a partition with `serve`. */
  isSplit: boolean
  side: string | undefined
  status: 'open' | 'unknown' | 'ended' | ChangeResult['outcome']
  finishedAt: number
  version?: Version
  /** The stamp under which its fields were seen. */
  seenStamp?: Version
}

/** Something that is promised from `at` on: to everybody, or to one side of a partition. */
export interface Promised {
  readonly at: number
  readonly isSplit: boolean
  readonly side: string | undefined
}

export interface PromisedVersion extends Promised {
  readonly version: Version
}

export interface PromisedLogin extends PromisedVersion {
  readonly generation: number
}

export interface PromisedEnd extends Promised {
  readonly result: EndResult
}

export interface CompletedRead {
  readonly at: number
  readonly record: SessionRecord
}

/** All that was done to one session, and what follows from it. */
export class SessionHistory {
  readonly key: string
  readonly createdBy: SimOperation
  readonly operations: SimOperation[] = []
  readonly ends: PromisedEnd[] = []
  readonly versions: PromisedVersion[] = []
  readonly logins: PromisedLogin[] = []
  /** Successors that were handed out. */
  readonly rotations: PromisedLogin[] = []
  readonly fields: Map<string, PromisedVersion[]> = new Map()
  /** The operation that was acknowledged with each version. */
  readonly byVersion: Map<string, SimOperation> = new Map()
  /** The `update` that replaced each stamp of a field. */
  readonly byExpectation: Map<string, SimOperation> = new Map()
  /** What was read under each version. */
  readonly contents: Map<string, string> = new Map()
  lastRead: CompletedRead | undefined
  /** Changed while a partition stood, with `serve`: it has two histories. */
  isDiverged = false
  /** More nodes crashed at once than a fleet must bear: it may be older than it was, or gone. */
  mayBeLost = false

  constructor(key: string, createdBy: SimOperation) {
    this.key = key
    this.createdBy = createdBy
  }

  get isCreated(): boolean {
    return this.createdBy.status === 'applied'
  }

  /** Whether somebody has asked to end it and was not refused. */
  get mayHaveEnded(): boolean {
    return this.operations.some(({ kind, status }) => kind === 'end' && status !== 'superseded')
  }

  get hasEnded(): boolean {
    return this.ends.length > 0
  }

  promiseField(name: string, promise: PromisedVersion): void {
    const promises = this.fields.get(name)
    const last = promises?.at(-1)
    const isKnown = last && !last.isSplit && !promise.isSplit && compareVersions(last.version, promise.version) === 0
    if (isKnown) return
    if (promises) promises.push(promise)
    else this.fields.set(name, [promise])
  }
}

const contents = new WeakMap<SessionRecord, string>()

/** All of a record that its copies must agree on. */
export function contentOf(record: SessionRecord): string {
  const content = contents.get(record) ?? serialized(record)
  contents.set(record, content)
  return content
}

function serialized({ fields, operations, ...rest }: SessionRecord): string {
  return JSON.stringify([rest, sorted(fields), sorted(operations)])
}

function sorted(map: ReadonlyMap<string, unknown>): [string, unknown][] {
  return [...map].toSorted(([a], [b]) => (a < b ? -1 : 1))
}
