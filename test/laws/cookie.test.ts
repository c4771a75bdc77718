import { after, describe, test } from 'node:test'
import { proveLaws, storeExcuses } from '../../src/laws/index.ts'
import { cookieStore } from '../../src/stores/cookie/index.ts'
import { startLocalFleet, startProcessFleet } from './fleets.ts'

describe('cookie, two nodes in one process,', async () => {
  const fleet = await startLocalFleet(2, () => cookieStore())
  after(() => fleet[Symbol.asyncDispose]())
  proveLaws({ fleet, excuses: storeExcuses.cookie, partial: true, test: keeps })
})

describe('cookie, three processes,', async () => {
  const fleet = await startProcessFleet(3, 'cookie')
  after(() => fleet[Symbol.asyncDispose]())
  proveLaws({ fleet, excuses: storeExcuses.cookie, test: keeps })
})

function keeps(title: string, body: () => Promise<void>): void {
  void test(`keeps ${title}`, body)
}
