import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { StoreDefinition } from '../../src/core/index.ts'
import { memoryStore } from '../../src/stores/memory/index.ts'
import { redisStore } from '../../src/stores/redis/index.ts'
import { sqliteStore } from '../../src/stores/sqlite/index.ts'
import { removeFolder, temporaryFolder } from '../support/folders.ts'
import { needs } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'
import { sharing } from './fleets.ts'
import { playSchedules } from './theft-schedules.ts'

/** A sample; 1,000 on each store take minutes. */
const schedules = Number(process.env['SCHEDULES'] ?? 150)
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
console.log(`seeds from ${seed} (SEED=${seed} plays them again, SCHEDULES=1000 more of them)`)

const prove = (store: () => StoreDefinition): Promise<void> => playSchedules(store, schedules, seed)

describe(`in ${schedules} random schedules no honest client is taken for a thief, and every thief is seen,`, () => {
  test('on memory', () => prove(sharing(memoryStore())))

  test('on sqlite', async () => {
    const folder = temporaryFolder()
    try {
      await prove(() => sqliteStore({ path: join(folder, 'sessions.db') }))
    } finally {
      removeFolder(folder)
    }
  })

  test('on redis', { skip: needs('redis-server') }, async () => {
    await using redis = await startRedis()
    await prove(() => redisStore({ url: redis.url }))
  })
})
