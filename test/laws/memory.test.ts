import { after, describe, test } from 'node:test'
import { lawsFor, proveLaws, storeExcuses } from '../../src/laws/index.ts'
import { memoryStore } from '../../src/stores/memory/index.ts'
import { sharing, startLocalFleet, startProcessFleet } from './fleets.ts'

describe('memory, two createSessions in one process,', async () => {
  const fleet = await startLocalFleet(2, sharing(memoryStore()))
  after(() => fleet[Symbol.asyncDispose]())
  proveLaws({ fleet, partial: true, test: (title, body) => test(`keeps ${title}`, body) })
})

describe('memory in two processes', async () => {
  const fleet = await startProcessFleet(2, 'memory')
  after(() => fleet[Symbol.asyncDispose]())
  const excuses = storeExcuses.memory
  const refusals = new Set(excuses.map(({ refusal }) => refusal))
  for (const law of lawsFor({ fleet, excuses }).filter((each) => refusals.has(each))) {
    test(`is excused from law ${law.law}, and instead: ${law.title}`, () => law.run(fleet))
  }
})
