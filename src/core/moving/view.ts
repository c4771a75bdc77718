import type { Version } from '../../token/index.ts'
import type { FieldChanges } from '../data.ts'
import { endOf, type Policy } from '../policy.ts'
import type { SessionRecord } from '../record.ts'
import type { Change } from '../store.ts'
import { LINK_FIELD, lineFieldOf, RESERVED_PREFIX } from '../use.ts'
import type { Line } from './merge.ts'

/** The old session that goes on beside one of ours. */
export interface Link {
  readonly id: string
  /** Where both are mirrored: what was taken over, for what a request there writes that began before. */
  readonly base?: Readonly<Record<string, string>>
}

/** Kept with the session, so that whoever ends it ends the old one too. */
export function linkOf({ fields }: SessionRecord): Link | undefined {
  const value = fields.get(LINK_FIELD)?.value
  return value ? (JSON.parse(value) as Link) : undefined
}

/** Our session as one request knows it in the store. */
export interface View {
  readonly fields: FieldChanges
  readonly user: string | null
  readonly version: Version
  readonly expiresAt: number
  /** Of fields that were taken over. */
  readonly lines: ReadonlyMap<string, Line>
}

export function viewOf(record: SessionRecord, policy: Policy): View {
  const fields = [...record.fields].filter(([name]) => !name.startsWith(RESERVED_PREFIX))
  return {
    fields: new Map(fields.map(([name, { value }]) => [name, value])),
    user: record.user,
    version: record.version,
    expiresAt: endOf(policy, record),
    lines: linesIn(record),
  }
}

function linesIn({ fields }: SessionRecord): ReadonlyMap<string, Line> {
  const prefix = lineFieldOf('')
  const lines = new Map<string, Line>()
  for (const [name, { value }] of fields) {
    if (name.startsWith(prefix) && value !== null) lines.set(name.slice(prefix.length), JSON.parse(value) as Line)
  }
  return lines
}

const NEVER: Version = { incarnation: 0, sequence: 0 }

/** What a change makes of it, but for the version. */
export function viewAfter({ fields, create, login, unattended, expiresAt }: Change, present: View | undefined): View {
  const before = create ? undefined : present
  const after = new Map(before?.fields)
  for (const [name, value] of fields ?? []) if (!name.startsWith(RESERVED_PREFIX)) after.set(name, value)
  return {
    fields: after,
    user: login?.user ?? before?.user ?? null,
    version: before?.version ?? NEVER,
    expiresAt: (unattended && before?.expiresAt) || expiresAt,
    lines: before?.lines ?? new Map(),
  }
}

/** Whether no other change came between two versions. */
export function isNext(before: Version, after: Version): boolean {
  return before.incarnation === after.incarnation && before.sequence + 1 === after.sequence
}
