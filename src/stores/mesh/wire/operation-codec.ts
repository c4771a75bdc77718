import type { Change, ChangeResult, End, EndResult } from '../../../core/index.ts'
import type { Operation, Outcome } from '../protocol/messages.ts'
import { type Reader, WireFormatError, type Writer } from './bytes.ts'
import { FRAME_BYTES_MAX, ID_BYTES_MAX } from './limits.ts'
import { readHolding, readMap, readValue, writeHolding, writeValue } from './record-parts.ts'

/*
 * What nodes ask the owner of a key, and what it answers. The first byte is the kind; a later minor version that adds
 * a kind gives it a message of its own, since an unknown kind is garbage.
 */

const OPERATION = { read: 0, apply: 1, end: 2, install: 3 } as const
const OUTCOME = { read: 0, apply: 1, end: 2, install: 3, retry: 4, underReplicated: 5, full: 6 } as const
const RESULT = { applied: 0, gone: 1, conflict: 2, superseded: 3 } as const
const END_RESULTS: readonly EndResult[] = ['ended', 'gone', 'superseded']

const CHANGE = { unattended: 1, create: 2, fields: 4, expect: 8, expectStamp: 16, rotate: 32, confirm: 64, login: 128 }

export function writeOperation(writer: Writer, operation: Operation): void {
  writer.byte(OPERATION[operation.kind])
  writer.key(operation.key)
  switch (operation.kind) {
    case 'read':
      writer.bool(operation.atLeast !== undefined)
      if (operation.atLeast) writer.version(operation.atLeast)
      return
    case 'apply':
      checkKey(operation.key, operation.change.key)
      return writeChange(writer, operation.change)
    case 'end':
      checkKey(operation.key, operation.end.key)
      return writeEnd(writer, operation.end)
    case 'install':
      return writeHolding(writer, operation.whole)
  }
}

export function readOperation(reader: Reader): Operation {
  const kind = reader.byte()
  const key = reader.key()
  switch (kind) {
    case OPERATION.read:
      return reader.bool() ? { kind: 'read', key, atLeast: reader.version() } : { kind: 'read', key }
    case OPERATION.apply:
      return { kind: 'apply', key, change: readChange(reader, key) }
    case OPERATION.end:
      return { kind: 'end', key, end: readEnd(reader, key) }
    case OPERATION.install:
      return { kind: 'install', key, whole: readHolding(reader) }
    default:
      throw new WireFormatError(`an operation of kind ${kind}`)
  }
}

export function writeOutcome(writer: Writer, outcome: Outcome): void {
  writer.byte(OUTCOME[outcome.kind])
  switch (outcome.kind) {
    case 'read':
      writer.bool(outcome.record !== undefined)
      if (outcome.record) writeHolding(writer, outcome.record)
      return
    case 'apply':
      return writeChangeResult(writer, outcome.result)
    case 'end':
      return writer.byte(END_RESULTS.indexOf(outcome.result))
    case 'install':
    case 'retry':
    case 'underReplicated':
    case 'full':
  }
}

export function readOutcome(reader: Reader): Outcome {
  const kind = reader.byte()
  switch (kind) {
    case OUTCOME.read: {
      const record = reader.bool() ? readHolding(reader) : undefined
      if (record && 'endedAt' in record) throw new WireFormatError('a tombstone as the answer to a read')
      return { kind: 'read', record }
    }
    case OUTCOME.apply:
      return { kind: 'apply', result: readChangeResult(reader) }
    case OUTCOME.end:
      return { kind: 'end', result: readOneOf(reader, END_RESULTS) }
    case OUTCOME.install:
      return { kind: 'install' }
    case OUTCOME.retry:
      return { kind: 'retry' }
    case OUTCOME.underReplicated:
      return { kind: 'underReplicated' }
    case OUTCOME.full:
      return { kind: 'full' }
    default:
      throw new WireFormatError(`an outcome of kind ${kind}`)
  }
}

/** A value by its place in a list. */
export function readOneOf<T>(reader: Reader, values: readonly T[]): T {
  const place = reader.byte()
  const value = values[place]
  if (value === undefined) throw new WireFormatError(`value ${place} of ${values.length}`)
  return value
}

/** What is `false` by default is not told from what is left out. */
function writeChange(writer: Writer, change: Change): void {
  const { operation, now, fields, expect, confirm, login } = change
  writer.byte(
    (change.unattended ? CHANGE.unattended : 0) +
      (change.create ? CHANGE.create : 0) +
      (fields ? CHANGE.fields : 0) +
      (expect ? CHANGE.expect : 0) +
      (expect?.stamp ? CHANGE.expectStamp : 0) +
      (change.rotate ? CHANGE.rotate : 0) +
      (confirm ? CHANGE.confirm : 0) +
      (login ? CHANGE.login : 0),
  )
  writer.id(operation.slot, ID_BYTES_MAX)
  writer.count(operation.count)
  writer.time(now, 0)
  writer.time(change.expiresAt, now)
  writer.count(change.generation)
  if (fields) {
    writer.count(fields.size)
    for (const [name, value] of fields) {
      writer.text(name, FRAME_BYTES_MAX)
      writeValue(writer, value)
    }
  }
  if (expect) {
    writer.text(expect.field, FRAME_BYTES_MAX)
    if (expect.stamp) writer.version(expect.stamp)
  }
  if (confirm) {
    writer.count(confirm.generation)
    writer.time(confirm.graceEndsAt, now)
  }
  if (login) writer.text(login.user, FRAME_BYTES_MAX)
}

function readChange(reader: Reader, key: string): Change {
  const flags = reader.byte()
  const has = (flag: number): boolean => (flags & flag) !== 0
  const operation = { slot: reader.id(ID_BYTES_MAX), count: reader.count() }
  const now = reader.time(0)
  return {
    key,
    operation,
    now,
    expiresAt: reader.time(now),
    generation: reader.count(),
    ...(has(CHANGE.unattended) ? { unattended: true } : {}),
    ...(has(CHANGE.create) ? { create: true } : {}),
    ...(has(CHANGE.rotate) ? { rotate: true } : {}),
    ...(has(CHANGE.fields) ? { fields: readMap(reader, () => [reader.text(FRAME_BYTES_MAX), readValue(reader)]) } : {}),
    ...(has(CHANGE.expect)
      ? { expect: { field: reader.text(FRAME_BYTES_MAX), stamp: has(CHANGE.expectStamp) ? reader.version() : null } }
      : {}),
    ...(has(CHANGE.confirm) ? { confirm: { generation: reader.count(), graceEndsAt: reader.time(now) } } : {}),
    ...(has(CHANGE.login) ? { login: { user: reader.text(FRAME_BYTES_MAX) } } : {}),
  }
}

function writeEnd(writer: Writer, { endedAt, forgetAt, generation }: Omit<End, 'reason'>): void {
  writer.bool(generation !== undefined)
  writer.time(endedAt, 0)
  writer.time(forgetAt, endedAt)
  if (generation !== undefined) writer.count(generation)
}

function readEnd(reader: Reader, key: string): Omit<End, 'reason'> {
  const hasGeneration = reader.bool()
  const endedAt = reader.time(0)
  const forgetAt = reader.time(endedAt)
  return { key, endedAt, forgetAt, ...(hasGeneration ? { generation: reader.count() } : {}) }
}

function writeChangeResult(writer: Writer, result: ChangeResult): void {
  writer.byte(RESULT[result.outcome])
  if (result.outcome === 'applied') {
    writer.version(result.version)
    writer.count(result.generation)
    writer.bool(result.pending)
  } else if (result.outcome === 'conflict') {
    writer.bool(result.field !== undefined)
    if (!result.field) return
    writer.version(result.field.stamp)
    writeValue(writer, result.field.value)
  }
}

function readChangeResult(reader: Reader): ChangeResult {
  const outcome = reader.byte()
  switch (outcome) {
    case RESULT.applied:
      return { outcome: 'applied', version: reader.version(), generation: reader.count(), pending: reader.bool() }
    case RESULT.gone:
      return { outcome: 'gone' }
    case RESULT.conflict: {
      const field = reader.bool() ? { stamp: reader.version(), value: readValue(reader) } : undefined
      return { outcome: 'conflict', field }
    }
    case RESULT.superseded:
      return { outcome: 'superseded' }
    default:
      throw new WireFormatError(`a result of kind ${outcome}`)
  }
}

function checkKey(key: string, inner: string): void {
  if (key !== inner) throw new RangeError('an operation whose change has another key')
}
