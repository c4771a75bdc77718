import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { toMilliseconds } from '../../src/core/duration.ts'
import { createSessions } from '../../src/index.ts'
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
    [{ store: () => ({}) }, /not called/],
    [{ secret: 42 }, /not text/],
    [{ initial: { n: 0 } }, /initial is a function/],
    [{ schema: { n: 'number' } }, /Standard Schema/],
    [{ logger: {} }, /logger has info, warn and error/],
    [{ clock: {} }, /clock has now/],
    [{ cookie: { samesite: 'strict' } }, /cookie has no option "samesite".*sameSite/],
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

  test('no options at all are a TypeError that says what is needed', () => {
    for (const options of [undefined, null, 'secret']) {
      assert.throws(() => createSessions(options as never), { name: 'TypeError', message: /store and a secret/ })
    }
  })

  test('initial() that returns no object at once is a TypeError that shows how to write it', async () => {
    for (const initial of [() => undefined, async () => ({ n: 0 }), () => [1], () => null]) {
      const { sessions } = createFleet({ initial: initial as never })
      await assert.rejects(sessions.open({ headers: {} }), { name: 'TypeError', message: /\(\{ views: 0 \}\)/ })
    }
  })

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
