import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { LawBrokenError, laws, proveLaws, storeExcuses } from '../../src/laws/index.ts'
import type { StoreDefinition } from '../../src/core/index.ts'
import { cookieStore } from '../../src/stores/cookie/index.ts'
import { memoryStore } from '../../src/stores/memory/index.ts'
import { freePorts } from '../support/ports.ts'
import { needs } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'
import { removeFolder, temporaryFolder } from '../support/folders.ts'
import { sharing, startLocalFleet, startProcessFleet } from './fleets.ts'
import { revocable } from './stores.ts'

const revocableExcuses = storeExcuses['cookie with revocations']

describe('cookie, two nodes in one process,', async () => {
  const fleet = await startLocalFleet(2, () => cookieStore(), { rotates: false })
  after(() => fleet[Symbol.asyncDispose]())
  proveLaws({ fleet, excuses: storeExcuses.cookie, partial: true, test: keeps })
})

describe('cookie, three processes,', async () => {
  const fleet = await startProcessFleet(3, 'cookie')
  after(() => fleet[Symbol.asyncDispose]())
  proveLaws({ fleet, excuses: storeExcuses.cookie, test: keeps })
})

describe('cookie with revocations in memory, two nodes in one process,', async () => {
  const shared = sharing(memoryStore())
  const fleet = await startLocalFleet(2, () => revocable({ ...shared(), shared: true }))
  after(() => fleet[Symbol.asyncDispose]())
  proveLaws({ fleet, excuses: revocableExcuses, partial: true, test: keeps })
})

describe('cookie with revocations in sqlite, three processes,', async () => {
  const folder = temporaryFolder()
  const fleet = await startProcessFleet(3, 'cookie on sqlite', () => join(folder, 'ends.db'))
  after(async () => {
    await fleet[Symbol.asyncDispose]()
    removeFolder(folder)
  })
  proveLaws({ fleet, excuses: revocableExcuses, test: keeps })
})

describe('cookie with revocations in redis, three processes,', { skip: needs('redis-server') }, async () => {
  if (needs('redis-server') !== false) return
  const redis = await startRedis()
  const fleet = await startProcessFleet(3, 'cookie on redis', () => redis.url)
  after(async () => {
    await fleet[Symbol.asyncDispose]()
    await redis[Symbol.asyncDispose]()
  })
  proveLaws({ fleet, excuses: revocableExcuses, test: keeps })
})

describe('cookie with revocations in the mesh, three processes,', async () => {
  const ports = await freePorts(3)
  const peers = ports.map((port) => `127.0.0.1:${port}`)
  const places = ports.map((port) => JSON.stringify({ listen: { host: '127.0.0.1', port }, peers }))
  const fleet = await startProcessFleet(3, 'cookie on mesh', (node) => places[node] ?? '')
  after(() => fleet[Symbol.asyncDispose]())
  proveLaws({ fleet, excuses: revocableExcuses, test: keeps })
})

describe('a deliberate fault of the revocations breaks a law:', () => {
  const faults = {
    'a logout does not wait for the lease of others': 'logout-slow-write',
    'a login does not wait for the lease of others': 'old-token',
    'a rotation does not wait for the lease of others': 'thief-before-owner',
  }
  for (const [title, seenBy] of Object.entries(faults)) {
    test(title, async () => {
      const shared = sharing(memoryStore())
      // Said to be shared with nobody, so that nobody is waited for.
      const store = (): StoreDefinition => cookieStore({ revocations: { ...shared(), shared: false }, lease: '1s' })
      await using fleet = await startLocalFleet(2, store)
      const law = laws.find(({ id }) => id === seenBy)
      await assert.rejects(law?.run(fleet) ?? Promise.resolve(), (error: unknown) => error instanceof LawBrokenError)
    })
  }
})

function keeps(title: string, body: () => Promise<void>): void {
  void test(`keeps ${title}`, body)
}
