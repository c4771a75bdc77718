import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { StoreTimeoutError } from '../../src/core/errors.ts'
import { QUEUE_LENGTH_MAX } from '../../src/core/limits.ts'
import { Turns } from '../../src/core/turns.ts'
import { createGate } from './fleet.ts'

suite('turns', () => {
  test('one at a time for each key, in the order of arrival; keys do not wait for each other', async () => {
    const turns = new Turns()
    const order: string[] = []
    const goOn = createGate()
    const run = (key: string, name: string, before?: Promise<void>): Promise<void> =>
      turns.run(key, async () => {
        order.push(`${name} begins`)
        await before
        order.push(`${name} ends`)
      })
    const first = run('a', 'first', goOn.opened)
    const second = run('a', 'second')
    await run('b', 'other')
    assert.deepEqual(order, ['first begins', 'other begins', 'other ends'])
    goOn.open()
    await Promise.all([first, second])
    assert.deepEqual(order.slice(3), ['first ends', 'second begins', 'second ends'])
  })

  test('a turn that fails, or throws at once, does not hold up the next', async () => {
    const turns = new Turns()
    const failed = turns.run('a', () => Promise.reject(new Error('first')))
    const thrown = turns.run('a', () => { throw new Error('second') }) // prettier-ignore
    assert.equal(await turns.run('a', () => Promise.resolve(3)), 3)
    await assert.rejects(failed, /first/)
    await assert.rejects(thrown, /second/)
  })

  test('who waited for the whole of a turn that timed out fails with it; who came during it has a turn', async () => {
    const turns = new Turns()
    const [begun, goOn] = [createGate(), createGate()]
    const ran: string[] = []
    const run = (name: string): Promise<void> => turns.run('a', async () => void ran.push(name))
    const first = turns.run('a', async () => {
      begun.open()
      await goOn.opened
      throw new StoreTimeoutError('no answer')
    })
    const before = [run('before'), run('before')]
    await begun.opened
    const during = run('during')
    goOn.open()
    for (const waiting of [first, ...before]) await assert.rejects(waiting, { code: 'store_timeout' })
    await during
    await run('after')
    assert.deepEqual(ran, ['during', 'after'])
  })

  test('more waiting than the limit are refused with 503, and only while it is reached', async () => {
    const turns = new Turns()
    const goOn = createGate()
    const waiting = Array.from({ length: QUEUE_LENGTH_MAX }, () => turns.run('a', () => goOn.opened))
    await assert.rejects(
      turns.run('a', () => Promise.resolve()),
      { code: 'store_unavailable', status: 503 },
    )
    await turns.run('b', () => Promise.resolve())
    goOn.open()
    await Promise.all(waiting)
    await turns.run('a', () => Promise.resolve())
  })
})
