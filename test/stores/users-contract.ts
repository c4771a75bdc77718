/** What every store that finds the sessions of a user promises. Each store's own test calls {@link usersContract}. */

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import type { Store, UserEntry, UserLogin, UserSessions } from '../../src/core/index.ts'
import { changeOf, now, randomKey, recordOf, tombstoneOf } from './changes.ts'
import type { OpenStore } from './contract.ts'

/**
 * @param open makes a ready store; may be called several times, and the stores may share their sessions or not
 * @param index whether the store keeps an index of its own, or finds sessions by their records
 */
export function usersContract(name: string, open: () => Promise<OpenStore>, index: 'own index' | 'records'): void {
  describe(`${name} finds the sessions of a user`, () => {
    let opened: OpenStore
    let store: Store
    let users: UserSessions
    before(async () => {
      opened = await open()
      store = opened.store
      assert(store.users, 'the store does not say that it can')
      users = store.users
      assert.equal(users.leave !== undefined, index === 'own index')
    })
    after(() => opened.close())

    /** Logs in as the engine does, under a new key unless one is given. */
    async function loggedIn(user: string, at = now, key = randomKey()): Promise<UserLogin> {
      const login = { user, key, at }
      const epoch = await users.enter(login)
      await apply(login)
      assert(await users.settle(login, epoch))
      return login
    }

    async function apply({ user, key, at }: UserLogin): Promise<void> {
      const create = (await store.read(key)) === undefined
      const result = await store.apply(
        changeOf(key, { create, now: at, generation: create ? 0 : 1_000, login: { user } }),
      )
      assert.equal(result.outcome, 'applied')
    }

    async function end({ user, key }: UserLogin): Promise<void> {
      await store.end(tombstoneOf(key))
      await users.leave?.(user, [{ key, at: Infinity }])
    }

    async function listed(user: string, limit = 100): Promise<UserEntry[]> {
      const entries: UserEntry[] = []
      for (let after: string | undefined; ;) {
        const page = await users.list(user, { limit, ...(after === undefined ? {} : { after }) })
        assert(page.entries.length <= limit)
        entries.push(...page.entries)
        if (page.next === undefined) return entries
        after = page.next
      }
    }

    describe('listing', () => {
      it('knows nothing of an unknown user', async () => {
        assert.deepEqual(await users.list(randomUUID(), { limit: 10 }), { entries: [] })
      })

      it('has the sessions of a user and of nobody else, the newest first', async () => {
        const [user, other] = [randomUUID(), randomUUID()]
        const logins = [await loggedIn(user, now), await loggedIn(user, now + 1), await loggedIn(user, now + 2)]
        await loggedIn(other, now + 1)
        const entries = await listed(user)
        assert.deepEqual(keysOf(entries), keysOf(logins.toReversed()))
        for (const [index, { at }] of entries.toReversed().entries()) assert.equal(Math.floor(at), logins[index]?.at)
      })

      for (const user of ['', ' ', '{a}', 'a}b', 'ü – 漢字 🎉', "'; DROP", 'x'.repeat(256), '\n\t\0']) {
        it(`takes ${JSON.stringify(user.slice(0, 10))} for a user as it is`, async () => {
          const login = await loggedIn(user + randomUUID().slice(0, 8))
          assert.deepEqual(keysOf(await listed(login.user)), [login.key])
          assert.deepEqual(await listed(login.user + ' '), [])
        })
      }

      it('comes in parts that are no larger than asked for, and misses none where many logged in at one moment', async () => {
        const user = randomUUID()
        const logins = await Promise.all(Array.from({ length: 25 }, (_, n) => loggedIn(user, now + (n % 2))))
        for (const limit of [1, 4, 25, 26]) {
          const entries = await listed(user, limit)
          assert.deepEqual(keysOf(entries).toSorted(), keysOf(logins).toSorted(), `${limit} at a time`)
          assert.deepEqual(
            entries,
            entries.toSorted((a, b) => b.at - a.at),
          )
        }
      })

      it('misses none of those that were there while others, listed before, leave', async () => {
        const user = randomUUID()
        const logins = await Promise.all(Array.from({ length: 10 }, () => loggedIn(user)))
        const first = await users.list(user, { limit: 4 })
        for (const { key } of first.entries) await end({ user, key, at: now })
        const rest = await users.list(user, { limit: 10, ...(first.next === undefined ? {} : { after: first.next }) })
        const keys = [...keysOf(first.entries), ...keysOf(rest.entries)]
        assert.deepEqual(keys.toSorted(), keysOf(logins).toSorted())
      })

      it('has a session that has ended and left no more', async () => {
        const user = randomUUID()
        const [stays, goes] = [await loggedIn(user), await loggedIn(user)]
        await end(goes)
        assert.deepEqual(keysOf(await listed(user)), [stays.key])
        await end(goes)
      })

      it('puts a session whose user logs in again where a new login stands, once', async () => {
        const user = randomUUID()
        const [first, second] = [await loggedIn(user, now), await loggedIn(user, now + 1)]
        const again = { ...first, at: now + 2 }
        const epoch = await users.enter(again)
        assert.deepEqual(keysOf(await listed(user)), [second.key, first.key], 'entering moves nothing')
        await apply(again)
        assert(await users.settle(again, epoch))
        assert.deepEqual(keysOf(await listed(user)), [first.key, second.key])
      })

      it('has a session that became another user’s under that one', async () => {
        const [user, other] = [randomUUID(), randomUUID()]
        const login = await loggedIn(user)
        const moved = await loggedIn(other, now, login.key)
        await users.leave?.(user, [{ ...login, at: login.at + 1 }])
        assert.deepEqual(keysOf(await listed(other)), [moved.key])
        assert.deepEqual(await listed(user), [])
      })

      it('has a record that was installed', async () => {
        const record = recordOf(randomKey(), { user: randomUUID() })
        await store.install(record)
        assert.deepEqual(keysOf(await listed(record.user ?? '')), [record.key])
      })

      it('keeps a session through changes that are no logins', async () => {
        const login = await loggedIn(randomUUID())
        const result = await store.apply(changeOf(login.key, { generation: 1_000, rotate: true }))
        assert.equal(result.outcome, 'applied')
        assert.deepEqual(keysOf(await listed(login.user)), [login.key])
      })
    })

    const leaving = (): void => {
      it('is of no effect on what was settled later', async () => {
        const login = await loggedIn(randomUUID())
        const entries = await listed(login.user)
        await loggedIn(login.user, login.at, login.key)
        await users.leave?.(login.user, entries)
        assert.deepEqual(keysOf(await listed(login.user)), [login.key])
        await users.leave?.(login.user, await listed(login.user))
        assert.deepEqual(await listed(login.user), [])
      })

      it('takes the key of a login that was never applied, too', async () => {
        const login = { user: randomUUID(), key: randomKey(), at: now }
        await users.enter(login)
        assert.deepEqual(keysOf(await listed(login.user)), [login.key])
        await users.leave?.(login.user, [login, { key: randomKey(), at: now }])
        assert.deepEqual(await listed(login.user), [])
        await users.leave?.(login.user, [])
      })

      it('is undone by a login that settles afterwards', async () => {
        const login = { user: randomUUID(), key: randomKey(), at: now }
        const epoch = await users.enter(login)
        await users.leave?.(login.user, [{ key: login.key, at: Infinity }])
        await apply(login)
        assert(await users.settle(login, epoch))
        assert.deepEqual(keysOf(await listed(login.user)), [login.key])
      })
    }
    if (index === 'own index') describe('leaving', leaving)

    describe('the epoch', () => {
      it('is empty at first and lets every login settle, as often as it asks', async () => {
        const login = { user: randomUUID(), key: randomKey(), at: now }
        assert.equal(await users.enter(login), '')
        await apply(login)
        for (let count = 0; count < 3; count += 1) assert.equal(await users.settle(login, ''), true)
        assert.equal((await listed(login.user)).length, 1)
      })

      it('refuses whoever entered before it advanced, and nobody else', async () => {
        const [early, late] = [randomKey(), randomKey()].map((key) => ({ user: 'ada' + randomUUID(), key, at: now }))
        assert(early && late)
        late.user = early.user
        const before = await users.enter(early)
        await users.advance(early.user)
        const since = await users.enter(late)
        await apply(early)
        await apply(late)
        assert.equal(await users.settle(early, before), false)
        assert.equal(await users.settle(late, since), true)
        assert.equal(await users.settle({ ...early, user: randomUUID() }, ''), true, 'another user')
      })

      it('is another each time', async () => {
        const user = randomUUID()
        const epochs = new Set<string>()
        for (let count = 0; count < 5; count += 1) {
          await users.advance(user)
          epochs.add(await users.enter({ user, key: randomKey(), at: now }))
        }
        assert.equal(epochs.size, 5)
        assert(!epochs.has(''))
      })
    })

    describe('seats', () => {
      it('are given while fewer than asked for are taken, and kept', async () => {
        const user = randomUUID()
        const [a, b, c] = [await loggedIn(user, now), await loggedIn(user, now + 1), await loggedIn(user, now + 2)]
        assert.deepEqual(await users.seated(user, 10), [])
        assert.equal(await users.seat(b, 2), true)
        assert.equal(await users.seat(a, 2), true)
        assert.equal(await users.seat(c, 2), false)
        assert.equal(await users.seat(a, 1), true, 'who has one keeps it')
        assert.deepEqual(keysOf(await users.seated(user, 10)), [a.key, b.key], 'the oldest login first')
        assert.deepEqual(keysOf(await users.seated(user, 1)), [a.key])
        assert.equal(await users.seat(c, 3), true)
        assert.equal(await users.seat(await loggedIn(randomUUID()), 1), true, 'of another user')
      })

      it('are never more than asked for, however many ask at once', async () => {
        const user = randomUUID()
        const logins = await Promise.all(Array.from({ length: 10 }, () => loggedIn(user)))
        const given = await Promise.all(logins.map((login) => users.seat(login, 3)))
        assert.equal(given.filter(Boolean).length, 3)
        const seated = new Set(keysOf(await users.seated(user, 10)))
        assert.deepEqual(
          given,
          logins.map(({ key }) => seated.has(key)),
        )
      })

      it('are free again when their session has ended and left', async () => {
        const user = randomUUID()
        const [a, b] = [await loggedIn(user), await loggedIn(user)]
        assert.equal(await users.seat(a, 1), true)
        assert.equal(await users.seat(b, 1), false)
        await end(a)
        assert.deepEqual(await users.seated(user, 10), [])
        assert.equal(await users.seat(b, 1), true)
      })

      it('stay with a session through changes and a new login of its user, and are free when it becomes another’s', async () => {
        const [user, other] = [randomUUID(), randomUUID()]
        const a = await loggedIn(user)
        assert.equal(await users.seat(a, 1), true)
        await store.apply(changeOf(a.key, { generation: 1_000, rotate: true }))
        await loggedIn(user, now + 1, a.key)
        assert.deepEqual(keysOf(await users.seated(user, 10)), [a.key])
        await loggedIn(other, now + 2, a.key)
        await users.leave?.(user, [{ key: a.key, at: Infinity }])
        assert.deepEqual(await users.seated(user, 10), [])
        assert.deepEqual(await users.seated(other, 10), [])
      })
    })
  })
}

function keysOf(entries: readonly { key: string }[]): string[] {
  return entries.map(({ key }) => key)
}
