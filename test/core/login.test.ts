import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { createSecretBeside } from '../token/secrets.ts'
import { Client, createFleet, createGate, createVisitor, onlyRecord, secret } from './fleet.ts'

suite('login', () => {
  test('makes the session the user’s, with a new token; the old one is dead at once', async () => {
    const { sessions, store, events, eventNames } = createFleet()
    const client = await createVisitor(sessions)
    const thief = client.clone()
    await client.visit(sessions, (session) => session.login('ann'))
    assert.notEqual(client.token, thief.token)
    assert.equal(await client.visit(sessions, ({ user }) => user), 'ann')
    assert.equal(await client.visit(sessions, ({ data }) => data.n), 1)

    const before = thief.token
    await thief.visit(sessions, ({ user, isNew, data }) => assert.deepEqual([user, isNew, data.n], [null, true, 0]))
    assert.equal(thief.token, before, 'a superseded token is neither replaced nor cleared')
    assert.deepEqual(eventNames(), ['created', 'login', 'superseded'])
    assert.deepEqual(events[1], ['login', { key: onlyRecord(store).key, user: 'ann' }])
  })

  test('keeps what the visitor had, and writes what was changed with it; or starts from initial', async () => {
    const { sessions } = createFleet()
    const [keeping, resetting] = [await createVisitor(sessions), await createVisitor(sessions)]
    await keeping.visit(sessions, (session) => (session.data.list.push('a'), session.login('ann')))
    assert.deepEqual(await keeping.visit(sessions, ({ data }) => ({ ...data })), { n: 1, list: ['a'] })
    await resetting.visit(sessions, ({ data }) => void (data['cart'] = [1]))
    await resetting.visit(sessions, (session) => session.login('bob', { data: 'reset' }))
    assert.deepEqual(await resetting.visit(sessions, ({ data }) => ({ ...data })), { n: 0, list: [] })
  })

  test('of another user, over one who is still logged in, begins anew; of the same user goes on', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    await client.visit(sessions, (session) => session.login('ann'))
    await client.visit(sessions, ({ data }) => void (data['address'] = 'of ann'))
    await client.visit(sessions, (session) => session.login('ann'))
    assert.equal(await client.visit(sessions, ({ data }) => data['address']), 'of ann')
    await client.visit(sessions, (session) => session.login('bob'))
    assert.deepEqual(await client.visit(sessions, ({ user, data }) => ({ user, ...data })), {
      user: 'bob',
      n: 0,
      list: [],
    })
    assert.equal(onlyRecord(store).fields.get('address')?.value, null)
    await client.visit(sessions, ({ data }) => void (data.n = 7))
    await client.visit(sessions, (session) => session.login('cay', { data: 'keep' }))
    assert.equal(await client.visit(sessions, ({ data }) => data.n), 7)
  })

  test('with options that are none is a TypeError', async () => {
    const { sessions } = createFleet()
    const session = await sessions.open({ headers: {} })
    await assert.rejects(session.login('ann', { data: 'clear' as 'reset' }), { name: 'TypeError', message: /'reset'/ })
    for (const options of [{ date: 'reset' }, 'reset', null]) {
      await assert.rejects(session.login('ann', options as never), {
        name: 'TypeError',
        message: /^login\(user, \{ data/,
      })
    }
    assert.equal(session.user, null)
  })

  test('of a visitor who had no session is one call', async () => {
    const { sessions, store, eventNames } = createFleet()
    const client = new Client()
    const session = await sessions.open(client.request)
    await session.login('ann')
    assert.deepEqual(store.calls, ['apply'])
    client.take(await sessions.commit(session))
    assert.deepEqual(eventNames(), ['created', 'login'])
    assert.deepEqual(await client.visit(sessions, ({ user, data }) => [user, data.n]), ['ann', 0])
  })

  test('with a superseded token makes a new session, and keeps what the handler assigned', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    const late = client.clone()
    await client.visit(sessions, (session) => session.login('ann'))
    await late.visit(sessions, async (session) => {
      session.data['via'] = 'form'
      await session.login('ann')
    })
    assert.equal(store.records.size, 2)
    const facts = await late.visit(sessions, ({ user, data }) => [user, data['via'], data.n])
    assert.deepEqual(facts, ['ann', 'form', 0])
    assert.equal(await client.visit(sessions, ({ user }) => user), 'ann')
  })

  test('with a token of an unknown secret makes a new session too', async () => {
    const { sessions } = createFleet()
    const client = await createVisitor(createFleet({ secret: createSecretBeside(secret, false) }).sessions)
    await client.visit(sessions, (session) => session.login('ann'))
    assert.equal(await client.visit(sessions, ({ user }) => user), 'ann')
  })

  test('of a session that ended meanwhile makes a new one, and tells of the changes that did not come along', async () => {
    const { sessions, events } = createFleet()
    const client = await createVisitor(sessions)
    const session = await sessions.open(client.request)
    const { key } = session
    session.data['secret of another'] = 1
    await sessions.revoke(key)
    await session.login('ann')
    client.take(await sessions.commit(session))
    assert.notEqual(session.key, key)
    assert.deepEqual(
      events.find(([name]) => name === 'changeDropped'),
      ['changeDropped', { key, fields: ['secret of another'] }],
    )
    assert.deepEqual(await client.visit(sessions, ({ user, data }) => [user, { ...data }]), ['ann', { n: 0, list: [] }])
  })

  test('twice in one request: the second token counts', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    await client.visit(sessions, async (session) => {
      await session.login('ann')
      await session.login('bob')
    })
    assert.equal(await client.visit(sessions, ({ user }) => user), 'bob')
    assert.equal(onlyRecord(store).floor, 3)
  })

  test('twice in parallel: both end with a session, and whichever answer comes last is good', async () => {
    for (const lastIndex of [0, 1]) {
      const { sessions, other } = createFleet({}, 2)
      const client = await createVisitor(sessions)
      const opened = [await sessions.open(client.request), await other.open(client.request)]
      await Promise.all(opened.map((session, index) => session.login(`user ${index}`)))
      const answers = await Promise.all(
        opened.map((session, index) => (index === 0 ? sessions : other).commit(session)),
      )
      for (const index of [1 - lastIndex, lastIndex]) client.take(answers[index] ?? [])
      assert.equal(await client.visit(sessions, ({ user }) => user), `user ${lastIndex}`)
    }
  })

  test('a user that is no text of 1 to 256 characters is a TypeError', async () => {
    const { sessions, store } = createFleet()
    const session = await sessions.open(new Client().request)
    for (const user of ['', 'x'.repeat(257), '\ud800', 7, null, undefined, {}]) {
      await assert.rejects(session.login(user as string), TypeError)
    }
    assert.equal(store.records.size, 0)
  })
})

suite('a request in flight across a login', () => {
  test('cannot commit into the session of the user, and sets no cookie', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    const slow = await sessions.open(client.request)
    await client.visit(sessions, (session) => session.login('ann'))
    slow.data.n = 666
    await assert.rejects(sessions.commit(slow), { code: 'session_superseded', status: 409 })
    assert.equal(onlyRecord(store).fields.get('n')?.value, '1')
    const reader = await sessions.open(client.request)
    assert.deepEqual([reader.user, reader.data.n], ['ann', 1])
  })

  test('cannot log the user out', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    const slow = await sessions.open(client.request)
    await client.visit(sessions, (session) => session.login('ann'))
    await assert.rejects(slow.logout(), { code: 'session_superseded' })
    assert.deepEqual(await sessions.commit(slow), [])
    assert.equal(onlyRecord(store).user, 'ann')
  })

  test('that only reads answers without a cookie, although a touch was due', async () => {
    const { sessions, clock } = createFleet()
    const client = await createVisitor(sessions)
    clock.advance('5m')
    const slow = await sessions.open(client.request)
    await client.visit(sessions, (session) => session.login('ann'))
    assert.deepEqual(await sessions.commit(slow), [])
  })

  test('does not set the pending successor that it was to hand out', async () => {
    const { sessions } = createFleet()
    const client = await createVisitor(sessions)
    await client.clone().visit(sessions, (session) => session.rotate()) // the answer is lost
    const slow = await sessions.open(client.request)
    await client.visit(sessions, (session) => session.login('ann'))
    assert.deepEqual(await sessions.commit(slow), [])
    assert.equal(await client.visit(sessions, ({ user }) => user), 'ann')
  })

  test('that is held up in the store answers without a cookie of its own login', async () => {
    const { sessions, other, store } = createFleet({}, 2)
    const client = await createVisitor(sessions)
    const slow = await sessions.open(client.request)
    await slow.login('first')
    const [begun, goOn] = [createGate(), createGate()]
    store.around = async (call, run) => {
      if (call === 'read') {
        store.around = (_, next) => next()
        begun.open()
        await goOn.opened
      }
      return run()
    }
    const answer = sessions.commit(slow)
    await begun.opened
    await other.revoke(slow.key)
    await client.visit(other, (session) => session.login('second'))
    goOn.open()
    client.take(await answer)
    assert.equal(await client.visit(sessions, ({ user }) => user), 'second')
  })
})
