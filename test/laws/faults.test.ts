import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { join } from 'node:path'
import { temporaryFolder } from '../support/folders.ts'
import { LawBrokenError, laws, lawsFor } from '../../src/laws/index.ts'
import { engineFaults } from './engine-faults.ts'
import { startLocalFleet, startProcessFleet } from './fleets.ts'
import { rulesStore, Shelf } from './rules-store.ts'
import { storeFaults } from './store-faults.ts'

const seenByEveryTest = process.env['LAWS_ALL_FAULTS'] === '1'

test('a node that acknowledges before it has written is seen by the kill of its process', async (t) => {
  const folder = temporaryFolder()
  await using fleet = await startProcessFleet(2, 'sqlite behind', () => join(folder, 'sessions.db'))
  const law = laws.find(({ id }) => id === 'kill-after-answer')
  await assert.rejects(law?.run(fleet) ?? Promise.resolve(), (error: unknown) => {
    t.diagnostic(String(error).slice(0, 300))
    return error instanceof LawBrokenError && error.law === 6
  })
})

describe('a deliberate fault breaks a law:', () => {
  for (const { title, seenBy, View, createSessions } of [...storeFaults, ...engineFaults]) {
    test(title, async (t) => {
      const shelf = new Shelf()
      await using fleet = await startLocalFleet(
        2,
        () => rulesStore(shelf, View),
        createSessions ? { createSessions } : {},
      )
      const tests = lawsFor({ fleet, partial: true })
      const chosen = seenByEveryTest ? tests : tests.filter(({ id }) => id === seenBy)
      const seen: string[] = []
      for (const law of chosen) {
        const error: unknown = await law.run(fleet).catch((reason: unknown) => reason)
        if (error instanceof LawBrokenError) seen.push(`law ${error.law} (${error.test}): ${error.seen}`)
        else if (error) seen.push(`not by a law: ${inspect(error)}`)
      }
      for (const line of seen) t.diagnostic(line.slice(0, 300))
      assert.ok(
        seen.some((line) => line.startsWith('law ')),
        `seen by no test of ${seenBy}`,
      )
    })
  }
})
