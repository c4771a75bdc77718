import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { StoreContext, StoreDefinition } from '../../src/core/store.ts'
import { createSharedStore } from '../support/shared-store.ts'
import { Client, createFleet, createGate, createVisitor, onlyRecord } from './fleet.ts'

suite('logout', () => {
  test('ends the session on every node and clears both cookies; a copied token opens nothing', async () => {
    const { sessions, nodes, other, store, events } = createFleet({}, 2)
    const client = await createVisitor(sessions)
    await client.visit(sessions, (session) => session.login('ann'))
    const { key } = onlyRecord(store)
    const copy = client.clone()
    await client.visit(other, (session) => session.logout())
    assert.equal(client.cookies.size, 0)
    assert.equal(store.records.size, 0)
    for (const node of nodes) await copy.visit(node, ({ user, isNew }) => assert.deepEqual([user, isNew], [null, true]))
    const ended = events.filter(([name]) => name === 'ended')
    assert.deepEqual(ended, [['ended', { key, user: 'ann', reason: 'logout' }]])
  })

  test('twice is once', async () => {
    const { sessions, eventNames } = createFleet()
    const client = await createVisitor(sessions)
    const copy = client.clone()
    await client.visit(sessions, async (session) => {
      await session.logout()
      await session.logout()
    })
    await copy.visit(sessions, (session) => session.logout())
    assert.deepEqual([client.cookies.size, copy.cookies.size], [0, 0])
    assert.deepEqual(eventNames(), ['created', 'ended', 'stale'])
  })

  test('in parallel on two nodes is one end', async () => {
    const { nodes, sessions, eventNames } = createFleet({}, 2)
    const client = await createVisitor(sessions)
    const opened = await Promise.all(nodes.map((node) => node.open(client.request)))
    await Promise.all(opened.map((session) => session.logout()))
    assert.deepEqual(eventNames(), ['created', 'ended'])
  })

  test('of a session made in the same request sets no cookie', async () => {
    const { sessions, store } = createFleet()
    const session = await sessions.open(new Client().request)
    await session.login('ann')
    await session.logout()
    assert.deepEqual(await sessions.commit(session), [])
    assert.equal(store.records.size, 0)
  })

  test('what is assigned afterwards begins a new session, also through data that was taken before', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    const { key } = onlyRecord(store)
    const before = client.token
    await client.visit(sessions, async (session) => {
      const { data } = session
      data.list.push('of the old one')
      await session.logout()
      assert.deepEqual({ ...data }, { n: 0, list: [] })
      data.n = 7
      assert.equal(session.key === key, false)
    })
    assert.notEqual(client.token, before)
    assert.notEqual(onlyRecord(store).key, key)
    assert.deepEqual(await client.visit(sessions, ({ data }) => ({ ...data })), { n: 7, list: [] })
  })
})

suite('a change in flight at logout', () => {
  test('is dropped at the commit, told by an event, and brings nothing back', async () => {
    const { sessions, store, events } = createFleet()
    const client = await createVisitor(sessions)
    const slow = await sessions.open(client.request)
    slow.data.n = 9
    await client.visit(sessions, (session) => session.logout())
    assert.deepEqual(await sessions.commit(slow), [])
    assert.equal(store.records.size, 0)
    assert.deepEqual(events.at(-1), ['changeDropped', { key: slow.key, fields: ['n'] }])
  })

  test('is an error where the handler asked for it by save or update', async () => {
    const { sessions } = createFleet()
    const client = await createVisitor(sessions)
    const slow = await sessions.open(client.request)
    slow.data.n = 9
    await client.visit(sessions, (session) => session.logout())
    await assert.rejects(slow.save(), { code: 'session_gone' })
    await assert.rejects(
      slow.update('n', (n) => n),
      { code: 'session_gone' },
    )
  })

  test('although its call was sent before and reaches the store after', async () => {
    const { sessions, other, store } = createFleet({}, 2)
    const client = await createVisitor(sessions)
    const slow = await sessions.open(client.request)
    slow.data.n = 9
    const [begun, goOn] = [createGate(), createGate()]
    store.around = async (call, run) => {
      if (call === 'apply') {
        begun.open()
        await goOn.opened
      }
      return run()
    }
    const committed = sessions.commit(slow)
    await begun.opened
    await client.visit(other, (session) => session.logout())
    goOn.open()
    client.take(await committed)
    assert.equal(store.records.size, 0)
    assert.equal(client.cookies.size, 0)
  })

  test('a pending successor that a late answer was to hand out is withdrawn', async () => {
    const { sessions } = createFleet()
    const client = await createVisitor(sessions)
    await client.clone().visit(sessions, (session) => session.rotate())
    const [reading, writing] = [await sessions.open(client.request), await sessions.open(client.request)]
    await client.visit(sessions, (session) => session.logout())
    writing.data.n = 2
    for (const slow of [reading, writing]) assert.deepEqual(await sessions.commit(slow), [])
  })

  test('an end that the store tells of, once or more often, and the one of this node are told once', async () => {
    const shared = createSharedStore()
    const contexts: StoreContext[] = []
    const store: StoreDefinition = { ...shared, open: (context) => (contexts.push(context), shared.open(context)) }
    const { sessions, events } = createFleet({ store })
    const client = await createVisitor(sessions)
    const key = await client.visit(sessions, (session) => session.key)
    await client.visit(sessions, (session) => session.logout())
    for (const _ of ['again', 'and again']) contexts[0]?.ended(key, 'ada', 'logout')
    contexts[0]?.ended('elsewhere', 'ada', 'stolen')
    contexts[0]?.ended('elsewhere', 'ada', 'stolen')
    assert.deepEqual(
      events.filter(([name]) => name === 'ended').map(([, event]) => event),
      [
        { key, user: null, reason: 'logout' },
        { key: 'elsewhere', user: 'ada', reason: 'stolen' },
      ],
    )
  })
})
