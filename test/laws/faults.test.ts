import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { LawBrokenError, lawsFor } from '../../src/laws/index.ts'
import { faults } from './faults.ts'
import { startLocalFleet } from './fleets.ts'
import { rulesStore, Shelf } from './rules-store.ts'

const seenByEveryTest = process.env['LAWS_ALL_FAULTS'] === '1'

describe('a deliberate fault breaks a law:', () => {
  for (const { title, seenBy, View, createSessions } of faults) {
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
        else if (error) seen.push(`not by a law: ${String(error)}`)
      }
      for (const line of seen) t.diagnostic(line.slice(0, 300))
      assert.ok(
        seen.some((line) => line.startsWith('law ')),
        `seen by no test of ${seenBy}`,
      )
    })
  }
})
