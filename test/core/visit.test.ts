import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { createSecretBeside } from '../token/secrets.ts'
import { Client, createFleet, createVisitor, onlyRecord, secret } from './fleet.ts'

suite('a visitor who holds nothing', () => {
  test('without a cookie no store call is made, and none is set', async () => {
    const { sessions, store, events } = createFleet()
    const session = await sessions.open(new Client().request)
    assert.equal(session.isNew, true)
    assert.equal(session.user, null)
    assert.deepEqual({ ...session.data }, { n: 0, list: [] })
    session.data.n = 0
    await session.save()
    await session.rotate()
    await session.logout()
    assert.deepEqual(await sessions.commit(session), [])
    assert.deepEqual(store.calls, [])
    assert.deepEqual(events, [])
  })

  test('the session is stored once something is assigned, in one call, and opened by its cookie', async () => {
    const { sessions, store, eventNames } = createFleet()
    const client = await createVisitor(sessions)
    assert.deepEqual([...client.cookies.keys()], ['__Host-sid', '__Host-sid-v'])
    assert.deepEqual(store.calls, ['apply'])
    assert.deepEqual(eventNames(), ['created'])
    await client.visit(sessions, (session) => {
      assert.equal(session.isNew, false)
      assert.equal(session.key, onlyRecord(store).key)
      assert.equal(session.data.n, 1)
    })
    assert.deepEqual(store.calls, ['apply', 'read'])
  })

  test('what is set on the session instead of its data is an error, and not lost', async () => {
    const { sessions } = createFleet()
    const session = await sessions.open({ headers: {} })
    assert.throws(() => Object.assign(session, { views: 1 }), { name: 'TypeError', message: /views/ })
    for (const values of [null, undefined, [1], 'text']) {
      assert.throws(() => (session.data = values as never), { name: 'TypeError', message: /object of fields/ })
    }
    assert.deepEqual({ ...session.data }, { n: 0, list: [] })
  })

  test('a read answers with no cookie, a change with the hint alone', async () => {
    const { sessions } = createFleet()
    const client = await createVisitor(sessions)
    const open = async (): Promise<Awaited<ReturnType<typeof sessions.open>>> => sessions.open(client.request)
    assert.deepEqual(await sessions.commit(await open()), [])
    const session = await open()
    session.data.n = 2
    assert.deepEqual(await sessions.commit(session), [
      ['set-cookie', '__Host-sid-v=0.2; Path=/; HttpOnly; Secure; SameSite=Lax'],
    ])
  })

  test('what differs from initial is written, and nothing else, when a stored session changes', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    let written: string[] = []
    store.around = (_, run, change) => ((written = [...(change?.fields?.keys() ?? [])]), run())
    await client.visit(sessions, ({ data }) => void data.list.push('a'))
    assert.deepEqual(written, ['list'])
    await client.visit(sessions, ({ data }) => void delete data['list' as string])
    await client.visit(sessions, ({ data }) => assert.deepEqual({ ...data }, { n: 1 }))
  })
})

suite('a token that opens nothing', () => {
  const strange = ['', 'x', 'AQAA', '"', '%', 'undefined', '../../etc/passwd', 'A'.repeat(5000)]

  test('a mangled or foreign one is refused before the store is asked, counted, and not adopted', async () => {
    const { sessions, store, events } = createFleet()
    for (const value of strange) {
      store.calls.length = 0
      const client = new Client()
      client.cookies.set('__Host-sid', value)
      await client.visit(sessions, ({ isNew, data }) => assert.deepEqual([isNew, data.n], [true, 0]))
      assert.equal(client.token, value, 'no cookie was set')
      assert.deepEqual(store.calls, [])
      await client.visit(sessions, ({ data }) => void (data.n = 1))
      assert.notEqual(client.token, value)
      assert.deepEqual(store.calls, ['apply'])
    }
    assert.equal(sessions.stats().events['tokenRefused'], 2 * strange.length)
    assert(
      events.every(([name, event]) => name !== 'tokenRefused' || ('reason' in event && event.reason === 'refused')),
    )
  })

  test('one of a session that is no more is not adopted: the next change makes a new key and token', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    const { key } = onlyRecord(store)
    const old = client.token
    store.records.clear()
    await client.visit(sessions, ({ isNew, data }) => assert.deepEqual([isNew, data.n], [true, 0]))
    assert.equal(client.token, old)
    await client.visit(sessions, ({ data }) => void (data.n = 5))
    assert.notEqual(client.token, old)
    assert.notEqual(onlyRecord(store).key, key)
  })

  test('one of an unknown secret reads as empty and is left alone; the first write begins a session of its own', async () => {
    const { sessions, store, events } = createFleet()
    const foreign = createFleet({ secret: createSecretBeside(secret, false) })
    const client = await createVisitor(foreign.sessions)
    const before = client.token
    await client.visit(sessions, ({ data, isNew }) => assert.deepEqual([data.n, isNew], [0, true]))
    for (const harmless of ['logout', 'rotate', 'save'] as const) {
      await client.visit(sessions, (session) => session[harmless]())
    }
    assert.equal(client.token, before)
    assert.deepEqual(store.calls, [])
    assert.deepEqual(events[0], ['tokenRefused', { reason: 'unknownSecret' }])
    await client.visit(sessions, (session) => session.update('n', (n) => n + 5))
    assert.equal(await client.visit(sessions, ({ data }) => data.n), 5)
  })

  test('all are refused alike: nothing but the event tells why', async () => {
    const { sessions } = createFleet()
    const foreign = await createVisitor(createFleet({ secret: createSecretBeside(secret, false) }).sessions)
    const alike = await createVisitor(createFleet({ secret: createSecretBeside(secret, true) }).sessions)
    const own = (await createVisitor(sessions)).token ?? ''
    const flipped = `${own.slice(0, -4)}${own.slice(-4) === 'AAAA' ? 'BAAA' : 'AAAA'}`
    const shapes = new Set<string>()
    for (const token of ['', 'x', 'A'.repeat(5000), flipped, foreign.token ?? '', alike.token ?? '']) {
      const request = { headers: { cookie: `__Host-sid=${token}` } }
      const reading = await sessions.open(request)
      const readLines = await sessions.commit(reading)
      const writing = await sessions.open(request)
      writing.data.n = 1
      const names = (await sessions.commit(writing)).map(([name, line]) => `${name} ${line.split('=')[0]}`)
      shapes.add(JSON.stringify([reading.isNew, reading.user, { ...reading.data }, readLines, names]))
    }
    assert.equal(shapes.size, 1)
  })
})

suite('sessions', () => {
  test('of finds what open made, and says what is missing', async () => {
    const { sessions } = createFleet()
    const request = new Client().request
    assert.throws(() => sessions.of(request), { code: 'no_session', status: 500, message: /adapter/ })
    const session = await sessions.open(request)
    assert.equal(sessions.of(request), session)
    const frozen = Object.freeze(new Client().request)
    assert.equal(await sessions.open(frozen), sessions.of(frozen))
    await assert.rejects(async () => sessions.commit({ ...session }), TypeError)
  })

  test('a fetch request is read as one of Node is', async () => {
    const { sessions } = createFleet()
    const client = await createVisitor(sessions)
    const headers = new Headers(client.request.headers)
    assert.equal((await sessions.open({ headers })).data.n, 1)
    const lines = { cookie: [...client.cookies].map(([name, value]) => `${name}=${value}`) }
    assert.equal((await sessions.open({ headers: lines })).data.n, 1)
  })

  test('two applications with two cookie names on one store do not open the sessions of each other', async () => {
    const fleet = createFleet()
    const client = await createVisitor(fleet.sessions)
    const other = createFleet({ cookie: { name: '__Host-other' } }, 1, fleet)
    client.cookies.set('__Host-other', client.token ?? '')
    assert.equal((await other.sessions.open(client.request)).isNew, true)
  })
})

suite('a creation whose fate is unknown', () => {
  test('is tried again under another key, so that the request does not find its own session and call it gone', async () => {
    const { sessions, store } = createFleet()
    const client = new Client()
    store.around = async (call, run) => {
      const answer = await run()
      if (call !== 'apply') return answer
      store.around = (_, next) => next()
      throw new Error('the answer was lost')
    }
    await client.visit(sessions, async (session) => {
      await assert.rejects(
        session.update('n', (n) => n + 1),
        { code: 'store_unavailable' },
      )
      assert.equal(await session.update('n', (n) => n + 1), 1)
    })
    assert.equal((await sessions.open(client.request)).data.n, 1)
  })
})
