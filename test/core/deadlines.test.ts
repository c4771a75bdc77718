import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { Deadlines } from '../../src/core/deadlines.ts'

describe('deadlines with one timer', () => {
  test('tell each that is late, in the order in which they began, and nobody who was done', async () => {
    const deadlines = new Deadlines(5)
    const late: string[] = []
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    deadlines.begin(() => {
      late.push('first')
      first.resolve()
    })
    const done = deadlines.begin(() => late.push('done'))
    assert.equal(deadlines.end(done), true)
    assert.equal(deadlines.end(done), false)
    await first.promise
    deadlines.begin(() => {
      late.push('second')
      second.resolve()
    })
    await second.promise
    await deadlines.drained()
    assert.deepEqual(late, ['first', 'second'])
  })

  test('tell the others where one whom they told has thrown', async () => {
    const program = `
      const { Deadlines } = await import(${JSON.stringify(new URL('../../src/core/deadlines.ts', import.meta.url).href)})
      process.on('uncaughtException', ({ message }) => console.log(message))
      const deadlines = new Deadlines(5)
      deadlines.begin(() => { throw new Error('thrown') })
      deadlines.begin(() => console.log('told'))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program])
    assert.equal(stdout, 'thrown\ntold\n')
  })

  test('keep the process while something is waited for, and no longer', async () => {
    const program = `
      const { Deadlines } = await import(${JSON.stringify(new URL('../../src/core/deadlines.ts', import.meta.url).href)})
      const deadlines = new Deadlines(2 ** 31 - 1)
      deadlines.end(deadlines.begin(() => {}))
      new Deadlines(5).begin(() => console.log('late'))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program])
    assert.equal(stdout, 'late\n')
  })
})
