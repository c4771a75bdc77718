import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Sessions, Store, StoreDefinition } from '../../../src/core/index.ts'
import type { CookieStoreOptions } from '../../../src/stores/cookie/index.ts'
import { Ends, type Entry, formatEntry, parseEntry } from '../../../src/stores/cookie/ends.ts'
import { memoryStore } from '../../../src/stores/memory/index.ts'
import { sharing } from '../../laws/fleets.ts'
import { Client, type Data, makeSessions, type MadeSessions } from './support.ts'

/** A store that nodes of this process share, and for one of them its switches: calls fail while `isDown`, and wait for `gate`. */
interface Shared {
  definition(switches?: Switches): StoreDefinition
}
interface Switches {
  isDown: boolean
  gate: Promise<void>
}

function createShared(): Shared {
  const share = sharing(memoryStore())
  return {
    definition: (switches) => ({
      ...share(),
      shared: true,
      open(context) {
        const store = share().open(context)
        const gated: Store = {
          ...store,
          read: (key) => through(switches, () => store.read(key)),
          apply: (change) => through(switches, () => store.apply(change)),
        }
        return gated
      },
    }),
  }
}

async function through<T>(switches: Switches | undefined, run: () => Promise<T>): Promise<T> {
  await switches?.gate
  if (switches?.isDown) throw new Error('the store is down')
  return run()
}

/** Nodes on one store of revocations, with one clock. */
function createFleet(
  count: number,
  options: CookieStoreOptions = {},
  switches: (Switches | undefined)[] = [],
): MadeSessions[] {
  const shared = createShared()
  const clock: MadeSessions['clock'] = { time: 1_795_000_000_000, now: () => clock.time }
  return Array.from({ length: count }, (_, n) => {
    const store = { revocations: shared.definition(switches[n]), lease: '20ms', ...options } as const
    return makeSessions(store, {}, clock)
  })
}

async function loggedIn(sessions: Sessions<Data>, user: string): Promise<Client> {
  const client = new Client()
  await client.visit(sessions, (s) => s.login(user))
  return client
}

async function close(nodes: readonly MadeSessions[]): Promise<void> {
  await Promise.all(nodes.map(({ sessions }) => sessions.close()))
}

suite('revocations of sealed sessions', () => {
  test('revokeUser ends every session of that user, on every node, and none that begins afterwards', async () => {
    const nodes = createFleet(2)
    const [a, b] = nodes.map(({ sessions }) => sessions)
    assert(a && b)
    const ada = await Promise.all([a, b, a].map((node) => loggedIn(node, 'ada')))
    const bob = await loggedIn(b, 'bob')
    const visitor = new Client()
    await visitor.visit(a, (s) => void (s.data['a'] = 1))
    await b.revokeUser('ada')
    for (const node of [a, b]) {
      for (const client of ada) assert.equal((await client.look(node)).isNew, true)
      assert.equal((await bob.look(node)).user, 'bob')
      assert.deepEqual((await visitor.look(node)).data, { a: 1 })
    }
    const again = await loggedIn(a, 'ada')
    await visitor.visit(a, (s) => s.login('ada'))
    for (const client of [again, visitor]) assert.equal((await client.look(b)).user, 'ada')
    await a.revokeUser('ada')
    for (const client of [again, visitor]) assert.equal((await client.look(b)).isNew, true)
    await close(nodes)
  })

  test('revokeAll ends every session that began before it', async () => {
    const nodes = createFleet(2)
    const [a, b] = nodes.map(({ sessions }) => sessions)
    assert(a && b)
    const before = [await loggedIn(a, 'ada'), await loggedIn(b, 'bob')]
    await a.revokeAll()
    for (const client of before) assert.equal((await client.look(b)).isNew, true)
    assert.equal((await (await loggedIn(b, 'ada')).look(a)).user, 'ada')
    await close(nodes)
  })

  test('a session that is sealed again keeps its epoch: it does not outlive a revokeUser of before', async () => {
    const nodes = createFleet(1)
    const [a] = nodes.map(({ sessions }) => sessions)
    assert(a)
    const client = await loggedIn(a, 'ada')
    const held = client.copy()
    const session = await a.open({ headers: { cookie: client.header } })
    session.data['late'] = 1
    await a.revokeUser('ada')
    assert.deepEqual(await a.commit(session), [])
    assert.equal((await held.look(a)).isNew, true)
    await close(nodes)
  })

  test('what two nodes end at once is known to both, and to a node that starts later, over many rounds of the log', async () => {
    const nodes = createFleet(3)
    const [a, b, late] = nodes.map(({ sessions }) => sessions)
    assert(a && b && late)
    const clients = await Promise.all(Array.from({ length: 700 }, (_, n) => loggedIn(n % 2 ? a : b, `user-${n}`)))
    const copies = clients.map((client) => client.copy())
    const kept = await loggedIn(a, 'kept')
    await Promise.all(clients.map((client, n) => client.visit(n % 3 ? a : b, (s) => s.logout())))
    for (const node of [a, b, late]) {
      const seen = await Promise.all(copies.map((copy) => copy.look(node)))
      assert.equal(seen.filter(({ isNew }) => isNew).length, copies.length)
      assert.equal((await kept.look(node)).user, 'kept')
    }
    await close(nodes)
  })

  test('a node whose feed is late does not answer from memory once its lease is over, which is what a logout waits for', async () => {
    const gate = Promise.withResolvers<void>()
    const switches: Switches = { isDown: false, gate: Promise.resolve() }
    const nodes = createFleet(2, {}, [undefined, switches])
    const [a, b] = nodes.map(({ sessions }) => sessions)
    assert(a && b)
    const client = await loggedIn(a, 'ada')
    const copy = client.copy()
    assert.equal((await copy.look(b)).user, 'ada')
    switches.gate = gate.promise
    await client.visit(a, (s) => s.logout())
    const looking = copy.look(b)
    gate.resolve()
    assert.equal((await looking).isNew, true)
    await close(nodes)
  })

  test('a node that lost the feed goes on for a while, then refuses with 503, and serves again when it hears it', async () => {
    const switches: Switches = { isDown: false, gate: Promise.resolve() }
    const nodes = createFleet(1, { feedLostAfter: '400ms' }, [switches])
    const [{ sessions, logged }] = nodes as [MadeSessions]
    const client = await loggedIn(sessions, 'ada')
    switches.isDown = true
    await assert.rejects(
      client.visit(sessions, (s) => s.logout()),
      { code: 'store_unavailable', status: 503 },
    )
    const refused = { code: 'store_unavailable', status: 503, message: /feedLostAfter/ }
    let served = 0
    for (;;) {
      const failure = await client.look(sessions).then(
        () => void (served += 1),
        (error: unknown) => error,
      )
      assert(served < 2_000, 'a node without its feed goes on for ever')
      if (failure === undefined) {
        await new Promise((resolve) => setTimeout(resolve, 5))
        continue
      }
      assert.throws(() => assert.ifError(failure))
      await assert.rejects(client.look(sessions), refused)
      break
    }
    assert(served > 0)
    assert.equal((await sessions.health()).ok, false)
    assert.equal(logged.filter((line) => line.includes('is not heard')).length, 1)
    switches.isDown = false
    while ((await client.look(sessions).catch(() => undefined))?.user !== 'ada') await new Promise(setImmediate)
    assert(logged.includes('the feed of ended sessions is heard again'))
    await close(nodes)
  })

  test("with onFeedLost: 'accept' it goes on with what it knows", async () => {
    const switches: Switches = { isDown: false, gate: Promise.resolve() }
    const nodes = createFleet(1, { feedLostAfter: '1ms', onFeedLost: 'accept' }, [switches])
    const [{ sessions }] = nodes as [MadeSessions]
    const [live, ended] = [await loggedIn(sessions, 'ada'), await loggedIn(sessions, 'bob')]
    const copy = ended.copy()
    await ended.visit(sessions, (s) => s.logout())
    switches.isDown = true
    await assert.rejects(sessions.revokeAll())
    assert.equal((await live.look(sessions)).user, 'ada')
    assert.equal((await copy.look(sessions)).isNew, true)
    await close(nodes)
  })

  test('no session is served before the feed was read once', async () => {
    const client = await loggedIn(createFleet(1)[0]?.sessions as Sessions<Data>, 'ada')
    const nodes = createFleet(1, {}, [{ isDown: true, gate: Promise.resolve() }])
    const [{ sessions }] = nodes as [MadeSessions]
    await assert.rejects(client.look(sessions), { code: 'store_unavailable', status: 503 })
    await close(nodes)
  })

  test('an end is forgotten when no session from before it can live, and not earlier', () => {
    const ends = new Ends(1_000_000)
    ends.take({ kind: 'ended', key: 'a', at: 0 }, 0)
    ends.take({ kind: 'user', user: 'ada', at: 0 }, 1)
    ends.take({ kind: 'ended', key: 'b', at: 500_000 }, 2)
    ends.forget(1_000_000)
    assert.deepEqual([ends.isEnded('a'), ends.isOver('ada', 1), ends.size], [true, true, 2])
    ends.forget(1_100_000)
    assert.deepEqual([ends.isEnded('a'), ends.isOver('ada', 1), ends.isEnded('b')], [false, false, true])
  })

  test('one poll forgets a bounded number, and the next ones the rest', () => {
    const ends = new Ends(1_000)
    for (let n = 0; n < 25_000; n++) ends.take({ kind: 'ended', key: `k${n}`, at: 0 }, n)
    const left = [1, 2, 3].map(() => {
      ends.forget(100_000)
      return ends.size
    })
    assert.deepEqual(left, [15_000, 5_000, 0])
  })

  test('entries of the log are read as they were written, and those of a later version passed over', () => {
    const entries: Entry[] = [
      { kind: 'ended', at: 1_795_000_000_000, key: 'k-_9' },
      {
        kind: 'generations',
        at: 5,
        key: 'k',
        generations: { generation: 7, pending: true, floor: 3, retired: [9, 8.5], use: '[7,12,"a b é"]' },
      },
      {
        kind: 'generations',
        at: 5,
        key: 'k',
        generations: { generation: 1, pending: false, floor: 1, retired: [], use: null },
      },
      { kind: 'user', at: 5, user: 'ada lovelace\né🦊%' },
      { kind: 'all', at: 5 },
    ]
    for (const entry of entries) assert.deepEqual(parseEntry(formatEntry(entry)), entry)
    for (const text of ['', 'z 1 what', 'q']) assert.equal(parseEntry(text), undefined)
  })

  test('a lease that would use up the deadline of a logout is refused at start, and what is no user by revokeUser', async () => {
    const shared = { ...memoryStore(), shared: true }
    const make = (): unknown => makeSessions({ revocations: shared, lease: '300ms' }, { deadline: '500ms' })
    assert.throws(make, { name: 'TypeError', message: /lease \(300 ms\).*half of deadline \(500 ms\)/ })
    const { sessions } = makeSessions({ revocations: memoryStore(), lease: '1s' })
    for (const user of ['', 42, undefined, 'x'.repeat(257)]) {
      await assert.rejects(sessions.revokeUser(user as string), { name: 'TypeError', message: /^revokeUser\(user\)/ })
    }
    await sessions.close()
  })

  test('revocations without an absolute timeout are refused at start, since an end could never be forgotten', () => {
    assert.throws(() => makeSessions({ revocations: memoryStore() }, { absoluteTimeout: Infinity }), {
      name: 'TypeError',
      message: /finite absoluteTimeout/,
    })
  })
})
