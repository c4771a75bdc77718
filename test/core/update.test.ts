import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { CONFLICTS_MAX } from '../../src/core/limits.ts'
import { Client, createFleet, createGate, createVisitor, onlyRecord } from './fleet.ts'

const increment = (n: number): number => n + 1

suite('update', () => {
  test('makes the session of a visitor who had none', async () => {
    const { sessions, store } = createFleet()
    const client = new Client()
    const result = await client.visit(sessions, (session) => session.update('n', increment))
    assert.equal(result, 1)
    assert.equal(await client.visit(sessions, ({ data }) => data.n), 1)
    assert.equal(onlyRecord(store).fields.get('n')?.value, '1')
  })

  test('writes at once, one field, and resolves the new value', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    await client.visit(sessions, async (session) => {
      session.data.list.push('kept for the commit')
      assert.equal(await session.update('n', increment), 2)
      assert.equal(session.data.n, 2)
      assert.equal(onlyRecord(store).fields.get('n')?.value, '2')
      assert.equal(onlyRecord(store).fields.get('list')?.value, '[]')
    })
    assert.equal(onlyRecord(store).fields.get('list')?.value, '["kept for the commit"]')
  })

  test('refuses an asynchronous function, which would lose updates, and what is no function, before it writes', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    const wrong: [unknown, unknown, RegExp][] = [
      ['n', async (n: number) => n + 1, /"n".*synchronous/],
      ['n', () => Promise.reject(new Error('late')), /synchronous/],
      ['n', 5, /takes a field's name and a function/],
      [(n: number) => n + 1, undefined, /takes a field's name and a function/],
    ]
    for (const visitor of [client, new Client()]) {
      const session = await sessions.open(visitor.request)
      store.calls.length = 0
      for (const [field, compute, message] of wrong) {
        await assert.rejects(session.update(field as 'n', compute as never), { name: 'TypeError', message })
      }
      assert.deepEqual(store.calls, [])
    }
  })

  test('gives its function a copy: what it changes in place counts only as its result', async () => {
    const { sessions } = createFleet()
    const client = await createVisitor(sessions)
    await client.visit(sessions, async (session) => {
      const before = session.data.list
      await session.update('list', (list) => (list.push('a'), list))
      assert.deepEqual([before, session.data.list], [[], ['a']])
      await assert.rejects(session.update('list', (list) => { list.push('b'); throw new Error('no') }), /no/) // prettier-ignore
      assert.deepEqual(session.data.list, ['a'])
    })
    assert.deepEqual(await client.visit(sessions, ({ data }) => data.list), ['a'])
  })

  test('starts from what the handler assigned before, of a field that is there, new or removed', async () => {
    const { sessions } = createFleet()
    const client = await createVisitor(sessions)
    await client.visit(sessions, async (session) => {
      session.data.n = 10
      assert.equal(await session.update('n', increment), 11)
      delete session.data['n' as string]
      assert.equal(await session.update('n', (n: number | undefined) => (n ?? 100) + 1), 101)
      assert.equal(await session.update('fresh', (value) => value), undefined)
      session.data['fresh'] = 1
      assert.equal(await session.update('fresh', (value) => Number(value) + 1), 2)
    })
    assert.deepEqual(await client.visit(sessions, ({ data }) => [data.n, data['fresh']]), [101, 2])
  })

  test('a failed one leaves nothing behind that a later commit would write', async () => {
    const { sessions, store } = createFleet()
    const client = new Client()
    await client.visit(sessions, async (session) => {
      await assert.rejects(session.update('n', (() => Symbol('x')) as never), { code: 'unstorable_value' })
      store.around = () => Promise.reject(new Error('away'))
      await assert.rejects(session.update('n', increment), { code: 'store_unavailable' })
      store.around = (_, run) => run()
      assert.equal(session.data.n, 0)
    })
    assert.equal(store.records.size, 0)
    assert.equal(client.cookies.size, 0)
  })
})

suite('update: no lost one', () => {
  test('100 parallel ones on one node end at 100, without a conflict', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    store.calls.length = 0
    await Promise.all(Array.from({ length: 99 }, () => client.clone().visit(sessions, (s) => s.update('n', increment))))
    assert.equal(await client.visit(sessions, ({ data }) => data.n), 100)
    assert(
      store.calls.filter((call) => call === 'apply').length < 99 + 99 + 1,
      'each may lose to what came before its open',
    )
  })

  test('100 parallel ones on four nodes, through slow calls in random order, end at 100', async () => {
    const { sessions, nodes, store } = createFleet({}, 4)
    const client = await createVisitor(sessions)
    store.around = async (_, run) => {
      for (let turns = Math.floor(Math.random() * 4); turns > 0; turns -= 1) await new Promise(setImmediate)
      return run()
    }
    const visits = Array.from({ length: 99 }, (_, index) =>
      client.clone().visit(nodes[index % 4] ?? sessions, (session) => session.update('n', increment)),
    )
    const results = await Promise.all(visits)
    assert.equal(new Set(results).size, 99, 'each saw a value of its own')
    assert.equal(await client.visit(sessions, ({ data }) => data.n), 100)
  })

  test('100 parallel ones in one request end at 100', async () => {
    const { sessions } = createFleet()
    const client = new Client()
    await client.visit(sessions, (s) => Promise.all(Array.from({ length: 100 }, () => s.update('n', increment))))
    assert.equal(await client.visit(sessions, ({ data }) => data.n), 100)
  })

  test('50 parallel requests that each assign another field keep 50', async () => {
    const { sessions, nodes } = createFleet({}, 2)
    const client = await createVisitor(sessions)
    const visits = Array.from({ length: 50 }, (_, index) =>
      client.clone().visit(nodes[index % 2] ?? sessions, async ({ data }) => {
        await new Promise(setImmediate)
        data[`field ${index}`] = index
      }),
    )
    await Promise.all(visits)
    const data = await client.visit(sessions, (session) => ({ ...session.data }))
    assert.equal(Object.keys(data).filter((name) => name.startsWith('field')).length, 50)
  })

  test('it wins over the change that came between its reading and its writing, by computing again', async () => {
    const { sessions, other } = createFleet({}, 2)
    const client = await createVisitor(sessions)
    const seen: number[] = []
    const session = await sessions.open(client.request)
    await client.clone().visit(other, ({ data }) => void (data.n = 50))
    await session.update('n', (n) => (seen.push(n), n + 1))
    assert.deepEqual(seen, [1, 50])
    assert.equal(session.data.n, 51)
  })

  test('one that loses every race gives up and says so', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    const field = { stamp: { incarnation: 0, sequence: 99 }, value: '7' }
    store.around = (_, run, change) => (change?.expect ? Promise.resolve({ outcome: 'conflict', field }) : run())
    const session = await sessions.open(client.request)
    let computedCount = 0
    await assert.rejects(
      session.update('n', (n) => ((computedCount += 1), n + 1)),
      {
        code: 'conflict',
        status: 503,
        field: 'n',
      },
    )
    assert.equal(computedCount, CONFLICTS_MAX)
  })
})

suite('update of a session that is no more', () => {
  test('gone: nothing is written, and the caller is told', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    const session = await sessions.open(client.request)
    await sessions.revoke(session.key)
    await assert.rejects(session.update('n', increment), { code: 'session_gone', status: 409 })
    await assert.rejects(session.rotate(), { code: 'session_gone' })
    assert.equal(store.records.size, 0)
  })

  test('superseded by a login: likewise', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    const session = await sessions.open(client.request)
    await client.visit(sessions, (other) => other.login('u'))
    await assert.rejects(session.update('n', increment), { code: 'session_superseded', status: 409 })
    await assert.rejects(session.rotate(), { code: 'session_superseded' })
    assert.equal(onlyRecord(store).fields.get('n')?.value, '1')
    assert.deepEqual(await sessions.commit(session), [])
  })
})

suite('save', () => {
  test('writes now, also after the commit; an assignment that nobody saves is told', async () => {
    const { sessions, store, events } = createFleet()
    const client = await createVisitor(sessions)
    const session = await sessions.open(client.request)
    client.take(await sessions.commit(session))
    session.data.n = 2
    await session.save()
    assert.equal(onlyRecord(store).fields.get('n')?.value, '2')
    await session.update('n', increment)
    sessions.finish(session)
    assert.deepEqual(events.slice(1), [])
    session.data.n = 9
    session.data['method'] = () => 1
    sessions.finish(session)
    assert.deepEqual(events.slice(1), [['lateChange', { key: session.key, fields: ['n', 'method'] }]])
    assert.equal(onlyRecord(store).fields.get('n')?.value, '3')
  })

  test('what is assigned after the response has ended is told too, unless it is saved then', async () => {
    const { sessions, events } = createFleet()
    const client = await createVisitor(sessions)
    const session = await sessions.open(client.request)
    client.take(await sessions.commit(session))
    sessions.finish(session)
    session.data.n = 2
    await session.save()
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(events.slice(1), [])
    session.data.n = 3
    session.data['more'] = 1
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(events.slice(1), [['lateChange', { key: session.key, fields: ['n', 'more'] }]])
  })

  test('a session that would need a cookie after the first byte is refused', async () => {
    const { sessions, store } = createFleet()
    const session = await sessions.open(new Client().request)
    await sessions.commit(session)
    session.data.n = 1
    for (const late of [() => session.save(), () => session.update('n', increment), () => session.login('u')]) {
      await assert.rejects(late(), { code: 'headers_sent', status: 500 })
    }
    assert.equal(store.records.size, 0)
  })

  test('what is assigned while a write is under way is written by the next', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    const session = await sessions.open(client.request)
    const [begun, goOn] = [createGate(), createGate()]
    store.around = async (_, run) => {
      begun.open()
      await goOn.opened
      return run()
    }
    session.data.n = 2
    const saved = session.save()
    await begun.opened
    session.data.n = 3
    goOn.open()
    await saved
    assert.equal(onlyRecord(store).fields.get('n')?.value, '2')
    await sessions.commit(session)
    assert.equal(onlyRecord(store).fields.get('n')?.value, '3')
  })
})
