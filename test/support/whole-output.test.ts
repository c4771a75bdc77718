import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startProcess } from './processes.ts'

const runner = fileURLToPath(new URL('../../scripts/run-tests.ts', import.meta.url))
const file = fileURLToPath(new URL('many-tests.ts', import.meta.url))

test('the runner counts every test of a file that has much to report and does not end by itself, 3 times of 3', async () => {
  const counted = [1, 2, 3].map(async () => {
    await using run = startProcess(process.execPath, [runner, file])
    assert.deepEqual(await run.exited, { code: 0, signal: null }, run.output.slice(-2_000))
    await run.printed(/^\S+ tests 1000$/m)
  })
  await Promise.all(counted)
})
