import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { toMilliseconds } from '../../src/core/duration.ts'
import { createFleet } from './fleet.ts'

suite('durations', () => {
  test('are milliseconds, or a number with a unit', () => {
    const cases = {
      '500ms': 500,
      '30s': 30_000,
      '1.5m': 90_000,
      '12h': 43_200_000,
      '7d': 604_800_000,
      '0.5s': 500,
    } as const
    for (const [text, ms] of Object.entries(cases)) assert.equal(toMilliseconds('x', text as '1s'), ms)
    assert.equal(toMilliseconds('x', 250), 250)
    assert.equal(toMilliseconds('x', Infinity), Infinity)
  })

  test('anything else is a TypeError that names the option', () => {
    const wrong = [
      0,
      -1,
      Number.NaN,
      '',
      '30',
      '30 s',
      '-5s',
      '0s',
      '1e3s',
      '5w',
      's',
      '1h30m',
      null,
      undefined,
      {},
      [],
      5n,
    ]
    for (const duration of wrong) {
      assert.throws(() => toMilliseconds('idleTimeout', duration as never), {
        name: 'TypeError',
        message: /^idleTimeout: /,
      })
    }
    assert.throws(() => toMilliseconds('deadline', '30d', 1000), { name: 'TypeError', message: /at most 1000/ })
  })
})

suite('options of createSessions', () => {
  const wrong: [object, RegExp][] = [
    [{ idleTimeOut: '5m' }, /no option "idleTimeOut".*idleTimeout/],
    [{ store: undefined }, /store is missing.*memoryStore/],
    [{ store: {} }, /store is missing/],
    [{ secret: undefined }, /secret is missing/],
    [{ idleTimeout: '5 minutes' }, /idleTimeout/],
    [{ absoluteTimeout: 0 }, /absoluteTimeout/],
    [{ grace: '-1s' }, /grace/],
    [{ deadline: '30d' }, /deadline/],
    [{ deadline: Infinity }, /deadline/],
    [{ onInvalid: 'ignore' }, /onInvalid/],
    [{ maxBytes: 0 }, /maxBytes/],
    [{ maxBytes: Number.NaN }, /maxBytes/],
    [{ cookie: { name: '__Host-a', secure: false } }, /__Host-a/],
  ]
  for (const [options, message] of wrong) {
    test(`${JSON.stringify(Object.keys(options))} that does not fit is a TypeError at start: ${message.source}`, () => {
      assert.throws(() => createFleet(options), { name: 'TypeError', message })
    })
  }

  test('creating opens nothing', () => {
    const { store } = createFleet()
    assert.deepEqual(store.calls, [])
  })

  test('maxBytes bounds the session', async () => {
    const { sessions, store } = createFleet({ maxBytes: 100 })
    const session = await sessions.open({ headers: {} })
    session.data['text'] = 'x'.repeat(100)
    await assert.rejects(sessions.commit(session), { code: 'session_too_large', status: 413, field: 'text' })
    assert.deepEqual(store.calls, [])
  })
})

test('a session needs an end: both timeouts Infinity is a TypeError', () => {
  assert.throws(() => createFleet({ idleTimeout: Infinity, absoluteTimeout: Infinity }), {
    name: 'TypeError',
    message: /finite/,
  })
  createFleet({ idleTimeout: Infinity })
})
