/** Records and changes as text for Redis, and back. The layout is told in `scripts.ts`. */

import { CLEANING_MARGIN_MS, withFields, withOperation } from '../../core/index.ts'
import type {
  Change,
  ChangeResult,
  End,
  EndReason,
  EndResult,
  OperationResult,
  SessionRecord,
  StoredField,
} from '../../core/index.ts'
import type { Version } from '../../token/index.ts'
import type { Ending } from './messages.ts'

const MOVING = 'v'
const META = 'm'
const FORK = 'f'
const FIELD_MARK = ':'

/** What is written for the value of a field, and what a stored one says. */
export type MapValue = (name: string, value: string) => string

/** Arguments of the apply script: the header `slot count generation now expiresAt flags`, and what the flags announce. */
export function encodeChange(change: Change, toStored: MapValue): string[] {
  const { operation, generation, now, expiresAt, confirm, expect, login, fields } = change
  let flags = '-'
  if (change.create === true) flags += 'c'
  if (change.unattended === true) flags += 'u'
  if (change.rotate === true) flags += 'r'
  if (confirm) flags += 'k'
  if (expect) flags += 'x'
  if (login) flags += 'l'
  const args = [`${encodeSlot(operation.slot)} ${operation.count} ${generation} ${now} ${expiresAt} ${flags}`]
  if (confirm) args.push(`${confirm.generation}`, `${confirm.graceEndsAt}`)
  if (expect) args.push(expect.field, expect.stamp ? encodeVersion(expect.stamp) : '')
  if (login) args.push(login.user)
  for (const [name, value] of fields ?? []) args.push(name, value === null ? '' : `=${toStored(name, value)}`)
  return args
}

/** Answer of the apply script to this change. */
export function decodeResult({ expect }: Change, reply: unknown, toValue: MapValue): ChangeResult {
  const text = String(reply)
  switch (text[0]) {
    case 'a': {
      const [version = '', generation, pending] = text.slice(1).split(' ')
      return {
        outcome: 'applied',
        version: decodeVersion(version),
        generation: Number(generation),
        pending: pending === '1',
      }
    }
    case 'g':
      return { outcome: 'gone' }
    case 's':
      return { outcome: 'superseded' }
    case 'c':
      return {
        outcome: 'conflict',
        field: text.length > 1 ? decodeField(expect?.field ?? '', text.slice(1), toValue) : undefined,
      }
    default:
      throw unknownReply(reply)
  }
}

/** Arguments of the end script. */
export function encodeEnd({ endedAt, forgetAt, generation, reason = 'revoked' }: End): string[] {
  const args = [`${endedAt} ${forgetAt}`, `${Math.max(forgetAt - endedAt, 0)}`, reason]
  if (generation !== undefined) args.push(`${generation}`)
  return args
}

/** Answer of the end script. */
export function decodeEndResult(reply: unknown): { result: EndResult; ending: Ending } {
  const [result = '', ...ending] = String(reply).split(' ')
  if (result !== 'ended' && result !== 'gone' && result !== 'superseded') throw unknownReply(reply)
  return { result, ending: decodeEnding(ending.join(' ')) }
}

/** How a session ended, as its tombstone says; one of a node that did not write it down was revoked. */
export function decodeEnding(text: string): Ending {
  const [, reason = 'revoked', user] = /^(\w+) (.*)$/s.exec(text) ?? []
  return { reason: reason as EndReason, user: user?.startsWith('=') ? user.slice(1) : null }
}

/** Arguments of the install script. */
export function encodeRecord(record: SessionRecord, now: number, toStored: MapValue): string[] {
  const { version, generation, pending, floor, startedAt, createdAt, lastSeenAt, expiresAt, retired, user } = record
  let moving = `${encodeVersion(version)} ${lastSeenAt} ${expiresAt};`
  for (const [slot, { count, version }] of record.operations) {
    moving += `${encodeSlot(slot)} ${count} ${encodeVersion(version)};`
  }
  const generations = `${generation} ${pending ? 1 : 0} ${floor}`
  const ends = retired.map((end) => `${end},`).join('')
  const args = [
    `${version.incarnation}`,
    `${version.sequence}`,
    `${Math.max(expiresAt - now, 0) + CLEANING_MARGIN_MS}`,
    MOVING,
    moving,
    META,
    `${generations} ${startedAt} ${createdAt} ${ends} ${user === null ? '-' : `=${user}`}`,
  ]
  if (record.forkedFrom) args.push(FORK, encodeVersion(record.forkedFrom))
  for (const [name, { stamp, value }] of record.fields) {
    args.push(FIELD_MARK + name, encodeVersion(stamp) + (value === null ? '' : `=${toStored(name, value)}`))
  }
  return args
}

/** Arguments of the rewrite script: what is to stand in place of values that keep their stamps. */
export function encodeRewrite(fields: ReadonlyMap<string, StoredField>, toStored: MapValue): string[] {
  const args: string[] = []
  for (const [name, { stamp, value }] of fields) {
    if (value !== null) args.push(FIELD_MARK + name, encodeVersion(stamp), `=${toStored(name, value)}`)
  }
  return args
}

/**
 * A session from the answer to HGETALL, which is an object or a Map over RESP3 and a flat array over RESP2;
 * `undefined` where there is none or only its tombstone.
 */
export function decodeStored(key: string, reply: unknown, toValue: MapValue): SessionRecord | undefined {
  let moving: string | undefined
  let meta = ''
  let fork: string | undefined
  const fields = new Map<string, StoredField>()
  const take = (name: string, text: string): void => {
    if (name.startsWith(FIELD_MARK)) fields.set(name.slice(1), decodeField(name.slice(1), text, toValue))
    else if (name === MOVING) moving = text
    else if (name === META) meta = text
    else if (name === FORK) fork = text
  }
  if (Array.isArray(reply)) {
    for (let index = 0; index + 1 < reply.length; index += 2) take(String(reply[index]), String(reply[index + 1]))
  } else if (reply instanceof Map) {
    for (const [name, text] of reply) take(String(name), String(text))
  } else if (typeof reply === 'object' && reply !== null) {
    for (const [name, text] of Object.entries(reply)) take(name, String(text))
  }
  return moving === undefined ? undefined : parse(key, { moving, meta, fork, fields })
}

/**
 * What the script has made of a session that stood just before this change; `undefined` where it stood elsewhere, or where
 * the change was of more than fields and times.
 */
export function after(record: SessionRecord, change: Change, result: ChangeResult): SessionRecord | undefined {
  if (change.create || change.confirm || change.rotate || change.login || result.outcome !== 'applied') return undefined
  const { version } = result
  const isNext = version.incarnation === record.version.incarnation && version.sequence === record.version.sequence + 1
  if (!isNext || result.generation !== record.generation || result.pending !== record.pending) return undefined
  const { slot, count } = change.operation
  const isUse = change.unattended !== true
  return {
    ...record,
    version,
    lastSeenAt: isUse ? Math.max(record.lastSeenAt, change.now) : record.lastSeenAt,
    expiresAt: isUse ? Math.max(record.expiresAt, change.expiresAt) : record.expiresAt,
    fields: withFields(record.fields, change.fields, version),
    operations: withOperation(record.operations, slot, { count, version }),
  }
}

function unknownReply(reply: unknown): Error {
  return new Error(
    `the script answered ${JSON.stringify(String(reply).slice(0, 40))}, which this version does not know`,
  )
}

interface Parts {
  readonly moving: string
  readonly meta: string
  readonly fork: string | undefined
  readonly fields: ReadonlyMap<string, StoredField>
}

function parse(key: string, { moving, meta, fork, fields }: Parts): SessionRecord {
  const end = moving.indexOf(';')
  const [version = '', lastSeenAt, expiresAt] = moving.slice(0, end).split(' ')
  const [generation, pending, floor, startedAt, createdAt, retired = '', ...words] = meta.split(' ')
  const user = words.join(' ')
  return {
    key,
    version: decodeVersion(version),
    ...(fork === undefined ? {} : { forkedFrom: decodeVersion(fork) }),
    generation: Number(generation),
    pending: pending === '1',
    floor: Number(floor),
    startedAt: Number(startedAt),
    createdAt: Number(createdAt),
    lastSeenAt: Number(lastSeenAt),
    expiresAt: Number(expiresAt),
    retired: retired === '' ? [] : retired.split(',').slice(0, -1).map(Number),
    user: user === '-' ? null : user.slice(1),
    fields,
    operations: decodeOperations(moving.slice(end + 1)),
  }
}

function decodeOperations(text: string): ReadonlyMap<string, OperationResult> {
  const operations = new Map<string, OperationResult>()
  for (const entry of text.split(';')) {
    const [slot, count, version] = entry.split(' ')
    if (slot === undefined || version === undefined) continue
    operations.set(decodeURIComponent(slot), { count: Number(count), version: decodeVersion(version) })
  }
  return operations
}

function decodeField(name: string, text: string, toValue: MapValue): StoredField {
  const end = text.indexOf('=')
  if (end === -1) return { stamp: decodeVersion(text), value: null }
  return { stamp: decodeVersion(text.slice(0, end)), value: toValue(name, text.slice(end + 1)) }
}

/** The sequence alone in incarnation 0, where most records are: it stands in every field. */
function encodeVersion({ incarnation, sequence }: Version): string {
  return incarnation === 0 ? `${sequence}` : `${incarnation}.${sequence}`
}

function decodeVersion(text: string): Version {
  const dot = text.indexOf('.')
  if (dot === -1) return { incarnation: 0, sequence: Number(text) }
  return { incarnation: Number(text.slice(0, dot)), sequence: Number(text.slice(dot + 1)) }
}

/** A space or a semicolon in it would end it. */
function encodeSlot(slot: string): string {
  return encodeURIComponent(slot)
}
