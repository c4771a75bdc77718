import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Client, createFleet, createVisitor, onlyRecord } from './fleet.ts'

const read = (): void => {}

suite('rotation', () => {
  test('the successor is handed out until it is used; then its predecessor has its grace, and gets nothing', async () => {
    const { sessions, clock, store, eventNames } = createFleet({ grace: '60s' })
    const client = await createVisitor(sessions)
    const first = client.token
    const lost = client.clone()
    await lost.visit(sessions, (session) => session.rotate())
    assert.equal(lost.generation, 2)

    await client.visit(sessions, read)
    assert.equal(client.generation, 2, 'whoever presents the predecessor is given the same generation')
    assert.notEqual(client.token, lost.token, 'in an issue of his own')
    clock.advance('10m')
    const straggler = new Client()
    straggler.cookies.set('__Host-sid', first ?? '')
    await straggler.visit(sessions, read)
    assert.equal(straggler.generation, 2, 'however long it takes')

    await client.visit(sessions, read) // the successor is presented
    straggler.cookies.set('__Host-sid', first ?? '')
    clock.advance(60_000)
    assert.deepEqual(
      await sessions.commit(await sessions.open(straggler.request)),
      [],
      'served in grace, given nothing',
    )
    assert.equal((await sessions.open(straggler.request)).data.n, 1)
    clock.advance(1)
    assert.equal((await sessions.open(straggler.request)).isNew, true)
    assert.deepEqual(eventNames(), ['created', 'stolen', 'ended'])
    assert.equal(store.records.size, 0)
    assert.equal((await sessions.open(client.request)).isNew, true)
  })

  test('theft is told with the key, the user, the generation and who was there, never with the token', async () => {
    const { sessions, clock, events, store } = createFleet({ grace: '1s' })
    const client = await createVisitor(sessions)
    await client.visit(sessions, (session) => session.login('ann'))
    const thief = client.clone()
    await client.visit(sessions, (session) => session.rotate())
    const { headers } = client.request
    const browser = { ...headers, 'user-agent': 'Browser/1' }
    await sessions.open({ headers: browser, socket: { remoteAddress: '192.0.2.1' } })
    const { key } = onlyRecord(store)
    clock.advance('2s')
    await sessions.open({ ...thief.request, ip: '198.51.100.7' })
    assert.deepEqual(events.slice(-2), [
      ['stolen', { key, user: 'ann', generation: 2, presentedBy: '198.51.100.7', heldBy: '192.0.2.1 Browser/1' }],
      ['ended', { key, user: 'ann', reason: 'stolen' }],
    ])
    assert(!JSON.stringify(events).includes(thief.token ?? '-'))
  })

  test('two at once hand out one successor generation', async () => {
    const { other, sessions } = createFleet({}, 2)
    const client = await createVisitor(sessions)
    const copy = client.clone()
    const before = client.token
    await Promise.all([
      client.visit(sessions, (session) => session.rotate()),
      copy.visit(other, (session) => session.rotate()),
    ])
    assert.deepEqual([client.generation, copy.generation], [2, 2])
    assert.notEqual(client.token, before)
  })

  test('again within twice the grace does nothing, so that a late answer cannot put back a token whose grace is over', async () => {
    const { sessions, clock, eventNames } = createFleet({ grace: '60s' })
    const client = await createVisitor(sessions)
    await client.clone().visit(sessions, (session) => session.rotate())
    const late = await sessions.commit(await sessions.open(client.request)) // on its way for 30 s
    await client.visit(sessions, read)
    await client.visit(sessions, (session) => session.rotate())
    await client.visit(sessions, read)
    clock.advance('30s')
    client.take(late)
    clock.advance('80s')
    assert.equal((await sessions.open(client.request)).data.n, 1)
    assert.deepEqual(eventNames(), ['created'])
    clock.advance('11s')
    const before = client.token
    await client.visit(sessions, (session) => session.rotate())
    assert.notEqual(client.token, before, 'and after that it rotates again')
  })

  test('by a request of the predecessor, when the successor is in use, hands out nothing', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    await client.clone().visit(sessions, (session) => session.rotate())
    const slow = await sessions.open(client.request)
    await client.visit(sessions, read)
    await client.visit(sessions, read)
    await slow.rotate()
    assert.deepEqual(
      (await sessions.commit(slow)).filter(([, line]) => line.startsWith('__Host-sid=')),
      [],
    )
    assert.equal(onlyRecord(store).pending, false)
  })

  test('a login supersedes the successor that was handed out, and what rotated before', async () => {
    const { sessions, events } = createFleet()
    const client = await createVisitor(sessions)
    const holder = client.clone()
    await holder.visit(sessions, (session) => session.rotate())
    await client.visit(sessions, (session) => session.login('ann'))
    await holder.visit(sessions, ({ isNew }) => assert.equal(isNew, true))
    assert.equal(events.at(-1)?.[0], 'superseded')
    assert.equal(await client.visit(sessions, ({ user }) => user), 'ann')
  })

  test('and login in one request give one token, which is good', async () => {
    for (const isLoginFirst of [true, false]) {
      const { sessions } = createFleet()
      const client = await createVisitor(sessions)
      await client.visit(sessions, async (session) => {
        if (isLoginFirst) await session.login('ann')
        await session.rotate()
        if (!isLoginFirst) await session.login('ann')
      })
      assert.equal(await client.visit(sessions, ({ user }) => user), 'ann')
      assert.equal(await client.visit(sessions, ({ user }) => user), 'ann')
    }
  })

  test('the slow answer of a request does not put back a token that was used meanwhile', async () => {
    const { sessions } = createFleet()
    const client = await createVisitor(sessions)
    await client.clone().visit(sessions, (session) => session.rotate())
    const [reading, writing] = [await sessions.open(client.request), await sessions.open(client.request)]
    await client.visit(sessions, read)
    await client.visit(sessions, read)
    assert.deepEqual(await sessions.commit(reading), [])
    writing.data.n = 2
    assert.deepEqual(
      (await sessions.commit(writing)).map(([, line]) => line.split('=')[0]),
      ['__Host-sid-v'],
    )
  })

  test('a generation that the store lost is taken for the successor, since its tag is ours', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    const backup = onlyRecord(store)
    await client.visit(sessions, (session) => session.rotate())
    await client.visit(sessions, read)
    store.records.set(backup.key, backup)
    assert.equal((await sessions.open(client.request)).data.n, 1)
    assert.equal(onlyRecord(store).generation, 2)
  })
})
