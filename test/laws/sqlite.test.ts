import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { proveLaws, storeExcuses } from '../../src/laws/index.ts'
import { sqliteStore } from '../../src/stores/sqlite/index.ts'
import { removeFolder, temporaryFolder } from '../support/folders.ts'
import { type OwnedFleet, startLocalFleet, startProcessFleet } from './fleets.ts'

describe('sqlite, two nodes in one process,', async () => {
  const folder = temporaryFolder()
  const path = join(folder, 'sessions.db')
  const fleet = await startLocalFleet(2, () => sqliteStore({ path }))
  after(() => end(fleet, folder))
  proveLaws({ fleet: { ...fleet, contents: contentsOf(folder) }, partial: true, test: keeps })
})

describe('sqlite, three processes,', async () => {
  const folder = temporaryFolder()
  const fleet = await startProcessFleet(3, 'sqlite', () => join(folder, 'sessions.db'))
  after(() => end(fleet, folder))
  proveLaws({ fleet: { ...fleet, contents: contentsOf(folder) }, excuses: storeExcuses.sqlite, test: keeps })
})

function keeps(title: string, body: () => Promise<void>): void {
  void test(`keeps ${title}`, body)
}

/** The bytes of the database and its log. */
function contentsOf(folder: string) {
  return async () => readdirSync(folder).map((name) => readFileSync(join(folder, name)))
}

async function end(fleet: OwnedFleet, folder: string): Promise<void> {
  await fleet[Symbol.asyncDispose]()
  removeFolder(folder)
}
