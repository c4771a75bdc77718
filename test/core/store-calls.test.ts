import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { suite, test } from 'node:test'
import { createSessions } from '../../src/index.ts'
import { Client, createFleet, createGate, createVisitor, secret } from './fleet.ts'

function throwing(): never {
  throw new Error('synchronous')
}

suite('a store that fails', () => {
  const rubbish: unknown[] = [new Error('connection reset'), 'text', null, undefined, 7, { code: 'ECONNREFUSED' }]

  test('whatever it throws is store_unavailable, with the cause; nothing is set, and the event tells', async () => {
    for (const cause of rubbish) {
      const fleet = createFleet()
      const client = await createVisitor(fleet.sessions)
      fleet.store.around = () => Promise.reject(cause)
      const expected = {
        code: 'store_unavailable',
        status: 503,
        statusCode: 503,
        headers: { 'retry-after': '1' },
        cause,
      }
      await assert.rejects(fleet.sessions.open(client.request), expected)
      const [name, event] = fleet.events.at(-1) ?? []
      assert.equal(name, 'storeFailed')
      assert.equal((event as { call: string }).call, 'read')
    }
  })

  test('a logger that throws has the call reject, and leaves nobody waiting', async () => {
    const { store } = createFleet()
    store.around = () => Promise.reject(new Error('connection reset'))
    const logger = { info() {}, warn: throwing, error: throwing }
    const sessions = createSessions({ store, secret, initial: () => ({}), logger })
    await assert.rejects(sessions.get('k'.repeat(43)), { message: 'synchronous' })
  })

  test('also where a method throws before it gives a promise', async () => {
    const fleet = createFleet()
    const store = {
      ...fleet.store,
      open: () => ({ ...fleet.store.open({} as never), read: throwing, ready: throwing }),
    }
    const { sessions } = createFleet({ store })
    const client = await createVisitor(fleet.sessions)
    const expected = { code: 'store_unavailable', message: /synchronous/ }
    await assert.rejects(sessions.ready(), expected)
    await assert.rejects(sessions.open(client.request), expected)
    const late = createFleet({ store: { ...store, open: () => ({ ...store.open(), ready: () => Promise.resolve() }) } })
    await assert.rejects(late.sessions.open(client.request), expected)
  })

  test('at commit: the request fails, and a later one does not find half of it', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    const session = await sessions.open(client.request)
    session.data.n = 2
    store.around = () => Promise.reject(new Error('away'))
    await assert.rejects(sessions.commit(session), { code: 'store_unavailable' })
    store.around = (_, run) => run()
    assert.equal((await sessions.open(client.request)).data.n, 1)
  })

  test('a request that only read does not wait for the writes of others, and one that wrote waits for its own', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    const [writer, reader] = [await sessions.open(client.request), await sessions.open(client.request)]
    const goOn = createGate()
    store.around = async (_, run) => {
      await goOn.opened
      return run()
    }
    const updated = writer.update('n', (n) => n + 1)
    assert.deepEqual(await sessions.commit(reader), [])
    const committed = sessions.commit(writer)
    goOn.open()
    assert.equal(await updated, 2)
    assert.match((await committed).join(), /sid-v=/)
  })

  test('an answer that came while the process was busy for longer than the deadline counts', async () => {
    const { sessions, store } = createFleet({ deadline: '20ms' })
    const client = await createVisitor(sessions)
    store.around = async (_, run) => {
      await stat(import.meta.filename) // an answer that comes by way of the event loop, as a socket's does
      return run()
    }
    const opening = sessions.open(client.request)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
    assert.equal((await opening).data.n, 1)
  })

  test('one that does not answer is store_timeout after the deadline, and the calls after it go on', async () => {
    const { sessions, store } = createFleet({ deadline: '20ms' })
    const client = await createVisitor(sessions)
    const session = await sessions.open(client.request)
    const goOn = createGate()
    store.around = (_, run) => goOn.opened.then(run)
    session.data.n = 2
    await assert.rejects(session.save(), { code: 'store_timeout', status: 503, message: /apply within 20 ms/ })
    store.around = (_, run) => run()
    session.data.n = 3
    await session.save()
    goOn.open()
    await new Promise(setImmediate)
    assert.equal((await sessions.open(client.request)).data.n, 3, 'the change that was given up does not overtake')
  })

  test('health tells what it is, and never throws', async () => {
    const { sessions, store } = createFleet()
    assert.deepEqual(await sessions.health(), { ok: true, store: 'shared' })
    store.around = () => Promise.reject(new Error('away'))
    const health = await sessions.health()
    assert.deepEqual([health.ok, health.store, health.error?.code], [false, 'shared', 'store_unavailable'])
    assert.match(health.error?.message ?? '', /away/)
    await sessions.close().catch(() => {})
    assert.equal((await sessions.health()).error?.code, 'closed')
  })
})

suite('ready', () => {
  test('opens the store once, before anything else; without it the first request does', async () => {
    for (const isAsked of [true, false]) {
      const { sessions, store } = createFleet()
      const calls: string[] = []
      store.around = (call, run) => (calls.push(call), run())
      if (isAsked) await Promise.all([sessions.ready(), sessions.ready()])
      else assert.deepEqual(calls, [])
      await Promise.all([createVisitor(sessions), createVisitor(sessions)])
      assert.deepEqual(calls, ['ready', 'apply', 'apply'])
    }
  })

  test('rejects with the reason, and is tried again by the next call', async () => {
    const { sessions, store } = createFleet()
    let failCount = 0
    store.around = (call, run) =>
      call === 'ready' && (failCount += 1) <= 2 ? Promise.reject(new Error(`no route ${failCount}`)) : run()
    await assert.rejects(sessions.ready(), { code: 'store_unavailable', message: /no route 1/ })
    await assert.rejects(createVisitor(sessions), { code: 'store_unavailable', message: /no route 2/ })
    await createVisitor(sessions)
  })

  test('a request waits for it no longer than the deadline; what it was to do is not done afterwards', async () => {
    const { sessions, store } = createFleet({ deadline: '20ms' })
    const goOn = createGate()
    store.around = (call, run) => (call === 'ready' ? goOn.opened.then(run) : run())
    await assert.rejects(createVisitor(sessions), { code: 'store_unavailable', message: /not ready within 20 ms/ })
    goOn.open()
    await sessions.ready()
    await new Promise(setImmediate)
    assert.deepEqual(store.calls, [])
    await createVisitor(sessions)
  })
})

suite('close', () => {
  test('waits for the calls under way, closes the store once, and refuses what comes later', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    const session = await sessions.open(client.request)
    const done: string[] = []
    const [begun, goOn] = [createGate(), createGate()]
    store.around = async (call, run) => {
      begun.open()
      if (call === 'apply') await goOn.opened
      done.push(call)
      return run()
    }
    session.data.n = 2
    const saved = session.save()
    await begun.opened
    const closed = [sessions.close(), sessions.close(), sessions[Symbol.asyncDispose]()]
    await assert.rejects(sessions.open(client.request), { code: 'closed', status: 503 })
    await assert.rejects(sessions.ready(), { code: 'closed' })
    assert.deepEqual(done, [])
    goOn.open()
    await saved
    await Promise.all(closed)
    assert.deepEqual(done, ['apply', 'close'])
    assert.equal(sessions.stats().events['storeFailed'], undefined)
  })

  test('lets changes that wait for their turn come to their end', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    const session = await sessions.open(client.request)
    const goOn = createGate()
    store.around = async (call, run) => {
      if (call === 'apply') await goOn.opened
      return run()
    }
    const updates = [1, 2, 3].map(() => session.update('n', (n) => n + 1))
    const closed = sessions.close()
    goOn.open()
    assert.deepEqual(await Promise.all(updates), [2, 3, 4])
    await closed
    await assert.rejects(
      session.update('n', (n) => n + 1),
      { code: 'closed' },
    )
  })

  test('waits no longer than its deadline', async () => {
    const { sessions, store } = createFleet({ deadline: '30ms' })
    const client = await createVisitor(sessions)
    store.around = (call, run) => (call === 'read' ? new Promise(() => {}) : run())
    const opened = sessions.open(client.request)
    await sessions.close({ deadline: 5 })
    await assert.rejects(opened, { code: 'store_timeout' })
  })

  test('waits for a store that is still opening, so that nothing stays open', async () => {
    const { sessions, store } = createFleet()
    const done: string[] = []
    const goOn = createGate()
    store.around = async (call, run) => {
      if (call === 'ready') await goOn.opened
      done.push(call)
      return run()
    }
    const ready = sessions.ready()
    await new Promise(setImmediate)
    const closed = sessions.close()
    await new Promise(setImmediate)
    goOn.open()
    await Promise.all([ready, closed])
    assert.deepEqual(done, ['ready', 'close'])
  })

  test('a deadline that no timer can wait is a TypeError', () => {
    const { sessions } = createFleet()
    assert.throws(() => sessions.close({ deadline: '30d' }), TypeError)
    assert.throws(() => sessions.close({ deadline: 0 }), TypeError)
  })

  test('a visitor without a session needs no store, and is served', async () => {
    const { sessions } = createFleet()
    await sessions.close()
    await new Client().visit(sessions, ({ data }) => assert.equal(data.n, 0))
  })
})
