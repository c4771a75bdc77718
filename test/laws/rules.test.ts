import { after, describe, test } from 'node:test'
import { lawsFor } from '../../src/laws/index.ts'
import { startLocalFleet } from './fleets.ts'
import { rulesStore, Shelf } from './rules-store.ts'

describe('the laws on the rules alone, two nodes', async () => {
  const shelf = new Shelf()
  const fleet = await startLocalFleet(2, () => rulesStore(shelf))
  after(() => fleet[Symbol.asyncDispose]())
  for (const law of lawsFor({ fleet, partial: true })) test(`law ${law.law}: ${law.title}`, () => law.run(fleet))
})
