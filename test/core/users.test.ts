import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { Client, createFleet, createTurnedClock, createVisitor, type Data, type Fleet } from './fleet.ts'
import { createIndexedStore, type IndexedStore } from './indexed-store.ts'
import { memoryStore } from '../../src/index.ts'
import { SessionInvalidError } from '../../src/core/errors.ts'
import type { Sessions } from '../../src/core/sessions.ts'
import type { SessionsOptions } from '../../src/core/policy.ts'

interface IndexedFleet extends Fleet {
  readonly store: IndexedStore
}

function createIndexedFleet(options: Partial<SessionsOptions<Data>> = {}, nodeCount = 1): IndexedFleet {
  const store = createIndexedStore()
  return { ...createFleet(options, nodeCount, { store, clock: createTurnedClock() }), store }
}

async function loggedIn(sessions: Sessions<Data>, user: string, client?: string): Promise<Client> {
  const browser = new Client()
  await browser.visit(sessions, (session) => session.login(user, { client }))
  return browser
}

async function collect<T>(things: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const thing of things) all.push(thing)
  return all
}

const keyOf = (sessions: Sessions<Data>, client: Client): Promise<string> => client.visit(sessions, ({ key }) => key)
const userOf = (sessions: Sessions<Data>, client: Client): Promise<string | null> =>
  client.visit(sessions, ({ user }) => user)

suite('list(user)', () => {
  test('tells the live sessions of a user and of nobody else, the newest login first, with their devices and times', async () => {
    const { sessions, clock } = createIndexedFleet({ idleTimeout: '30m' })
    const begun = clock.now()
    const phone = await createVisitor(sessions)
    clock.advance('1m')
    await loggedIn(sessions, 'bob')
    const laptop = await loggedIn(sessions, 'ann', 'laptop')
    clock.advance('1m')
    await phone.visit(sessions, (session) => session.login('ann', { client: 'phone' }))
    clock.advance('5m')
    await laptop.visit(sessions, () => {})
    assert.deepEqual(await collect(sessions.list('ann')), [
      {
        key: await keyOf(sessions, phone),
        client: 'phone',
        createdAt: new Date(begun),
        loggedInAt: new Date(begun + 120_000),
        lastSeenAt: new Date(begun + 120_000),
        expiresAt: new Date(begun + 120_000 + 1_800_000),
      },
      {
        key: await keyOf(sessions, laptop),
        client: 'laptop',
        createdAt: new Date(begun + 60_000),
        loggedInAt: new Date(begun + 60_000),
        lastSeenAt: new Date(begun + 420_000),
        expiresAt: new Date(begun + 420_000 + 1_800_000),
      },
    ])
    assert.deepEqual(await collect(sessions.list('nobody')), [])
  })

  test('names a device by clientLabel where the login does not, and cuts what is too long', async () => {
    const { sessions } = createIndexedFleet()
    const headers = { 'user-agent': 'Firefox' }
    const session = await sessions.open({ headers, ip: '10.0.0.1' })
    await session.login('ann')
    await loggedIn(sessions, 'ann', 'x'.repeat(1000))
    await loggedIn(sessions, 'ann', '')
    const clients = (await collect(sessions.list('ann'))).map(({ client }) => client)
    assert.deepEqual(clients.toSorted(), ['', '10.0.0.1 Firefox', 'x'.repeat(200)])
    await assert.rejects(session.login('ann', { client: 7 as never }), { name: 'TypeError', message: /client is text/ })
  })

  test('keeps the device out of the data', async () => {
    const { sessions } = createIndexedFleet()
    const client = await loggedIn(sessions, 'ann')
    const names = await client.visit(sessions, ({ data }) => [Object.keys(data), 'sojourn:login' in data])
    assert.deepEqual(names, [['n', 'list'], false])
    const view = await sessions.get(await keyOf(sessions, client))
    assert.deepEqual(view?.data, { n: 0, list: [] })
    await client.visit(sessions, (session) => void (session.data = { n: 2, list: [] }))
    assert.equal((await collect(sessions.list('ann'))).length, 1)
  })

  test('asks the store only as far as it is iterated, for bounded parts', async () => {
    const { sessions, store } = createIndexedFleet()
    for (let count = 0; count < 250; count += 1) await loggedIn(sessions, 'ann')
    store.calls.length = 0
    for await (const _ of sessions.list('ann')) break
    assert.deepEqual(store.calls, ['list', ...Array<string>(100).fill('read')])
    assert.equal((await collect(sessions.list('ann'))).length, 250)
  })

  test('passes over what has ended, what is over and what became another’s, and lets go of it', async () => {
    const { sessions, store, clock } = createIndexedFleet({ idleTimeout: '10m' })
    const lost = await loggedIn(sessions, 'ann')
    const left = store.keysOf('ann')
    for (const key of left) store.records.delete(key) // as where the index was not told of an end
    await loggedIn(sessions, 'ann')
    clock.advance('11m')
    const fresh = await loggedIn(sessions, 'ann')
    const sessionsOfAnn = await collect(sessions.list('ann'))
    assert.deepEqual(
      sessionsOfAnn.map(({ key }) => key),
      [await keyOf(sessions, fresh)],
    )
    assert.deepEqual(store.keysOf('ann'), [await keyOf(sessions, fresh)])
    assert.equal(await userOf(sessions, lost), null)
  })

  test('keeps the key of a login that is under way, or was when its node died, for a minute', async () => {
    const { sessions, store, clock } = createIndexedFleet()
    store.around = async (call, run) => (call === 'apply' ? Promise.reject(new Error('the node died')) : run())
    await assert.rejects(loggedIn(sessions, 'ann'))
    store.around = (_, run) => run()
    assert.deepEqual([await collect(sessions.list('ann')), store.keysOf('ann').length], [[], 1])
    clock.advance('61s')
    assert.deepEqual([await collect(sessions.list('ann')), store.keysOf('ann').length], [[], 0])
  })

  test('is refused where the store cannot, and for what is no user', async () => {
    const { sessions } = createFleet()
    await assert.rejects(collect(sessions.list('ann')), { code: 'unsupported' })
    await assert.rejects(sessions.revokeUser('ann'), { code: 'unsupported' })
    assert.throws(() => sessions.list(7 as never), { name: 'TypeError', message: /^list\(user\)/ })
  })
})

suite('the index of a user', () => {
  test('is left at logout and at every other end', async () => {
    const { sessions, store, clock, events } = createIndexedFleet({ rotateEvery: '5m', grace: '1m' })
    const client = await loggedIn(sessions, 'ann')
    await client.visit(sessions, (session) => session.logout())
    const revoked = await loggedIn(sessions, 'ann')
    await sessions.revoke(await keyOf(sessions, revoked))
    const owner = await loggedIn(sessions, 'ann')
    const thief = owner.clone()
    await owner.visit(sessions, (session) => session.rotate())
    await owner.visit(sessions, () => {})
    clock.advance('2m')
    await thief.visit(sessions, () => {})
    await setImmediate()
    assert.deepEqual(store.keysOf('ann'), [])
    const reasons = events.flatMap(([name, event]) => (name === 'ended' && 'reason' in event ? [event.reason] : []))
    assert.deepEqual(reasons, ['logout', 'revoked', 'stolen'])
  })

  test('keeps a session through rotations and new logins of its user, once', async () => {
    const { sessions, store } = createIndexedFleet()
    const client = await loggedIn(sessions, 'ann')
    for (const act of ['rotate', 'save'] as const) await client.visit(sessions, (session) => session[act]())
    await client.visit(sessions, (session) => session.login('ann', { client: 'again' }))
    assert.deepEqual(store.keysOf('ann'), [await keyOf(sessions, client)])
    assert.deepEqual(
      (await collect(sessions.list('ann'))).map(({ client }) => client),
      ['again'],
    )
  })

  test('follows a session that another user logs in to', async () => {
    const { sessions, store } = createIndexedFleet()
    const client = await loggedIn(sessions, 'ann')
    await client.visit(sessions, (session) => session.login('bob'))
    assert.deepEqual([store.keysOf('ann'), store.keysOf('bob')], [[], [await keyOf(sessions, client)]])
    assert.equal(await sessions.revokeUser('ann'), 0)
    assert.equal(await userOf(sessions, client), 'bob')
  })

  test('that cannot be left does not keep anybody from logging out', async () => {
    const { sessions, store } = createIndexedFleet()
    const client = await loggedIn(sessions, 'ann')
    store.around = async (call, run) => (call === 'leave' ? Promise.reject(new Error('no')) : run())
    await client.visit(sessions, (session) => session.logout())
    await setImmediate()
    assert.deepEqual(await collect(sessions.list('ann')), [])
  })
})

suite('revokeUser(user)', () => {
  test('ends every session of the user on every node but the one that is to go on, and says how many', async () => {
    const { sessions, other, store, clock, events } = createIndexedFleet({}, 2)
    const clients: Client[] = []
    for (let count = 0; count < 230; count += 1) clients.push(await loggedIn(sessions, 'ann'))
    const [mine = new Client()] = clients
    const bob = await loggedIn(sessions, 'bob')
    const except = await keyOf(sessions, mine)
    clock.advance('1m')
    assert.equal(await other.revokeUser('ann', { except }), 229)
    for (const client of clients) assert.equal(await userOf(sessions, client), client === mine ? 'ann' : null)
    assert.equal(await userOf(sessions, bob), 'bob')
    assert.deepEqual(store.keysOf('ann'), [except])
    const ended = events.filter(([name]) => name === 'ended').map(([, event]) => event)
    assert.equal(ended.length, 229)
    assert.partialDeepStrictEqual(ended[0], { user: 'ann', reason: 'revoked' })
    assert.equal(await sessions.revokeUser('ann'), 1)
    assert.equal(await sessions.revokeUser('ann'), 0)
    const again = await loggedIn(sessions, 'ann')
    assert.equal(await userOf(other, again), 'ann', 'a login that comes later stands')
  })

  test('with options that are none ends nothing', async () => {
    const { sessions } = createIndexedFleet({}, 1)
    const client = await loggedIn(sessions, 'ann')
    const wrong = [{ excpt: 'k' }, { except: null }, { except: '' }, { except: { key: 'k' } }, 'k', null]
    for (const options of wrong) {
      const revoking = sessions.revokeUser('ann', options as never)
      await assert.rejects(revoking, { name: 'TypeError', message: /^revokeUser\(user, \{ except \}\)/ })
    }
    assert.equal(await userOf(sessions, client), 'ann')
  })

  test('does not count a session whose time is over, and tells nobody that it ended', async () => {
    const { sessions, clock, store, eventNames } = createIndexedFleet({ idleTimeout: '10m' })
    await loggedIn(sessions, 'ann')
    clock.advance('11m')
    assert.equal(await sessions.revokeUser('ann'), 0)
    assert.deepEqual([store.records.size, store.keysOf('ann')], [0, []])
    assert.equal(eventNames().includes('ended'), false)
  })

  test('that fails in between says so, and ends the rest when it is called again', async () => {
    const { sessions, store } = createIndexedFleet()
    for (let count = 0; count < 5; count += 1) await loggedIn(sessions, 'ann')
    let ends = 0
    store.around = async (call, run) => (call === 'end' && (ends += 1) > 2 ? Promise.reject(new Error('no')) : run())
    await assert.rejects(sessions.revokeUser('ann'), { code: 'store_unavailable' })
    store.around = (_, run) => run()
    assert.equal(await sessions.revokeUser('ann'), 3)
  })

  test('ends a session that cannot be read, too, which list passes over', async () => {
    const { sessions, store } = createIndexedFleet()
    await loggedIn(sessions, 'ann')
    const [damaged] = store.keysOf('ann')
    const client = await loggedIn(sessions, 'ann')
    let reads = 0
    store.around = async (call, run) => {
      if (call === 'read' && (reads += 1) % 2 === 0) throw new SessionInvalidError('a secret is missing')
      return run()
    }
    assert.deepEqual(
      (await collect(sessions.list('ann'))).map(({ key }) => key),
      [store.keysOf('ann').find((key) => key !== damaged)],
    )
    assert.equal(await sessions.revokeUser('ann'), 2)
    store.around = (_, run) => run()
    assert.deepEqual([store.records.size, store.keysOf('ann')], [0, []])
    assert.equal(await userOf(sessions, client), null)
  })

  test('works where sessions are found by their records, too', async () => {
    const { sessions } = createFleet({ store: memoryStore() })
    const [mine, others] = [await loggedIn(sessions, 'ann'), await loggedIn(sessions, 'ann')]
    assert.equal((await collect(sessions.list('ann'))).length, 2)
    assert.equal(await sessions.revokeUser('ann', { except: await keyOf(sessions, mine) }), 1)
    assert.deepEqual([await userOf(sessions, mine), await userOf(sessions, others)], ['ann', null])
  })
})
