/** Makers of changes and records for tests of stores: everything has a default, so that a test says only what matters to it. */

import { randomBytes } from 'node:crypto'
import type { Change, OperationId, SessionRecord, Tombstone } from '../../src/core/index.ts'

/** Real time, since a store outside this process cleans by a clock that no test turns. */
export const now: number = Date.now()
export const inAnHour: number = now + 3_600_000

/** A node as a store sees it: a slot, and a count that rises. */
export interface Node {
  next(): OperationId
}

export function createNode(slot: string = randomBytes(9).toString('base64url')): Node {
  let count = 0
  return { next: () => ({ slot, count: (count += 1) }) }
}

export function randomKey(): string {
  return randomBytes(32).toString('base64url')
}

const anyNode = createNode()

/** A change under generation 0. Without `operation` it is a new operation of one and the same node. */
export function changeOf(key: string, parts: Partial<Change> = {}): Change {
  return { key, operation: anyNode.next(), now, expiresAt: inAnHour, generation: 0, ...parts }
}

export function fieldsOf(fields: Record<string, string | null>): ReadonlyMap<string, string | null> {
  return new Map(Object.entries(fields))
}

export function tombstoneOf(key: string): Tombstone {
  return { key, endedAt: now, forgetAt: inAnHour }
}

/** An anonymous session of one field, at version 0.1. */
export function recordOf(key: string, parts: Partial<SessionRecord> = {}): SessionRecord {
  const version = { incarnation: 0, sequence: 1 }
  return {
    key,
    version,
    generation: 0,
    pending: false,
    floor: 0,
    retired: [],
    user: null,
    startedAt: now,
    createdAt: now,
    lastSeenAt: now,
    expiresAt: inAnHour,
    fields: new Map([['theme', { stamp: version, value: '"light"' }]]),
    operations: new Map([['elsewhere', { count: 1, version }]]),
    ...parts,
  }
}
