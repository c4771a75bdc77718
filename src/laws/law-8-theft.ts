import { type Driver, lawTest, upTo } from './driver.ts'
import { drawSchedules } from './honest-client.ts'
import type { LawTest } from './law.ts'
import { LAW_TIMES } from './node.ts'
import type { Visitor } from './visitor.ts'

/** Later than any answer that was on its way, and than any request with the token from before it. */
const SETTLED_MS: number = 2 * LAW_TIMES.graceMs + 1_000

async function expectTheft(driver: Driver, user: Visitor, others: readonly Visitor[], node: number): Promise<void> {
  const before = await driver.stolen()
  const seen = await driver.look(user, node)
  driver.expect(seen.isNew, 'a token whose successor was used and whose grace was over was served')
  driver.expectEqual(await driver.stolen(), before + 1, 'the number of stolen events')
  for (const each of [user, ...others]) await driver.expectDead(each, 'after a theft was seen')
}

async function expectAlive(driver: Driver, visitor: Visitor, when: string): Promise<void> {
  for (const node of driver.fleet.nodes.keys()) {
    driver.expectEqual((await driver.look(visitor, node)).user, 'ada', `${when}, the user at node ${node}`)
  }
  driver.expectEqual(await driver.stolen(), 0, `${when}, the number of stolen events`)
}

export const theftLaws: readonly LawTest[] = [
  lawTest(
    8,
    'thief-after-owner',
    'a thief who uses the old token after the owner has rotated is seen',
    [],
    async (d) => {
      const owner = await d.visitorWith(['login', 'ada'])
      const thief = await owner.copy()
      await d.ask(owner, 0, ['rotate'])
      await d.ask(owner, 1)
      await d.turnClock(SETTLED_MS)
      await expectTheft(d, thief, [owner], 1)
    },
  ),

  lawTest(8, 'thief-before-owner', 'a thief who rotates first is seen when the owner comes back', [], async (d) => {
    const owner = await d.visitorWith(['login', 'ada'])
    const thief = await owner.copy()
    await d.ask(thief, 0, ['rotate'])
    await d.ask(thief, 1, ['set', 'evil', 1])
    await d.turnClock(SETTLED_MS)
    await expectTheft(d, owner, [thief], 0)
  }),

  lawTest(8, 'grace', 'within its grace an old token is served, and given nothing', [], async (d) => {
    const visitor = await d.visitorWith(['login', 'ada'])
    const old = await visitor.copy()
    await d.ask(visitor, 0, ['rotate'])
    await d.ask(visitor, 1)
    for (const seconds of [0, 20, 35]) {
      await d.turnClock(seconds * 1_000)
      const answer = d.ok(await (await old.send(0, [['increment', 'count']])).answer)
      d.expectEqual(answer.user, 'ada', 'the user within the grace')
      d.expectNoToken(answer, 'a request within the grace')
    }
    await expectAlive(d, visitor, 'after requests within the grace')
  }),

  lawTest(
    8,
    'lost-answer',
    'a rotation whose answer is lost or aborted leaves the old token good, and the successor is given again',
    [],
    async (d) => {
      const visitor = await d.visitorWith(['login', 'ada'])
      const token = await visitor.token()
      const lost = d.ok(await (await visitor.send(0, [['rotate']])).answer)
      const aborted = await d.held(visitor, 1, (barrier) => ({ steps: [['rotate']], late: [['meet', barrier]] }))
      aborted.abort()
      await aborted.release().catch(() => {})
      for (const _ of [1, 2]) {
        await d.turnClock(SETTLED_MS)
        d.expectEqual((await d.look(visitor, 0)).user, 'ada', 'the user with the old token')
      }
      const again = d.ok(await (await visitor.send(1, [])).answer)
      const [given, givenAgain] = [await visitor.copy(), await visitor.copy()]
      await given.keep(lost)
      await givenAgain.keep(again)
      d.expect((await given.token()) !== token, 'a rotation gave no other token')
      d.expect((await givenAgain.token()) !== token, 'a request with the old token was given no successor')
      await visitor.keep(lost)
      await visitor.keep(again)
      await d.ask(visitor, 0)
      await d.turnClock(SETTLED_MS)
      await expectAlive(d, visitor, 'after a rotation whose answer was lost')
    },
  ),

  lawTest(8, 'two-rotations', 'two rotations at once leave their browser one good token', [], async (d) => {
    for (const round of [0, 1, 2, 3]) {
      const visitor = await d.visitorWith(['login', 'ada'])
      const flights = [await visitor.send(round, [['rotate']]), await visitor.send(round + 1, [['rotate']])]
      const answers = await Promise.all(flights.map(async ({ answer }) => d.ok(await answer)))
      for (const answer of round % 2 === 0 ? answers : answers.toReversed()) {
        await visitor.keep(answer)
        await d.ask(visitor, round)
      }
      await d.turnClock(SETTLED_MS)
      await expectAlive(d, visitor, 'after two rotations at once')
    }
  }),

  lawTest(
    8,
    'rotates-by-itself',
    'the token of a session in use is changed every so often, on whichever node it lands, and its user stays',
    [],
    async (d) => {
      const visitor = await d.visitorWith(['login', 'ada'])
      for (const round of upTo(4)) {
        const token = await visitor.token()
        await d.turnClock(LAW_TIMES.rotateEveryMs)
        await d.ask(visitor, round, ['set', 'round', round])
        d.expect((await visitor.token()) !== token, 'a token that is due was not rotated')
        const answer = await d.ask(visitor, round + 1)
        d.expectEqual([answer.user, answer.data['round']], ['ada', round], 'user and data after a rotation')
        d.expectNoToken(answer, 'a request with a new token')
      }
      await d.turnClock(SETTLED_MS)
      await expectAlive(d, visitor, 'after rotations')
    },
  ),

  lawTest(
    8,
    'thief-in-step',
    'a thief who polls and is given the successor along with its owner is seen at the next use of the other',
    [],
    async (d) => {
      for (const round of [0, 1]) {
        const owner = await d.visitorWith(['login', 'ada'])
        const thief = await owner.copy()
        const [first, second] = round === 0 ? [owner, thief] : [thief, owner]
        await d.turnClock(LAW_TIMES.rotateEveryMs)
        await d.ask(owner, 0)
        await d.ask(thief, 1)
        for (const each of [owner, thief]) await d.ask(each, round)
        await d.turnClock(SETTLED_MS)
        await d.ask(first, 0)
        await expectTheft(d, second, [first], 1)
      }
    },
  ),

  lawTest(
    8,
    'thief-polls',
    'a thief who polls every half minute is seen soon after the next rotation, however seldom the owner comes',
    [],
    async (d) => {
      for (const everyMinutes of [1, 4]) {
        const owner = await d.visitorWith(['login', 'ada'])
        const thief = await owner.copy()
        const before = await d.stolen()
        for (const half of upTo(26)) {
          await d.turnClock(30_000)
          await d.ask(thief, half)
          if (half % (2 * everyMinutes) === 0) await d.ask(owner, half + 1)
        }
        d.expectEqual(await d.stolen(), before + 1, 'the number of stolen events')
        for (const each of [owner, thief]) await d.expectDead(each, 'after a theft was seen')
      }
    },
  ),

  lawTest(
    8,
    'late-answer',
    'a write that answers late, after a rotation, puts no old token back and makes no thief',
    [],
    async (d) => {
      const visitor = await d.visitorWith(['login', 'ada'])
      const write = await d.held(visitor, 0, (barrier) => ({ steps: [['set', 'a', 1]], late: [['meet', barrier]] }))
      const slow = await d.held(visitor, 0, (barrier) => ({
        steps: [
          ['meet', barrier],
          ['set', 'b', 1],
        ],
      }))
      await d.ask(visitor, 1, ['rotate'])
      const read = await d.held(await visitor.copy(), 0, (barrier) => ({ steps: [['meet', barrier]] }))
      await d.ask(visitor, 1)
      for (const flight of [write, slow, read]) {
        const answer = d.ok(await flight.release())
        d.expectNoToken(answer, 'a request from before a rotation')
        await visitor.keep(answer)
      }
      await d.turnClock(SETTLED_MS)
      await expectAlive(d, visitor, 'after late answers')
    },
  ),

  lawTest(
    8,
    'late-successor',
    'a request that was to give a successor gives none once that was used',
    [],
    async (d) => {
      for (const write of [[], [['set', 'late', 1] as const]]) {
        const visitor = await d.visitorWith(['login', 'ada'])
        await (
          await visitor.send(0, [['rotate']])
        ).answer // lost, so each of the next two would give the successor
        const slow = await d.held(visitor, 0, (barrier) => ({ steps: [['meet', barrier], ...write] }))
        await d.ask(visitor, 1)
        await d.ask(visitor, 1)
        await d.turnClock(SETTLED_MS)
        await d.ask(visitor, 1, ['rotate'])
        await d.ask(visitor, 1)
        const answer = d.ok(await slow.release())
        d.expectNoToken(answer, 'a request whose successor was used meanwhile')
        await visitor.keep(answer)
        await d.turnClock(SETTLED_MS)
        await expectAlive(d, visitor, 'after a late successor')
      }
    },
  ),

  lawTest(
    8,
    'overtaken-first-use',
    'the first use of a successor, overtaken by that of the next, takes nothing back',
    ['twoNodes'],
    async (d) => {
      const visitor = await d.visitorWith(['login', 'ada'])
      await d.ask(visitor, 0, ['rotate'])
      const second = await visitor.copy()
      const slow = await d.heldApply(second, 0, 'before', [])
      await d.ask(visitor, 1)
      await d.turnClock(SETTLED_MS)
      await d.ask(visitor, 1, ['rotate'])
      await d.ask(visitor, 1)
      d.ok(await slow.release())
      await d.turnClock(SETTLED_MS)
      await expectTheft(d, second, [visitor], 0)
    },
  ),

  lawTest(
    8,
    'honest-client',
    'no schedule of loss, abort, reordering and parallelism makes an honest client a thief',
    [],
    (d) => drawSchedules(d, 'theft'),
  ),
]
