import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { SessionsPerUser } from '../../src/core/policy.ts'
import { memoryStore } from '../../src/index.ts'
import { Client, createFleet, createTurnedClock, createVisitor, type Fleet } from './fleet.ts'
import { createIndexedStore, type IndexedStore } from './indexed-store.ts'

interface Bounded extends Fleet {
  readonly store: IndexedStore
  /** Logs in and loses the answer's sight of it: the token was not presented yet. */
  login(user?: string, client?: Client): Promise<Client>
  /** Logs in and comes back. */
  inUse(user?: string): Promise<Client>
  user(client: Client): Promise<string | null>
}

function createBounded(maxSessionsPerUser: SessionsPerUser, store = createIndexedStore()): Bounded {
  const options = { maxSessionsPerUser, idleTimeout: '10m' } as const
  const fleet = createFleet(options, 2, { store, clock: createTurnedClock() })
  const user = (client: Client): Promise<string | null> => client.visit(fleet.other, (session) => session.user)
  async function login(name = 'ann', client = new Client()): Promise<Client> {
    await client.visit(fleet.sessions, (session) => session.login(name))
    fleet.clock.advance('1s')
    return client
  }
  async function inUse(name?: string): Promise<Client> {
    const client = await login(name)
    assert.equal(await user(client), name ?? 'ann')
    return client
  }
  return { ...fleet, store, login, inUse, user }
}

function endsOf({ events }: Fleet): unknown[] {
  return events.flatMap(([name, event]) => (name === 'ended' && 'reason' in event ? [event.reason] : []))
}

suite('maxSessionsPerUser that refuses', () => {
  const refused = { code: 'too_many_sessions', status: 409, message: /2 sessions, and may have 2.*sessions\.list/ }

  test('refuses a login while so many sessions of the user were presented, and changes nothing', async () => {
    const fleet = createBounded({ max: 2, policy: 'refuse' })
    const clients = [await fleet.inUse(), await fleet.inUse()]
    const visitor = await createVisitor(fleet.sessions)
    await assert.rejects(fleet.login('ann', visitor), refused)
    assert.equal(await visitor.visit(fleet.other, ({ data }) => data.n), 1)
    for (const client of clients) assert.equal(await fleet.user(client), 'ann')
    await fleet.inUse('bob')
    assert.deepEqual(endsOf(fleet), [])
  })

  test('does not count a login whose answer was lost', async () => {
    const fleet = createBounded({ max: 2, policy: 'refuse' })
    for (let count = 0; count < 5; count += 1) await fleet.login()
    await fleet.inUse()
    await fleet.inUse()
    await assert.rejects(fleet.login(), refused)
  })

  test('ends the session of a login that was presented when all seats were taken', async () => {
    const fleet = createBounded({ max: 2, policy: 'refuse' })
    const [a, b, late] = [await fleet.login(), await fleet.login(), await fleet.login()]
    assert.deepEqual([await fleet.user(a), await fleet.user(b), await fleet.user(late)], ['ann', 'ann', null])
    assert.deepEqual(endsOf(fleet), ['refused'])
    assert.equal(fleet.store.records.size, 2)
  })

  test('counts a session no more that was logged out, revoked or not used for too long', async () => {
    const fleet = createBounded({ max: 2, policy: 'refuse' })
    const [a, b] = [await fleet.inUse(), await fleet.inUse()]
    await a.visit(fleet.sessions, (session) => session.logout())
    await fleet.inUse()
    await assert.rejects(fleet.login(), refused)
    await fleet.sessions.revoke(await b.visit(fleet.sessions, ({ key }) => key))
    const last = await fleet.inUse()
    fleet.clock.advance('9m')
    assert.equal(await fleet.user(last), 'ann')
    fleet.clock.advance('2m')
    await fleet.inUse()
    await assert.rejects(fleet.login(), refused)
  })

  test('counts a session no more that ended without leaving the index, as where a node died', async () => {
    const fleet = createBounded({ max: 2, policy: 'refuse' })
    const a = await fleet.inUse()
    await fleet.inUse()
    fleet.store.around = async (call, run) => (call === 'leave' ? Promise.reject(new Error('it died')) : run())
    await a.visit(fleet.sessions, (session) => session.logout())
    await setImmediate()
    fleet.store.around = (_, run) => run()
    await fleet.inUse()
    assert.equal(fleet.store.seatsOf('ann').length, 2)
  })

  test('lets a user log in again in a session that counts already', async () => {
    const fleet = createBounded({ max: 2, policy: 'refuse' })
    const [a, b] = [await fleet.inUse(), await fleet.inUse()]
    await fleet.login('ann', a)
    assert.equal(await fleet.user(a), 'ann')
    await b.visit(fleet.sessions, (session) => session.rotate())
    assert.equal(await fleet.user(b), 'ann')
    assert.equal(fleet.store.seatsOf('ann').length, 2)
  })

  test('frees the seat of a session that becomes another user’s', async () => {
    const fleet = createBounded({ max: 1, policy: 'refuse' })
    const client = await fleet.inUse()
    await fleet.login('bob', client)
    assert.equal(await fleet.user(client), 'bob')
    assert.deepEqual([fleet.store.seatsOf('ann').length, fleet.store.seatsOf('bob').length], [0, 1])
    await fleet.inUse()
  })
})

suite('maxSessionsPerUser that ends the oldest', () => {
  test('ends the session whose login is oldest when a new one is presented, and not before', async () => {
    const fleet = createBounded({ max: 2, policy: 'end-oldest' })
    const [a, b] = [await fleet.inUse(), await fleet.inUse()]
    const c = await fleet.login()
    assert.deepEqual([await fleet.user(a), await fleet.user(b)], ['ann', 'ann'], 'nobody has the new one yet')
    assert.deepEqual(endsOf(fleet), [])
    assert.deepEqual([await fleet.user(c), await fleet.user(a), await fleet.user(b)], ['ann', null, 'ann'])
    assert.deepEqual(endsOf(fleet), ['replaced'])
    assert.equal(fleet.other.stats().events['ended'], 1)
  })

  test('takes the seat of one that has ended already first', async () => {
    const fleet = createBounded({ max: 2, policy: 'end-oldest' })
    const [a, b] = [await fleet.inUse(), await fleet.inUse()]
    await b.visit(fleet.sessions, (session) => session.logout())
    await setImmediate()
    await fleet.inUse()
    assert.equal(await fleet.user(a), 'ann')
  })

  test('ends as many as are too many, where the bound was lowered', async () => {
    const store = createIndexedStore()
    const before = createBounded({ max: 5, policy: 'refuse' }, store)
    for (let count = 0; count < 5; count += 1) await before.inUse()
    const after = createFleet({ maxSessionsPerUser: { max: 2, policy: 'end-oldest' } }, 1, before)
    const client = new Client()
    await client.visit(after.sessions, (session) => session.login('ann'))
    await client.visit(after.sessions, () => {})
    assert.equal(store.records.size, 2)
    assert.deepEqual(endsOf(after), ['replaced', 'replaced', 'replaced', 'replaced'])
  })

  test('goes on with the next request where a node dies while it makes room', async () => {
    for (const dies of ['seat', 'seated', 'end', 'leave', 'apply'] as const) {
      const fleet = createBounded({ max: 1, policy: 'end-oldest' })
      const old = await fleet.inUse()
      const client = await fleet.login()
      let calls = 0
      fleet.store.around = async (call, run) => {
        if (call === dies) calls += 1
        return calls > 0 ? Promise.reject(new Error('it died')) : run()
      }
      await assert.rejects(
        client.clone().visit(fleet.sessions, () => {}),
        { status: 503 },
        dies,
      )
      fleet.store.around = (_, run) => run()
      assert.deepEqual([await fleet.user(client), await fleet.user(old)], ['ann', null], dies)
      assert.deepEqual(fleet.store.seatsOf('ann').length, 1, dies)
    }
  })
})

suite('maxSessionsPerUser', () => {
  test('costs a session that has its seat nothing, and others nothing where it is not set', async () => {
    const store = createIndexedStore()
    const fleet = createBounded({ max: 2, policy: 'refuse' }, store)
    const client = await fleet.inUse()
    store.calls.length = 0
    await client.visit(fleet.sessions, () => {})
    assert.deepEqual(store.calls, ['read'])

    const unbounded = createFleet({}, 1, fleet)
    const another = new Client()
    store.calls.length = 0
    await another.visit(unbounded.sessions, async (session) => {
      await session.login('ann')
      assert.deepEqual(store.calls, ['enter', 'apply', 'settle'])
    })
    store.calls.length = 0
    await another.visit(unbounded.sessions, () => {})
    assert.deepEqual(store.calls, ['read'])
  })

  test('holds where sessions are found by their records, too', async () => {
    for (const policy of ['refuse', 'end-oldest'] as const) {
      const fleet = createFleet({ store: memoryStore(), maxSessionsPerUser: { max: 1, policy } })
      const [a, b] = [new Client(), new Client()]
      for (const client of [a, b]) await client.visit(fleet.sessions, (session) => session.login('ann'))
      const users: (string | null)[] = []
      for (const client of [a, b, a]) users.push(await client.visit(fleet.sessions, ({ user }) => user))
      assert.deepEqual(users, policy === 'refuse' ? ['ann', null, 'ann'] : ['ann', 'ann', null])
    }
  })

  test('that does not fit, or a store that cannot, is a TypeError at start', () => {
    for (const wrong of [3, { max: 0, policy: 'refuse' }, { max: 3 }, { max: 2.5, policy: 'refuse' }, null]) {
      assert.throws(() => createFleet({ maxSessionsPerUser: wrong as never }), {
        name: 'TypeError',
        message: /maxSessionsPerUser is \{ max, policy \}/,
      })
    }
    const options = { maxSessionsPerUser: { max: 3, policy: 'refuse' } } as const
    assert.throws(() => createFleet(options), { name: 'TypeError', message: /which shared cannot/ })
  })
})
