import { type Driver, lawTest, upTo } from './driver.ts'
import type { LawTest } from './law.ts'
import type { Step } from './steps.ts'
import type { Visitor } from './visitor.ts'

const ROUNDS = 20

/** A visitor, and somebody who kept a copy of his cookies from before the logout. */
async function visitorAndCopy(driver: Driver): Promise<{ visitor: Visitor; copy: Visitor }> {
  const visitor = await driver.visitorWith(['set', 'secret', 1], ['login', 'ada'])
  return { visitor, copy: await visitor.copy() }
}

async function expectGone(driver: Driver, visitor: Visitor, copy: Visitor, when: string): Promise<void> {
  await driver.expectDead(copy, when)
  await driver.expectDead(visitor, when)
}

/** A request of each kind that writes, begun before a logout and going on after it. */
const SLOW_WRITES: readonly (readonly Step[])[] = [
  [['set', 'late', 1]],
  [['set', 'late', 1], ['save']],
  [['increment', 'late']],
  [['rotate']],
  [['remove', 'secret']],
]

export const goneLaws: readonly LawTest[] = [
  lawTest(
    1,
    'logout-slow-write',
    'a slow write in flight at logout leaves the session dead, 20 times of 20',
    [],
    async (d) => {
      for (const round of upTo(ROUNDS)) {
        const { visitor, copy } = await visitorAndCopy(d)
        const write = SLOW_WRITES[round % SLOW_WRITES.length] ?? []
        const isBegun = round % 2 === 0
        const slow = await d.held(copy, round, (barrier) => ({
          steps: isBegun ? [['set', 'early', 1], ['meet', barrier], ...write] : [['meet', barrier], ...write],
        }))
        await d.ask(visitor, round + 1, ['logout'])
        const answer = await slow.release()
        d.expectNoToken(answer, 'a write that was in flight at logout')
        await expectGone(d, visitor, copy, `after a logout with ${JSON.stringify(write)} in flight`)
      }
    },
  ),

  lawTest(
    1,
    'logout-commit-in-flight',
    'a logout while a write is on its way to the store, or its answer on the way back, leaves the session dead',
    ['twoNodes'],
    async (d) => {
      for (const round of upTo(ROUNDS)) {
        const { visitor, copy } = await visitorAndCopy(d)
        const slow = await d.heldApply(copy, round, round % 2 ? 'after' : 'before', [['set', 'late', 1]])
        await d.ask(visitor, round + 1, ['logout'])
        await copy.keep(await slow.release())
        await expectGone(d, visitor, copy, 'after a logout with a commit in flight')
      }
    },
  ),

  lawTest(
    1,
    'logout-slow-read',
    'a slow read that would touch the session or give out a token leaves it dead',
    [],
    async (d) => {
      const { visitor, copy } = await visitorAndCopy(d)
      await (
        await copy.send(0, [['rotate']])
      ).answer // its answer is lost: each next one would give the successor
      await d.turnClock(5 * 60_000) // a touch is due
      const slow = await d.held(copy, 0, (barrier) => ({ steps: [['meet', barrier]] }))
      await d.ask(visitor, 1, ['logout'])
      const answer = await slow.release()
      d.expectNoToken(answer, 'a read that was in flight at logout')
      await expectGone(d, visitor, copy, 'after a logout with a read in flight')
    },
  ),

  lawTest(1, 'retried-commands', 'changes that are sent again after the end bring nothing back', [], async (d) => {
    for (const way of ['logout', 'revoke'] as const) {
      const { visitor, copy } = await visitorAndCopy(d)
      await d.ask(visitor, 1, ['increment', 'count'])
      const { key } = await d.look(copy, 0)
      await d.controlAll({ do: 'copy', key })
      if (way === 'logout') await d.ask(visitor, 0, ['logout'])
      else d.expectEqual(await d.control(1, { do: 'revoke', key }), true, 'the answer of revoke')
      await d.controlAll({ do: 'replay', key })
      await expectGone(d, visitor, copy, `after a ${way} and every change sent again`)
      await d.controlAll({ do: 'installCopy', key })
      await expectGone(d, visitor, copy, `after a ${way} and an older copy put in again`)
      d.expectEqual(await d.control(0, { do: 'get', key }), null, 'get() of the ended key')
    }
  }),

  lawTest(1, 'many-at-once', 'a logout among twenty writes on every node ends the session', [], async (d) => {
    const { visitor, copy } = await visitorAndCopy(d)
    const writes = upTo(20).map(async (n) => (await copy.send(n, [['set', `f${n}`, n]])).answer)
    const logout = d.ask(visitor, 1, ['logout'])
    await Promise.all([logout, ...writes])
    await expectGone(d, visitor, copy, 'after a logout among writes')
    await d.ask(visitor, 0, ['logout']) // twice is once
  }),

  lawTest(
    1,
    'ended-stays-new',
    'what is written with the cookie of an ended session begins a new one',
    [],
    async (d) => {
      const { visitor, copy } = await visitorAndCopy(d)
      const { key } = await d.look(copy, 0)
      await d.ask(visitor, 0, ['logout'])
      const answer = await d.ask(copy, 1, ['set', 'fresh', 1])
      d.expectEqual(answer.data, { fresh: 1 }, 'the data of the new session')
      d.expect(answer.key !== key, 'the new session has the key of the ended one')
      d.expectEqual((await d.look(copy, 0)).data, { fresh: 1 }, 'the new session at the next request')
    },
  ),

  lawTest(
    1,
    'returning-node',
    'a node that comes back knows what ended while it was away',
    ['twoNodes', 'stop'],
    async (d) => {
      const visitor = await d.visitorWith(['login', 'ada'])
      const copy = await visitor.copy()
      await d.node(0).stop?.()
      await d.ask(visitor, 1, ['logout'])
      await d.restart(0)
      await d.expectDead(copy, 'after a logout while a node was away')
    },
  ),

  lawTest(
    1,
    'revoke-user',
    'revokeUser ends every session of its user, one whose login is being answered too, and none of others or of later logins',
    [],
    async (d) => {
      const user = `user ${d.barrier()}`
      const visitors = await Promise.all(upTo(3).map(() => d.visitorWith(['login', user])))
      const other = await d.visitorWith(['login', 'bob'])
      const late = await d.visitorWith(['set', 'secret', 1])
      const login = await d.heldApply(late, 1, 'after', [['login', user]])
      if (await d.revokeUser(0, user)) {
        await late.keep(await login.release())
        for (const visitor of [...visitors, late]) {
          for (const node of upTo(d.nodes)) {
            d.expectEqual((await d.look(visitor, node)).user, null, 'the user of a session after revokeUser')
          }
        }
        d.expectEqual((await d.look(other, 1)).user, 'bob', 'the user of another session after revokeUser')
        d.expectEqual((await d.ask(late, 1, ['login', user])).user, user, 'the user of a login after revokeUser')
        d.expectEqual((await d.look(late, 0)).user, user, 'the user of a login after revokeUser')
      } else await login.release()
    },
  ),
]
