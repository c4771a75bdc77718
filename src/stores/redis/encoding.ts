/** Records and changes as text for Redis, and back. The layout is told in `scripts.ts`. */

import { CLEANING_MARGIN_MS } from '../../core/index.ts'
import type {
  Change,
  ChangeResult,
  End,
  EndResult,
  OperationResult,
  SessionRecord,
  StoredField,
} from '../../core/index.ts'
import type { Version } from '../../token/index.ts'

const META = 'm'
const OPERATIONS = 'o'
const FIELD_MARK = ':'

/** Arguments of the apply script: the header `slot count generation now expiresAt flags`, and what the flags announce. */
export function encodeChange(change: Change): string[] {
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
  if (fields) for (const [name, value] of fields) args.push(name, value === null ? '' : `=${value}`)
  return args
}

/** Answer of the apply script. */
export function decodeResult(reply: unknown): ChangeResult {
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
      return { outcome: 'conflict', field: text.length > 1 ? decodeField(text.slice(1)) : undefined }
    default:
      throw unknownReply(reply)
  }
}

/** Arguments of the end script. */
export function encodeEnd({ endedAt, forgetAt, generation }: End): string[] {
  const args = [`${endedAt} ${forgetAt}`, `${Math.max(forgetAt - endedAt, 0)}`]
  if (generation !== undefined) args.push(`${generation}`)
  return args
}

/** Answer of the end script. */
export function decodeEndResult(reply: unknown): EndResult {
  if (reply === 'ended' || reply === 'gone' || reply === 'superseded') return reply
  throw unknownReply(reply)
}

/** Arguments of the install script. */
export function encodeRecord(record: SessionRecord, now: number): string[] {
  const { version, generation, pending, floor, startedAt, createdAt, lastSeenAt, expiresAt, retired, user } = record
  const times = `${startedAt} ${createdAt} ${lastSeenAt} ${expiresAt}`
  const meta = `${encodeVersion(version)} ${generation} ${pending ? 1 : 0} ${floor} ${times}`
  const ends = retired.map((end) => `${end},`).join('')
  let operations = ';'
  for (const [slot, { count, version }] of record.operations) {
    operations += `${encodeSlot(slot)} ${count} ${encodeVersion(version)};`
  }
  const args = [
    `${version.incarnation}`,
    `${version.sequence}`,
    `${Math.max(expiresAt - now, 0) + CLEANING_MARGIN_MS}`,
    META,
    `${meta} ${ends} ${user === null ? '-' : `=${user}`}`,
    OPERATIONS,
    operations,
  ]
  for (const [name, { stamp, value }] of record.fields) {
    args.push(FIELD_MARK + name, value === null ? encodeVersion(stamp) : `${encodeVersion(stamp)}=${value}`)
  }
  return args
}

/**
 * A record from the answer to HGETALL, which is an object or a Map over RESP3 and a flat array over RESP2;
 * `undefined` where there is none or only its tombstone.
 */
export function decodeRecord(key: string, reply: unknown): SessionRecord | undefined {
  let meta: string | undefined
  let operations = ';'
  const fields = new Map<string, StoredField>()
  const take = (name: string, text: string): void => {
    if (name.startsWith(FIELD_MARK)) fields.set(name.slice(1), decodeField(text))
    else if (name === META) meta = text
    else if (name === OPERATIONS) operations = text
  }
  if (Array.isArray(reply)) {
    for (let index = 0; index + 1 < reply.length; index += 2) take(String(reply[index]), String(reply[index + 1]))
  } else if (reply instanceof Map) {
    for (const [name, text] of reply) take(String(name), String(text))
  } else if (typeof reply === 'object' && reply !== null) {
    for (const [name, text] of Object.entries(reply)) take(name, String(text))
  }
  return meta === undefined ? undefined : toRecord(key, meta, operations, fields)
}

function unknownReply(reply: unknown): Error {
  return new Error(
    `the script answered ${JSON.stringify(String(reply).slice(0, 40))}, which this version does not know`,
  )
}

function toRecord(
  key: string,
  meta: string,
  operationsText: string,
  fields: ReadonlyMap<string, StoredField>,
): SessionRecord {
  const parts = meta.split(' ')
  const user = parts.length > 10 ? parts.slice(9).join(' ') : (parts[9] ?? '-')
  let operations: ReadonlyMap<string, OperationResult> | undefined
  return {
    key,
    version: decodeVersion(parts[0] ?? ''),
    generation: Number(parts[1]),
    pending: parts[2] === '1',
    floor: Number(parts[3]),
    startedAt: Number(parts[4]),
    createdAt: Number(parts[5]),
    lastSeenAt: Number(parts[6]),
    expiresAt: Number(parts[7]),
    retired: (parts[8] ?? '').split(',').slice(0, -1).map(Number),
    user: user === '-' ? null : user.slice(1),
    fields,
    // A read has no use for them; only a move between stores does.
    get operations() {
      return (operations ??= decodeOperations(operationsText))
    },
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

function decodeField(text: string): StoredField {
  const end = text.indexOf('=')
  if (end === -1) return { stamp: decodeVersion(text), value: null }
  return { stamp: decodeVersion(text.slice(0, end)), value: text.slice(end + 1) }
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
