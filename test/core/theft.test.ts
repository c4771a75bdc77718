import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { SessionsOptions } from '../../src/core/policy.ts'
import { createSecret } from '../token/secrets.ts'
import { type Client, createFleet, createVisitor, type Data, type Fleet, onlyRecord } from './fleet.ts'

const graceMs = 60_000
const options = {
  rotateEvery: '15m', grace: graceMs, idleTimeout: '12h', absoluteTimeout: '12h',
} as const satisfies Partial<SessionsOptions<Data>> // prettier-ignore

const visit = (fleet: Fleet, client: Client): Promise<number> => client.visit(fleet.sessions, ({ data }) => data.n)

/** Both have a token of the same new generation, which each was given when the other's was not used yet. */
async function withTwins(more: Partial<SessionsOptions<Data>> = {}): Promise<Fleet & { owner: Client; thief: Client }> {
  const fleet = createFleet({ ...options, ...more }, 2)
  const owner = await createVisitor(fleet.sessions)
  const thief = owner.clone()
  fleet.clock.advance('15m')
  await visit(fleet, owner)
  await visit(fleet, thief)
  assert.deepEqual([owner.generation, thief.generation], [2, 2])
  return { ...fleet, owner, thief }
}

suite('rotateEvery', () => {
  test('rotates a session in use so often, with its other writes, and one that is not used never', async () => {
    const fleet = createFleet(options)
    const { sessions, store, clock } = fleet
    const client = await createVisitor(sessions)
    const calls = store.calls.length
    clock.advance('14m')
    await visit(fleet, client)
    assert.equal(client.generation, 1)
    clock.advance('1m')
    await client.visit(sessions, ({ data }) => void (data.n = 2))
    assert.equal(client.generation, 2)
    assert.deepEqual(store.calls.slice(calls), ['read', 'read', 'apply'], 'one write for both')
    clock.advance('60m')
    await visit(fleet, client)
    assert.equal(client.generation, 2, 'counted from its first use')
    clock.advance('15m')
    await visit(fleet, client)
    assert.equal(client.generation, 3)
    assert.equal(await visit(fleet, client), 2)
  })

  test('counts from the login, and leaves rotation to the handler where it is not given', async () => {
    const fleet = createFleet({ ...options, rotateEvery: '15m' })
    const client = await createVisitor(fleet.sessions)
    fleet.clock.advance('10m')
    await client.visit(fleet.sessions, (session) => session.login('ann'))
    const { generation } = client
    fleet.clock.advance('14m')
    await visit(fleet, client)
    assert.equal(client.generation, generation)

    const without = createFleet({ idleTimeout: '12h' })
    const other = await createVisitor(without.sessions)
    without.clock.advance('11h')
    await visit(without, other)
    assert.equal(other.generation, 1)
  })

  test('of less than twice the grace, and an onStolen that is none, are TypeErrors', () => {
    assert.throws(() => createFleet({ rotateEvery: '119s', grace: '60s' }), {
      name: 'TypeError',
      message: /119|twice grace/,
    })
    assert.throws(() => createFleet({ onStolen: 'ignore' as 'end' }), { name: 'TypeError', message: /onStolen/ })
    assert.throws(() => createFleet({ clientLabel: 'ip' as never }), { name: 'TypeError', message: /clientLabel/ })
  })
})

suite('a thief who polls and is given the successor along with its owner', () => {
  for (const first of ['owner', 'thief'] as const) {
    test(`is seen at the next use of the other when the ${first} comes first, after twice the grace`, async () => {
      const fleet = await withTwins()
      const [one, two] = first === 'owner' ? [fleet.owner, fleet.thief] : [fleet.thief, fleet.owner]
      for (const client of [one, two, one, two])
        assert.equal(await visit(fleet, client), 1, 'at first both may be one browser')
      fleet.clock.advance(2 * graceMs + 1)
      assert.equal(await visit(fleet, one), 1)
      assert.equal(await visit(fleet, one), 1)
      assert.equal(await visit(fleet, two), 0)
      assert.deepEqual(fleet.eventNames(), ['created', 'stolen', 'ended'])
      assert.equal(await visit(fleet, one), 0)
    })
  }

  test('is seen also where both come at once, to two nodes', async () => {
    for (let round = 0; round < 20; round++) {
      const fleet = await withTwins()
      await visit(fleet, fleet.owner)
      fleet.clock.advance(2 * graceMs + 1)
      await Promise.all([fleet.sessions.open(fleet.owner.request), fleet.other.open(fleet.thief.request)])
      assert.equal(fleet.eventNames().filter((name) => name === 'stolen').length, 1)
      assert.equal(fleet.store.records.size, 0)
    }
  })

  test('is told with the labels of both', async () => {
    const fleet = await withTwins({ clientLabel: ({ headers }) => String((headers as { who?: string }).who) })
    const { key } = onlyRecord(fleet.store)
    const as = (who: string, { request }: Client): Promise<object> =>
      fleet.sessions.open({ headers: { ...request.headers, who } })
    await as('ann', fleet.owner)
    fleet.clock.advance(2 * graceMs + 1)
    await as('eve', fleet.thief)
    await as('ann', fleet.owner)
    const stolen = fleet.events.find(([name]) => name === 'stolen')
    assert.deepEqual(stolen?.[1], { key, user: null, generation: 2, presentedBy: 'ann', heldBy: 'eve' })
  })
})

suite('a copy of a session from before a login', () => {
  test('calls nobody a thief: the store is asked again, without copies', async () => {
    const fleet = createFleet(options)
    const { sessions, store, clock } = fleet
    const client = await createVisitor(sessions)
    const old = client.clone()
    clock.advance('15m')
    for (const _ of ['given the successor', 'uses it']) await visit(fleet, client)
    clock.advance('2m')
    const before = onlyRecord(store)
    await client.visit(sessions, (session) => session.login('ann'))
    let reads = 0
    store.around = async (call, run) => (call === 'read' && reads++ === 0 ? before : run())
    assert.equal(await visit(fleet, old), 0)
    assert.equal(await visit(fleet, client), 1)
    assert.deepEqual(fleet.eventNames(), ['created', 'login', 'superseded'])
  })
})

suite('an honest browser that was given two issues of one successor', () => {
  test('is not taken for a thief by a request that was slow on its way, sent before the later issue arrived', async () => {
    const fleet = createFleet(options)
    const client = await createVisitor(fleet.sessions)
    fleet.clock.advance('15m')
    const late = await fleet.sessions.commit(await fleet.sessions.open(client.request))
    await visit(fleet, client)
    await visit(fleet, client) // the first use of the successor
    fleet.clock.advance(graceMs - 1)
    const slow = client.clone()
    client.take(late)
    fleet.clock.advance(2)
    await visit(fleet, client)
    fleet.clock.advance(graceMs - 2)
    assert.equal(await visit(fleet, slow), 1)
    fleet.clock.advance(graceMs)
    assert.equal(await visit(fleet, client), 1)
    assert.deepEqual(fleet.eventNames(), ['created'])
  })
})

suite("onStolen: 'report'", () => {
  test('serves both and tells each use of the older token, which is given no other', async () => {
    const fleet = createFleet({ ...options, onStolen: 'report' })
    const owner = await createVisitor(fleet.sessions)
    const thief = owner.clone()
    fleet.clock.advance('15m')
    await visit(fleet, owner)
    await visit(fleet, owner)
    fleet.clock.advance(graceMs + 1)
    const before = thief.token
    for (const _ of [1, 2]) assert.equal(await visit(fleet, thief), 1)
    assert.equal(thief.token, before)
    assert.equal(await visit(fleet, owner), 1)
    assert.deepEqual(fleet.eventNames(), ['created', 'stolen', 'stolen'])
  })

  test('gives the successor to none but who holds the token in use', async () => {
    const fleet = await withTwins({ onStolen: 'report' })
    await visit(fleet, fleet.owner)
    fleet.clock.advance(2 * graceMs + 1)
    await visit(fleet, fleet.owner)
    fleet.clock.advance('15m')
    const before = fleet.thief.token
    await fleet.thief.visit(fleet.sessions, (session) => session.rotate())
    assert.equal(fleet.thief.token, before)
    await visit(fleet, fleet.owner)
    assert.equal(fleet.owner.generation, 3)
    await visit(fleet, fleet.thief)
    assert.equal(fleet.thief.token, before)
  })
})

suite('what the store keeps of the use of a token', () => {
  test('is no field of the application', async () => {
    const fleet = await withTwins()
    await visit(fleet, fleet.owner)
    const { key, fields } = onlyRecord(fleet.store)
    assert(fields.has('sojourn:use'))
    const session = await fleet.sessions.open(fleet.owner.request)
    assert.deepEqual(Object.keys(session.data), ['n', 'list'])
    assert.deepEqual(Object.keys((await fleet.sessions.get(key))?.data ?? {}), ['n', 'list'])
    session.data = { n: 5, list: [] }
    await fleet.sessions.commit(session)
    assert(onlyRecord(fleet.store).fields.get('sojourn:use')?.value)
  })

  test('cannot be written by the application', async () => {
    const { sessions } = createFleet()
    const session = await sessions.open({ headers: {} })
    session.data['sojourn:use'] = [9, 9, '']
    await assert.rejects(sessions.commit(session), { code: 'unstorable_value', field: 'sojourn:use' })
  })

  test('is a label cut to its bound; one that fails or is no text harms no request', async () => {
    for (const clientLabel of [
      () => 'x'.repeat(5_000),
      () => {
        throw new Error('no')
      },
      () => 7 as never,
      () => undefined as never,
    ]) {
      // prettier-ignore
      const fleet = await withTwins({ clientLabel })
      assert.equal(await visit(fleet, fleet.owner), 1)
      assert((onlyRecord(fleet.store).fields.get('sojourn:use')?.value ?? '').length < 300)
    }
  })
})

suite('a rolled secret', () => {
  test('is replaced in the cookie of who comes by, as by a rotation, so that the old one may go', async () => {
    const place = createFleet(options)
    const [first, second] = [createSecret(), createSecret()]
    const nodes = (secret: string[]): Fleet => createFleet({ idleTimeout: '12h', secret }, 1, place)
    const client = await createVisitor(nodes([first]).sessions)
    await visit(nodes([first, second]), client)
    assert.equal(client.generation, 1)
    await visit(nodes([second, first]), client)
    assert.equal(client.generation, 2)
    assert.equal(await visit(nodes([second]), client), 1)
  })
})
