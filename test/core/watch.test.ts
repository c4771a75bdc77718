import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { suite, test, type TestContext } from 'node:test'
import { StoreUnavailableError } from '../../src/core/errors.ts'
import { ASKS_AT_ONCE_MAX } from '../../src/core/limits.ts'
import type { Store, StoreContext } from '../../src/core/store.ts'
import type { Sessions } from '../../src/core/sessions.ts'
import type { SessionWatch, WatchEnd } from '../../src/core/watch.ts'
import { createSharedStore } from '../support/shared-store.ts'
import {
  type Client,
  createFleet,
  createGate,
  createTurnedClock,
  createVisitor,
  type Data,
  type Fleet,
  onlyRecord,
  type TurnedClock,
} from './fleet.ts'

/** So often that a test need not wait for it. */
const every = 2
/** So seldom that a test never sees it. */
const never = '1h'

/** Not turned by a test. */
const realClock: TurnedClock = { now: Date.now, advance: () => {} }

interface Connection extends SessionWatch {
  readonly ended: Promise<WatchEnd>
  readonly ends: readonly WatchEnd[]
}

/** A connection that a client's request opened on this node. */
async function connect(
  t: TestContext,
  sessions: Sessions<Data>,
  { request }: Client,
  how: { every: 2 | '1h' } = { every },
): Promise<Connection> {
  const session = await sessions.open(request)
  await sessions.commit(session)
  const ends: WatchEnd[] = []
  const { promise, resolve } = Promise.withResolvers<WatchEnd>()
  const watch = sessions.watch(
    session,
    (end) => {
      ends.push(end)
      resolve(end)
    },
    how,
  )
  assert.deepEqual(ends, [], 'nothing is told before watch() has returned')
  const awake = setInterval(() => {}, 1_000) // a watch keeps no process alive
  t.after(() => {
    watch.stop()
    clearInterval(awake)
  })
  return { ...watch, ended: promise, ends }
}

/** Resolves once the store has been asked so often from now on. */
function asked({ store }: Fleet, times: number, call = 'read'): Promise<void> {
  const { opened, open } = createGate()
  const { around } = store
  let count = 0
  store.around = async (name, run, change) => {
    const answer = await around(name, run, change)
    if (name === call && ++count === times) {
      store.around = around
      open()
    }
    return answer
  }
  return opened
}

/** Slows the calls of the store down by a turn, and counts how many are under way. */
function mostAtOnce(store: Fleet['store']): { readonly calls: number } {
  const most = { calls: 0 }
  let underWay = 0
  store.around = async (_, run) => {
    most.calls = Math.max(most.calls, ++underWay)
    await turn()
    underWay -= 1
    return run()
  }
  return most
}

/** A node whose store has `hold`: the keys that are held, and what the store was opened with. */
function createTellingFleet(): { fleet: Fleet; held: string[]; contexts: StoreContext[] } {
  const shared = createSharedStore()
  const held: string[] = []
  const contexts: StoreContext[] = []
  const release = (key: string): void => void held.splice(0, held.length, ...held.filter((other) => other !== key))
  const hold = (key: string) => {
    held.push(key)
    return () => release(key)
  }
  const open = (context: StoreContext): Store => {
    contexts.push(context)
    return { ...shared.open(context), hold }
  }
  const store = { name: 'telling', open }
  return { fleet: createFleet({ store }, 1, { store: shared, clock: createTurnedClock() }), held, contexts }
}

/** Lets what is under way come to its end, without a timer. */
async function settled(): Promise<void> {
  for (const _ of Array.from({ length: 50 })) await turn()
}

suite('watch: an end is told once, with its reason', () => {
  test('logout and revoke on the same node are told at once, to every connection', async (t) => {
    const { sessions } = createFleet()
    const client = await createVisitor(sessions)
    const connections = [
      await connect(t, sessions, client, { every: never }),
      await connect(t, sessions, client, { every: never }),
    ]
    await client.visit(sessions, (session) => session.logout())
    assert.deepEqual(await Promise.all(connections.map(({ ended }) => ended)), ['logout', 'logout'])

    const other = await createVisitor(sessions)
    const { ended } = await connect(t, sessions, other, { every: never })
    await sessions.revoke((await sessions.open(other.request)).key)
    assert.equal(await ended, 'revoked')
  })

  test('an end on another node is found by asking, and raised here as `elsewhere`', async (t) => {
    const { sessions, other, events } = createFleet({}, 2)
    const client = await createVisitor(other)
    const { ended, ends } = await connect(t, sessions, client)
    await client.visit(other, (session) => session.login('ann'))
    assert.equal(await ended, 'superseded', 'the token is from before the login')
    const again = await connect(t, sessions, client)
    await client.visit(other, (session) => session.logout())
    assert.equal(await again.ended, 'elsewhere')
    assert.deepEqual(ends, ['superseded'])
    const reasons = events.flatMap(([name, event]) =>
      name === 'ended' && 'user' in event ? [{ ...event, key: '' }] : [],
    )
    assert.deepEqual(reasons.at(-1), { key: '', user: 'ann', reason: 'elsewhere' })
  })

  test('an end between open and watch is found though nobody told of it, whatever `every` is', async () => {
    const { sessions, other, store } = createFleet({}, 2)
    const client = await createVisitor(sessions)
    const session = await sessions.open(client.request)
    await other.revoke(onlyRecord(store).key)
    const end = await new Promise((resolve) => sessions.watch(session, resolve, { every: never }))
    assert.equal(end, 'elsewhere')
  })

  test('a login on the same node supersedes a connection from before it at once, not one from after it', async (t) => {
    const { sessions } = createFleet()
    const client = await createVisitor(sessions)
    const before = await connect(t, sessions, client, { every: never })
    await client.visit(sessions, (session) => session.login('ann'))
    const after = await connect(t, sessions, client, { every: never })
    assert.equal(await before.ended, 'superseded')
    assert.deepEqual(after.ends, [])
  })

  test('a rotation ends nothing: neither for the token before it nor for its successor', async (t) => {
    const fleet = createFleet()
    const { sessions, clock } = fleet
    const client = await createVisitor(sessions)
    const before = await connect(t, sessions, client)
    await client.visit(sessions, (session) => session.rotate())
    await client.visit(sessions, () => {})
    clock.advance('20m')
    await client.visit(sessions, () => {})
    await asked(fleet, 2)
    assert.deepEqual(before.ends, [])
  })

  test('a session that is not stored, or whose watch was stopped, tells nothing', async () => {
    const { sessions, store } = createFleet()
    const nobody = await sessions.open({ headers: {} })
    sessions.watch(nobody, () => assert.fail()).use()
    assert.deepEqual(store.calls, [])

    const client = await createVisitor(sessions)
    const session = await sessions.open(client.request)
    const watch = sessions.watch(session, () => assert.fail(), { every })
    watch.stop()
    watch.stop()
    await sessions.revoke(session.key)
    watch.use()
  })

  test('close() ends every watch, and those that come afterwards', async (t) => {
    const { sessions } = createFleet()
    const client = await createVisitor(sessions)
    const { ended } = await connect(t, sessions, client)
    const session = await sessions.open(client.request)
    await sessions.close()
    assert.equal(await ended, 'closed')
    assert.equal(await new Promise((resolve) => sessions.watch(session, resolve)), 'closed')
    sessions.watch(session, () => assert.fail()).stop()
  })

  test('a listener that throws is logged and harms no other', async (t) => {
    const { sessions, logged } = createFleet()
    const client = await createVisitor(sessions)
    const session = await sessions.open(client.request)
    sessions.watch(session, () => assert.fail('of a listener'))
    const { ended } = await connect(t, sessions, client)
    await sessions.revoke(session.key)
    assert.equal(await ended, 'revoked')
    assert.deepEqual(logged, ['a listener of sessions.watch() failed'])
  })

  test('wrong arguments are a TypeError', async () => {
    const { sessions } = createFleet()
    const session = await sessions.open({ headers: {} })
    assert.throws(() => sessions.watch({} as never, () => {}), TypeError)
    assert.throws(() => sessions.watch(session, undefined as never), { name: 'TypeError', message: /function/ })
    assert.throws(() => sessions.watch(session, () => {}, { every: 'often' as never }), { message: /^every: / })
  })
})

suite('watch: time', () => {
  test('the idle timeout is over: expired, with no word of an end', async (t) => {
    const { sessions, clock, eventNames } = createFleet({ idleTimeout: '10m' })
    const client = await createVisitor(sessions)
    const { ended } = await connect(t, sessions, client)
    clock.advance('10m')
    assert.equal(await ended, 'expired')
    assert.deepEqual(eventNames(), ['created'])
  })

  test('requests at another node put the end off; the absolute end stays', async (t) => {
    const fleet = createFleet({ idleTimeout: '10m', absoluteTimeout: '25m' }, 2)
    const { sessions, other, clock } = fleet
    const client = await createVisitor(sessions)
    const { ended, ends } = await connect(t, sessions, client)
    for (const _ of [1, 2]) {
      clock.advance('9m')
      await client.visit(other, () => {})
      await asked(fleet, 2)
      assert.deepEqual(ends, [])
    }
    clock.advance('7m')
    assert.equal(await ended, 'expired')
  })

  test('at its end the store is asked, however seldom otherwise', async (t) => {
    const { sessions } = createFleet({ idleTimeout: 50 }, 1, { store: createSharedStore(), clock: realClock })
    const { ended } = await connect(t, sessions, await createVisitor(sessions), { every: never })
    assert.equal(await ended, 'expired')
  })

  test('use() is a use by the visitor: one write in 1/20 of the idle timeout, for all connections together', async (t) => {
    const fleet = createFleet({ idleTimeout: '20m' })
    const { sessions, clock, store } = fleet
    const client = await createVisitor(sessions)
    const connections = await Promise.all(Array.from({ length: 10 }, () => connect(t, sessions, client)))
    const writes = (): number => store.calls.filter((call) => call === 'apply').length
    const before = writes()
    for (let minute = 1; minute <= 60; minute += 1) {
      clock.advance('1m')
      const isWritten = asked(fleet, 1, 'apply')
      for (const connection of connections) for (const _ of [1, 2, 3]) connection.use()
      await isWritten
      await settled()
    }
    assert.equal(writes() - before, 60)
    assert.deepEqual(
      connections.flatMap(({ ends }) => ends),
      [],
    )
    assert.equal(onlyRecord(store).lastSeenAt, clock.now())
    clock.advance('20m')
    assert.equal(await connections[0]?.ended, 'expired')
  })

  test('use() through a token from before a login, or of a session that ended, uses nothing and is told', async (t) => {
    const { sessions, other, clock, store } = createFleet({ idleTimeout: '20m' }, 2)
    const client = await createVisitor(sessions)
    const before = await connect(t, sessions, client, { every: never })
    await client.visit(other, (session) => session.login('ann'))
    const { lastSeenAt } = onlyRecord(store)
    clock.advance('2m')
    before.use()
    assert.equal(await before.ended, 'superseded')
    assert.equal(onlyRecord(store).lastSeenAt, lastSeenAt)

    const after = await connect(t, sessions, client, { every: never })
    await other.revoke(onlyRecord(store).key)
    clock.advance('2m')
    after.use()
    assert.equal(await after.ended, 'elsewhere')
    assert.equal(store.records.size, 0)
  })
})

suite('watch: a store that tells of ends', () => {
  test('holds a session once for all its connections, from the first to the last', async (t) => {
    const { fleet, held } = createTellingFleet()
    const client = await createVisitor(fleet.sessions)
    const { key } = onlyRecord(fleet.store)
    const connections = [await connect(t, fleet.sessions, client), await connect(t, fleet.sessions, client)]
    assert.deepEqual(held, [key])
    connections[0]?.stop()
    assert.deepEqual(held, [key])
    connections[1]?.stop()
    assert.deepEqual(held, [])
    const last = await connect(t, fleet.sessions, client)
    await fleet.sessions.revoke(key)
    assert.equal(await last.ended, 'revoked')
    assert.deepEqual(held, [])
  })

  test('is heard at once, and given time to say why a session is gone', async (t) => {
    const { fleet, contexts } = createTellingFleet()
    const { sessions, store, events } = fleet
    for (const isToldLate of [false, true]) {
      const connection = await connect(t, sessions, await createVisitor(sessions), { every: isToldLate ? 2 : never })
      const { key } = onlyRecord(store)
      if (isToldLate) {
        const isAsked = asked(fleet, 1)
        store.records.clear()
        await isAsked
      } else store.records.clear()
      assert.deepEqual(connection.ends, [])
      contexts[0]?.ended(key, 'ann', 'logout')
      contexts[0]?.ended(key, 'ann', 'logout')
      assert.equal(await connection.ended, 'logout')
    }
    assert.equal(events.filter(([name]) => name === 'ended').length, 2)
  })

  test('tells that tokens have changed: the session is asked for at once', async (t) => {
    const { fleet, contexts } = createTellingFleet()
    const { sessions, store } = fleet
    const connection = await connect(t, sessions, await createVisitor(sessions), { every: never })
    await settled()
    const { key, generation } = onlyRecord(store)
    store.records.set(key, { ...onlyRecord(store), generation: generation + 1, floor: generation + 1, user: 'ann' })
    contexts[0]?.tokensChanged('another')
    await settled()
    assert.deepEqual(connection.ends, [])
    contexts[0]?.tokensChanged(key)
    assert.equal(await connection.ended, 'superseded')
  })

  test('says nothing: the connection ends all the same', async (t) => {
    const { fleet } = createTellingFleet()
    const { sessions, store } = fleet
    const { ended } = await connect(t, sessions, await createVisitor(sessions))
    await asked(fleet, 1)
    store.records.clear()
    assert.equal(await ended, 'elsewhere')
  })

  test('told before the watch began: it has the reason', async () => {
    const { fleet, contexts } = createTellingFleet()
    const { sessions, store } = fleet
    const session = await sessions.open((await createVisitor(sessions)).request)
    store.records.clear()
    contexts[0]?.ended(session.key, null, 'stolen')
    assert.equal(await new Promise((resolve) => sessions.watch(session, resolve, { every: never })), 'stolen')
  })
})

suite('watch: the store', () => {
  test('is asked once for all connections of a session, and no more when they are gone', async (t) => {
    const fleet = createFleet()
    const { sessions, store } = fleet
    const client = await createVisitor(sessions)
    const connections = await Promise.all(Array.from({ length: 200 }, () => connect(t, sessions, client)))
    const most = mostAtOnce(store)
    await asked(fleet, 20)
    assert.equal(most.calls, 1)
    for (const connection of connections) connection.stop()
    await turn()
    const { length } = store.calls
    await settled()
    assert.ok(store.calls.length <= length + 1)
  })

  test(`is asked for at most ${ASKS_AT_ONCE_MAX} of many sessions at once, and for each`, async (t) => {
    const { sessions, store, other } = createFleet({}, 2)
    const clients = await Promise.all(Array.from({ length: 100 }, () => createVisitor(sessions)))
    const connections = await Promise.all(clients.map((client) => connect(t, sessions, client)))
    const most = mostAtOnce(store)
    for (const key of store.records.keys()) await other.revoke(key)
    for (const { ended } of connections) assert.equal(await ended, 'elsewhere')
    assert.ok(most.calls <= ASKS_AT_ONCE_MAX + 1, `${most.calls} at once`) // and the revoke
  })

  test('fails: the connection stays until its end is over and 5 s more, and is asked for by one at a time', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { sessions, store, clock } = createFleet({ idleTimeout: '10m' })
    const clients = await Promise.all(Array.from({ length: 30 }, () => createVisitor(sessions)))
    const connections = await Promise.all(clients.map((client) => connect(t, sessions, client, { every: never })))
    await settled()
    let failures = 0
    store.around = async () => {
      failures += 1
      throw new StoreUnavailableError('cut off')
    }
    clock.advance('10m')
    t.mock.timers.tick(10 * 60_000)
    await settled()
    const first = failures
    assert.ok(first <= ASKS_AT_ONCE_MAX)
    clock.advance('4s')
    t.mock.timers.tick(1_000)
    await settled()
    assert.equal(failures, first + 1)
    assert.deepEqual(
      connections.flatMap(({ ends }) => ends),
      [],
    )
    clock.advance('1s')
    t.mock.timers.tick(1_000)
    await settled()
    assert.equal(failures, first + 2)
    assert.deepEqual(
      connections.flatMap(({ ends }) => ends),
      connections.map(() => 'unreachable'),
    )
  })

  test('comes back: every session is asked for again, and the ends of that time are found', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { sessions, store, clock } = createFleet({ idleTimeout: '10m' })
    const [gone, stays] = [await createVisitor(sessions), await createVisitor(sessions)]
    const connections = [await connect(t, sessions, gone), await connect(t, sessions, stays)]
    const { around } = store
    store.around = async () => {
      throw new StoreUnavailableError('cut off')
    }
    for (const _ of [1, 2, 3]) {
      clock.advance('1s')
      t.mock.timers.tick(1_000)
      await settled()
    }
    const [key = ''] = store.records.keys()
    store.records.delete(key)
    store.around = around
    t.mock.timers.tick(1_000)
    assert.equal(await connections[0]?.ended, 'elsewhere')
    assert.deepEqual(connections[1]?.ends, [])
  })

  test('fails while a use is written: the connection stays, and a later use is written', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const fleet = createFleet({ idleTimeout: '20m' })
    const { sessions, store, clock } = fleet
    const connection = await connect(t, sessions, await createVisitor(sessions), { every: never })
    const { around } = store
    let failures = 0
    store.around = async () => {
      failures += 1
      throw new StoreUnavailableError('cut off')
    }
    clock.advance('2m')
    for (const _ of Array.from({ length: 20 })) {
      connection.use()
      await turn()
    }
    assert.equal(failures, 1)
    store.around = around
    const isWritten = asked(fleet, 1, 'apply')
    t.mock.timers.tick(1_000)
    connection.use()
    await isWritten
    assert.deepEqual(connection.ends, [])
  })
})
