import { answerToEnd, applyChange, isTombstone, type SessionRecord, takesPlace } from '../../../core/index.ts'
import type { Holding, Operation, Outcome } from './messages.ts'

/** What an operation answers on what is held, and what is held afterwards, where it changes anything. */
export interface Ruling {
  readonly outcome: Outcome
  readonly next?: Holding
}

/** @param incarnation of the view in which the owner rules: versions written in it begin with it */
export function rule(held: Holding | undefined, operation: Operation, incarnation: number): Ruling {
  const record = held && !isTombstone(held) ? held : undefined
  const isEnded = held !== undefined && isTombstone(held)
  switch (operation.kind) {
    case 'read':
      return { outcome: { kind: 'read', record } }
    case 'apply': {
      const base = record && inIncarnation(record, incarnation)
      const { result, record: next } = applyChange(base, isEnded, operation.change, incarnation)
      return { outcome: { kind: 'apply', result }, ...(next ? { next } : {}) }
    }
    case 'end': {
      const { key, endedAt, forgetAt, generation } = operation.end
      const result = answerToEnd(record, {
        key,
        endedAt,
        forgetAt,
        ...(generation === undefined ? {} : { generation }),
      })
      const tombstone = { key, endedAt, forgetAt: Math.max(forgetAt, isEnded ? held.forgetAt : 0) }
      return { outcome: { kind: 'end', result }, ...(result === 'superseded' ? {} : { next: tombstone }) }
    }
    case 'install': {
      const { whole } = operation
      const takes = isTombstone(whole) || takesPlace(record, isEnded, whole)
      return { outcome: { kind: 'install' }, ...(takes ? { next: whole } : {}) }
    }
  }
}

/** A change of owner begins a new incarnation; the sequence goes on. */
function inIncarnation(record: SessionRecord, incarnation: number): SessionRecord {
  if (record.version.incarnation >= incarnation) return record
  return { ...record, version: { incarnation, sequence: record.version.sequence } }
}
