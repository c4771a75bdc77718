import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { EventBus } from '../../src/core/events.ts'
import { createFleet, createVisitor } from './fleet.ts'

const rejectLater = (): unknown => Promise.reject(new Error('bad asynchronous listener'))

suite('events', () => {
  test('a listener that throws or rejects is logged and harms nobody', async () => {
    const { sessions, logged } = createFleet()
    const heard: string[] = []
    sessions.on('created', () => {
      throw new Error('bad listener')
    })
    sessions.on('created', rejectLater)
    sessions.on('created', ({ key }) => void heard.push(key))
    await createVisitor(sessions)
    await new Promise(setImmediate)
    assert.equal(heard.length, 1)
    assert.deepEqual(logged, Array(2).fill('a listener of sessions.on() failed'))
  })

  test('a name that is no event, and a listener that is no function, are a TypeError', () => {
    const { sessions } = createFleet()
    for (const name of ['logut', 'toString', undefined]) {
      assert.throws(() => sessions.on(name as 'login', () => {}), {
        name: 'TypeError',
        message: /the events are .*login/,
      })
    }
    assert.throws(() => sessions.on('login', undefined as never), { name: 'TypeError', message: /give a function/ })
  })

  test('a listener that was removed hears no more, and every event is counted', async () => {
    const { sessions } = createFleet()
    let heardCount = 0
    const stop = sessions.on('created', () => (heardCount += 1))
    await createVisitor(sessions)
    stop()
    stop()
    await createVisitor(sessions)
    assert.equal(heardCount, 1)
    assert.equal(sessions.stats().events['created'], 2)
    assert.equal(sessions.stats().storeCalls['apply'], 2)
  })

  test('trouble is logged without being asked for, everyday life is not', () => {
    const logged: string[] = []
    const logger = {
      info: () => {},
      warn: (facts: object) => void logged.push(`warn ${JSON.stringify(facts)}`),
      error: (facts: object) => void logged.push(`error ${JSON.stringify(facts)}`),
    }
    const bus = new EventBus(logger)
    bus.emit('created', { key: 'k' })
    bus.emit('ended', { key: 'k', user: null, reason: 'logout' })
    bus.emit('stale', { key: 'k', seen: { incarnation: 0, sequence: 1 }, stored: null })
    assert.deepEqual(logged, [])
    const event = { key: 'k', user: 'u', generation: 3, presentedBy: 'a', heldBy: 'b' }
    bus.emit('stolen', event)
    assert.deepEqual(logged, [`warn ${JSON.stringify(event)}`])
  })

  test('stats are a copy', () => {
    const { sessions } = createFleet()
    Object.assign(sessions.stats().events, { created: 99 })
    assert.equal(sessions.stats().events['created'], undefined)
  })
})

const request = (
  host: string,
  rest: object = {},
): Parameters<ReturnType<typeof createFleet>['sessions']['open']>[0] => ({
  headers: { host, ...rest },
  socket: {},
})

suite('a Secure cookie over plain http', () => {
  test('warns once, since browsers drop it; not for localhost, TLS or a proxy that ends it', async () => {
    const { sessions, logged } = createFleet()
    const fine = [
      request('localhost:3000'), request('app.localhost'), request('127.0.0.1:80'), request('[::1]:3000'),
      request('example.org', { 'x-forwarded-proto': 'https' }),
      { ...request('example.org'), socket: { encrypted: true } },
      { headers: { host: 'example.org' } },
    ] // prettier-ignore
    for (const each of fine) await sessions.open(each)
    assert.deepEqual(logged, [])
    for (const host of ['example.org', '192.168.0.7:3000', 'localhost.example.org']) await sessions.open(request(host))
    assert.equal(logged.length, 1)
    assert.match(logged[0] ?? '', /Secure cookie/)
  })

  test('does not warn where the cookie is not Secure', async () => {
    const { sessions, logged } = createFleet({ cookie: { secure: false } })
    await sessions.open(request('example.org'))
    assert.deepEqual(logged, [])
  })
})
