import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OldSessions } from '../../../src/core/index.ts'
import { connectRedis, type OldSessionsDefinition } from '../../../src/stores/redis/index.ts'
import { createSelector } from '../../../src/token/index.ts'
import type { OpenRedisStore } from '../redis-support.ts'
import { OLD_SECRET } from './support.ts'

/** What a Redis store promises of old sessions, wherever their keys are. */
export function oldSessionsContract(
  title: string,
  openStore: (migrateFrom: OldSessionsDefinition) => Promise<OpenRedisStore>,
): void {
  test(`${title}: an old session is put, read, replaced unless it has changed, and removed`, async () => {
    await using open = await openStore(connectRedis({ secret: OLD_SECRET, write: 'both' }))
    const { oldSessions } = open.store
    assert.ok(oldSessions)
    // In a Cluster they are on all masters.
    await Promise.all(Array.from({ length: 12 }, () => goThrough(oldSessions)))
  })
}

async function goThrough(old: OldSessions): Promise<void> {
  const selector = createSelector()
  const id = old.createId(selector)
  assert.deepEqual(old.selectorOf(id), selector)
  assert.notEqual(old.createId(selector), id)
  assert.equal(await old.read(id), undefined)
  assert.equal(await old.replace(id, 'first', 'second', 60_000), false, 'nothing is brought into being')
  await old.put(id, 'äß first', 60_000)
  assert.equal(await old.replace(id, 'other', 'second', 60_000), false)
  assert.equal(await old.replace(id, 'äß first', '"second"', 60_000), true)
  assert.equal(await old.replace(id, 'äß first', '"second"', 60_000), true, 'sent again')
  await old.touch(id, 60_000.5)
  assert.equal(await old.read(id), '"second"')
  await old.remove(id)
  await old.remove(id)
  await old.touch(id, 60_000)
  assert.equal(await old.read(id), undefined)
}
