import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Client, createFleet, createTurnedClock, createVisitor, type Data, type Fleet } from './fleet.ts'
import { createIndexedStore, type IndexedStore } from './indexed-store.ts'
import { everyInterleaving } from './interleavings.ts'
import type { Session } from '../../src/core/session.ts'

interface Facts {
  readonly fleet: Fleet & { readonly store: IndexedStore }
  readonly old: Client
  readonly browser: Client
  /** The request in which she does. */
  readonly session: Session<Data>
  outcome: 'loggedIn' | { readonly code: unknown } | undefined
  revoked: number | undefined
}

/** Whose the session is over which `ann` logs in. */
const BEFORE = ['nobody', 'a visitor', 'ann', 'bob'] as const

/** A browser in which `ann` is about to log in. Another session of hers would make more orders than a test can run. */
async function begin(before: (typeof BEFORE)[number], hasOld = false): Promise<Facts> {
  const store = createIndexedStore()
  const fleet = { ...createFleet({}, 2, { store, clock: createTurnedClock() }), store }
  const [old, browser] = [new Client(), before === 'nobody' ? new Client() : await createVisitor(fleet.sessions)]
  if (hasOld) await old.visit(fleet.sessions, (session) => session.login('ann'))
  if (before === 'ann' || before === 'bob') await browser.visit(fleet.sessions, (session) => session.login(before))
  const session = await fleet.sessions.open(browser.request)
  return { fleet, old, browser, session, outcome: undefined, revoked: undefined }
}

async function login(facts: Facts, user = 'ann'): Promise<void> {
  try {
    await facts.session.login(user)
    facts.outcome = 'loggedIn'
  } catch (error) {
    facts.outcome = { code: error instanceof Error && 'code' in error ? error.code : error }
  }
}

/** The answer of the request, where its node is alive to give one. */
async function answer({ fleet, browser, session, outcome }: Facts): Promise<void> {
  if (outcome) browser.take(await fleet.sessions.commit(session))
}

const userAt = (sessions: Fleet['sessions'], client: Client): Promise<string | null> =>
  client.visit(sessions, ({ user }) => user)

suite('a login and a revokeUser of its user at once', () => {
  for (const before of BEFORE) {
    test(`over the session of ${before}: in every order the login stands only where it entered later`, async () => {
      const seen = new Set<string>()
      const count = await everyInterleaving(
        async () => {
          const facts = await begin(before)
          const actors = {
            login: { run: () => login(facts) },
            revoke: { run: async () => (facts.revoked = await facts.fleet.other.revokeUser('ann')) },
          }
          return { store: facts.fleet.store, actors, facts }
        },
        async (facts, { order }) => {
          const { fleet, old, browser, outcome, revoked } = facts
          const told = order.join(', ')
          await answer(facts)
          assert(revoked !== undefined, told)
          assert.equal(await userAt(fleet.sessions, old), null, told)
          const user = await userAt(fleet.other, browser)
          const entered = order.indexOf('login enter')
          const isLate = entered > order.indexOf('revoke advance')
          if (!isLate) assert.notEqual(user, 'ann', told)
          if (!isLate && outcome !== 'loggedIn') assert.deepEqual(outcome, { code: 'login_revoked' }, told)
          if (user === 'ann') assert.equal(outcome, 'loggedIn', told)
          // What is left in the store is what somebody holds.
          const left = [...fleet.store.records.values()].filter((record) => record.user === 'ann')
          assert.equal(left.length, user === 'ann' ? 1 : 0, told)
          for (const { key } of left) assert(fleet.store.keysOf('ann').includes(key), told)
          seen.add(`${isLate ? 'late' : 'early'}: ${JSON.stringify(outcome)}, ${user}`)
        },
      )
      assert(count > 40, `${count} orders`)
      assert(seen.has('late: "loggedIn", ann'), [...seen].join('; '))
      assert(
        [...seen].some((what) => what.startsWith('early: {"code":"login_revoked"}')),
        [...seen].join('; '),
      )
    })

    test(`over the session of ${before}: wherever the login’s node dies, nobody is logged in by it, and the next revokeUser misses nothing`, async () => {
      for (const crashes of [0, 1, 2, 3]) {
        await everyInterleaving(
          async () => {
            const facts = await begin(before, before === 'nobody')
            const actors = {
              login: { run: () => login(facts), crashes },
              revoke: { run: async () => (facts.revoked = await facts.fleet.other.revokeUser('ann')) },
            }
            return { store: facts.fleet.store, actors, facts }
          },
          async (facts, { order }) => {
            const { fleet, old, browser, outcome, revoked } = facts
            await answer(facts)
            const told = `dies after ${crashes} calls: ${order.join(', ')}`
            assert(revoked !== undefined, told)
            assert.equal(await userAt(fleet.other, old), null, told)
            if (outcome === undefined) assert.notEqual(await userAt(fleet.other, browser), 'ann', told)
            await fleet.other.revokeUser('ann')
            const left = [...fleet.store.records.values()].filter((record) => record.user === 'ann')
            assert.equal(left.length, 0, told)
            fleet.clock.advance('2m')
            for await (const { key } of fleet.other.list('ann')) assert.fail(`${key} is still listed: ${told}`)
            assert.deepEqual(fleet.store.keysOf('ann'), [], told)
          },
        )
      }
    })
  }

  test('leave the session of another user who logs in over one of theirs, in every order', async () => {
    await everyInterleaving(
      async () => {
        const facts = await begin('ann')
        const actors = {
          login: { run: () => login(facts, 'bob') },
          revoke: { run: async () => (facts.revoked = await facts.fleet.other.revokeUser('ann')) },
        }
        return { store: facts.fleet.store, actors, facts }
      },
      async (facts, { order }) => {
        await answer(facts)
        const { fleet, browser, outcome } = facts
        assert.equal(outcome, 'loggedIn', order.join(', '))
        assert.equal(await userAt(fleet.other, browser), 'bob', order.join(', '))
        for (const key of fleet.store.records.keys()) assert(fleet.store.keysOf('bob').includes(key), order.join(', '))
      },
    )
  })

  test('a login that cannot ask whether it stands gives nobody its token, and leaves no session', async () => {
    const { fleet, browser, session } = await begin('a visitor')
    fleet.store.around = async (call, run) => (call === 'settle' ? Promise.reject(new Error('away')) : run())
    await assert.rejects(session.login('ann'), { code: 'store_unavailable' })
    assert.deepEqual(await fleet.sessions.commit(session), [], 'an answer of 503 sets and clears no cookie')
    fleet.store.around = (_, run) => run()
    assert.equal(await userAt(fleet.other, browser), null)
    assert.equal(await fleet.sessions.revokeUser('ann'), 0)
    assert(!fleet.eventNames().includes('login'))
  })
})

interface Presentation {
  readonly fleet: Fleet & { readonly store: IndexedStore }
  readonly clients: readonly Client[]
  readonly opened: Set<Client>
}

suite('first presentations of several logins of one user at once', () => {
  for (const policy of ['refuse', 'end-oldest'] as const) {
    test(`never leave more than the bound with ${policy}, in whichever order they ask the store`, async () => {
      const count = await everyInterleaving(
        async () => {
          const store = createIndexedStore()
          const options = { maxSessionsPerUser: { max: 1, policy } }
          const fleet = { ...createFleet(options, 2, { store, clock: createTurnedClock() }), store }
          const clients = [new Client(), new Client()]
          for (const client of clients) await client.visit(fleet.sessions, (session) => session.login('ann'))
          const facts: Presentation = { fleet, clients, opened: new Set() }
          const present = (client: Client | undefined, index: number) => async (): Promise<void> => {
            const sessions = fleet.nodes[index]
            if (sessions && client && (await userAt(sessions, client)) === 'ann') facts.opened.add(client)
          }
          const actors = { one: { run: present(clients[0], 0) }, two: { run: present(clients[1], 1) } }
          return { store, actors, facts }
        },
        async ({ fleet, clients, opened }, { order }) => {
          const told = order.join(', ')
          const users = []
          for (const client of clients) users.push(await userAt(fleet.sessions, client))
          assert.equal(users.filter((user) => user === 'ann').length, 1, told)
          assert.equal(fleet.store.records.size, 1, told)
          if (policy === 'refuse') assert.equal(opened.size, 1, told)
          assert.deepEqual(fleet.store.seatsOf('ann'), [...fleet.store.records.keys()], told)
        },
      )
      assert(count > 20, `${count} orders`)
    })
  }
})
