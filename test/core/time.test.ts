import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { createFleet, createVisitor, onlyRecord } from './fleet.ts'

const isLive = (isNew: boolean): boolean => !isNew

suite('timeouts are enforced at read, whatever the store still has', () => {
  test('the idle timeout: one millisecond before its end a session is there, then not', async () => {
    const { sessions, clock, store } = createFleet({ idleTimeout: '10m' })
    const client = await createVisitor(sessions)
    const copy = client.clone()
    clock.advance(10 * 60_000 - 1)
    assert.equal((await sessions.open(client.request)).isNew, false)
    clock.advance(1)
    assert.equal((await sessions.open(copy.request)).isNew, true)
    assert.equal(await sessions.get(onlyRecord(store).key), undefined)
    assert.equal(await sessions.revoke(onlyRecord(store).key), false)
    await assert.rejects(
      sessions.update(onlyRecord(store).key, 'n', (n) => n),
      { code: 'session_gone' },
    )
  })

  test('use puts the idle end off, the absolute end stays', async () => {
    const { sessions, clock } = createFleet({ idleTimeout: '10m', absoluteTimeout: '25m' })
    const client = await createVisitor(sessions)
    for (const minutes of [9, 18, 24]) {
      clock.advance(minutes === 24 ? '6m' : '9m')
      assert(isLive(await client.visit(sessions, ({ isNew }) => isNew)), `${minutes} minutes`)
    }
    clock.advance('1m')
    assert(!isLive(await client.visit(sessions, ({ isNew }) => isNew)))
  })

  test('the absolute timeout begins anew at login', async () => {
    const { sessions, clock, store } = createFleet({ absoluteTimeout: '1h' })
    const client = await createVisitor(sessions)
    for (const _ of [1, 2]) {
      clock.advance('25m')
      await client.visit(sessions, ({ data }) => data.n)
    }
    await client.visit(sessions, (session) => session.login('ann'))
    const { createdAt, startedAt } = onlyRecord(store)
    assert.equal(startedAt - createdAt, 50 * 60_000)
    for (const _ of [1, 2]) {
      clock.advance('25m')
      assert(isLive(await client.visit(sessions, ({ isNew }) => isNew)))
    }
    clock.advance('10m')
    assert(!isLive(await client.visit(sessions, ({ isNew }) => isNew)))
  })

  test('a shorter policy holds at once, a longer one does not lengthen a life that had an end', async () => {
    const fleet = createFleet({ idleTimeout: '30m' })
    const client = await createVisitor(fleet.sessions)
    const shorter = createFleet({ idleTimeout: '10m' }, 1, fleet)
    const longer = createFleet({ idleTimeout: '60m' }, 1, fleet)
    fleet.clock.advance('11m')
    assert.equal((await shorter.sessions.open(client.request)).isNew, true)
    assert.equal((await fleet.sessions.open(client.request)).isNew, false)
    fleet.clock.advance('19m')
    assert.equal((await longer.sessions.open(client.request)).isNew, true)
  })

  test('a change under way when the time is over is dropped, and brings nothing back', async () => {
    const { sessions, clock, store, eventNames } = createFleet({ idleTimeout: '10m' })
    const client = await createVisitor(sessions)
    const slow = await sessions.open(client.request)
    slow.data.n = 9
    clock.advance('11m')
    client.take(await sessions.commit(slow))
    assert.equal(onlyRecord(store).fields.get('n')?.value, '1')
    assert.deepEqual(eventNames(), ['created', 'changeDropped'])
    assert.equal((await sessions.open(client.request)).isNew, true)
  })

  test('the session tells its times', async () => {
    const { sessions, clock } = createFleet({ idleTimeout: '10m', absoluteTimeout: '15m' })
    const start = clock.now()
    const client = await createVisitor(sessions)
    clock.advance('8m')
    await client.visit(sessions, (session) => session.save())
    const session = await sessions.open(client.request)
    const view = await sessions.get(session.key)
    for (const { createdAt, lastSeenAt, expiresAt } of [session, view ?? session]) {
      const minutes = [createdAt, lastSeenAt, expiresAt].map((time) => (time.getTime() - start) / 60_000)
      assert.deepEqual(minutes, [0, 8, 15])
    }
  })
})

suite('touch', () => {
  test('a read writes nothing within 1/20 of the idle timeout, then one touch', async () => {
    const { sessions, clock, store } = createFleet({ idleTimeout: '20m' })
    const client = await createVisitor(sessions)
    store.calls.length = 0
    clock.advance(59_999)
    for (const _ of [1, 2, 3]) await client.visit(sessions, ({ data }) => data.list.length)
    assert.deepEqual(store.calls, ['read', 'read', 'read'])
    clock.advance(1)
    for (const _ of [1, 2]) await client.visit(sessions, ({ data }) => data.n)
    assert.deepEqual(store.calls.slice(3), ['read', 'apply', 'read'])
    assert.equal(onlyRecord(store).lastSeenAt, clock.now())
  })

  test('a change is a touch', async () => {
    const { sessions, clock, store } = createFleet({ idleTimeout: '20m' })
    const client = await createVisitor(sessions)
    clock.advance('5m')
    store.calls.length = 0
    await client.visit(sessions, ({ data }) => void (data.n = 2))
    assert.deepEqual(store.calls, ['read', 'apply'])
  })

  test('of a session that ended meanwhile is dropped without a word', async () => {
    const { sessions, clock, eventNames } = createFleet()
    const client = await createVisitor(sessions)
    clock.advance('10m')
    const slow = await sessions.open(client.request)
    await sessions.revoke(slow.key)
    assert.deepEqual(await sessions.commit(slow), [])
    assert.deepEqual(eventNames(), ['created', 'ended'])
  })
})

suite('outside a request', () => {
  test('get reads a copy', async () => {
    const { sessions } = createFleet()
    const client = await createVisitor(sessions)
    await client.visit(sessions, ({ data }) => (data.list.push('a'), void (data['__proto__' as string] = 5)))
    const { key } = await sessions.open(client.request)
    const view = await sessions.get(key)
    assert.deepEqual(Object.entries(view?.data ?? {}), [
      ['n', 1],
      ['list', ['a']],
      ['__proto__', 5],
    ])
    assert.equal(view?.user, null)
    view.data.list.push('b')
    assert.deepEqual((await sessions.get(key))?.data.list, ['a'])
    assert.equal(await sessions.get('unknown'), undefined)
  })

  test('update counts as no use: the idle timeout goes on', async () => {
    const { sessions, clock, store } = createFleet({ idleTimeout: '10m' })
    const client = await createVisitor(sessions)
    const { key, lastSeenAt, expiresAt } = onlyRecord(store)
    clock.advance('6m')
    assert.equal(await sessions.update(key, 'n', (n) => n + 1), 2)
    assert.deepEqual([onlyRecord(store).lastSeenAt, onlyRecord(store).expiresAt], [lastSeenAt, expiresAt])
    assert.equal((await sessions.open(client.request)).data.n, 2)
    clock.advance('4m')
    assert.equal((await sessions.open(client.request)).isNew, true)
  })

  test('update goes through a login that comes between', async () => {
    const { sessions, other, store } = createFleet({}, 2)
    const client = await createVisitor(sessions)
    const { key } = onlyRecord(store)
    let isFirst = true
    store.around = async (call, run) => {
      const result = await run()
      if (call === 'read' && isFirst) {
        isFirst = false
        await client.visit(other, (session) => session.login('ann'))
      }
      return result
    }
    assert.equal(await sessions.update(key, 'n', (n) => n + 1), 2)
  })

  test('what is no key is a TypeError, since to find nothing would look like success', async () => {
    const { sessions } = createFleet()
    const session = await sessions.open({ headers: {} })
    for (const key of [undefined, '', session] as never[]) {
      await assert.rejects(sessions.revoke(key), { name: 'TypeError', message: /^revoke\(key\)/ })
      await assert.rejects(sessions.get(key), { name: 'TypeError', message: /^get\(key\)/ })
      await assert.rejects(
        sessions.update(key, 'n', () => 1),
        { name: 'TypeError', message: /^update\(key\)/ },
      )
    }
  })

  test('revoke ends the session, and tells whether there was one', async () => {
    const { sessions, store, events } = createFleet()
    const client = await createVisitor(sessions)
    await client.visit(sessions, (session) => session.login('ann'))
    const { key } = onlyRecord(store)
    assert.equal(await sessions.revoke(key), true)
    assert.equal(await sessions.revoke(key), false)
    assert.deepEqual(events.at(-1), ['ended', { key, user: 'ann', reason: 'revoked' }])
    assert.equal((await sessions.open(client.request)).isNew, true)
  })
})

suite('hint', () => {
  test('of a version that the store does not have: told, and served', async () => {
    const { sessions, store, events } = createFleet()
    const client = await createVisitor(sessions)
    client.cookies.set('__Host-sid-v', '0.z')
    assert.equal((await sessions.open(client.request)).data.n, 1)
    const { key } = onlyRecord(store)
    const [seen, stored] = [35, 1].map((sequence) => ({ incarnation: 0, sequence }))
    assert.deepEqual(events.at(-1), ['stale', { key, seen, stored }])
  })

  test('of a version that was lost before the present incarnation began: told, and not of one that was kept', async () => {
    const { sessions, store, events } = createFleet()
    const client = await createVisitor(sessions)
    const record = onlyRecord(store)
    const { key } = record
    const stored = { incarnation: 7, sequence: 5 }
    store.records.set(key, { ...record, version: stored, forkedFrom: { incarnation: 0, sequence: 4 } })
    for (const hint of ['0.4', '7.5']) {
      client.cookies.set('__Host-sid-v', hint)
      await sessions.open(client.request)
      assert.equal(events.at(-1)?.[0], 'created')
    }
    for (const [hint, seen] of [
      ['0.5', { incarnation: 0, sequence: 5 }],
      ['3.1', { incarnation: 3, sequence: 1 }],
    ] as const) {
      client.cookies.set('__Host-sid-v', hint)
      await sessions.open(client.request)
      assert.deepEqual(events.at(-1), ['stale', { key, seen, stored }])
    }
  })

  test('of a session that the store does not have: told, with nothing stored', async () => {
    const { sessions, store, events } = createFleet()
    const client = await createVisitor(sessions)
    const { key } = onlyRecord(store)
    store.records.clear()
    assert.equal((await sessions.open(client.request)).isNew, true)
    const seen = { incarnation: 0, sequence: 1 }
    assert.deepEqual(events.at(-1), ['stale', { key, seen, stored: null }])
  })

  test('of any other text, or none, is as if it were not there', async () => {
    const { sessions, eventNames } = createFleet()
    const client = await createVisitor(sessions)
    for (const hint of ['', 'x', '0.', '-1.1', '0.1.9', '%00', '0.1']) {
      client.cookies.set('__Host-sid-v', hint)
      assert.equal((await sessions.open(client.request)).data.n, 1)
    }
    assert.deepEqual(eventNames(), ['created'])
  })
})
