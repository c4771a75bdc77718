/** What a copy of a 1 KB session needs on a node. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { startRedis } from '../../test/support/redis.ts'
import { toTable } from '../load.ts'

const SESSIONS = 20_000

export interface CopiesMeasured {
  readonly sessions: number
  readonly copies: number
  readonly counted: number
  readonly heap: number
  readonly resident: number
}

export async function run(): Promise<void> {
  await using redis = await startRedis()
  const child = fork(new URL('../apps/copies-child.ts', import.meta.url), [redis.url, `${SESSIONS}`], {
    execArgv: ['--expose-gc'],
  })
  const [{ copies, counted, heap, resident }] = (await once(child, 'message')) as [CopiesMeasured]
  await once(child, 'exit')
  console.log(`\n### Copies of ${SESSIONS} sessions of 1 KB, bytes each\n`)
  const each = (bytes: number): string => (bytes / copies).toFixed(0)
  console.log(
    toTable(
      ['copies', 'as the near cache counts', 'heap, after a collection', 'resident memory'],
      [[copies, each(counted), each(heap), each(resident)]],
    ),
  )
}
