import { type Driver, lawTest } from './driver.ts'
import { drawSchedules } from './honest-client.ts'
import type { LawTest } from './law.ts'
import { LAW_TIMES } from './node.ts'
import type { Visitor } from './visitor.ts'

const AFTER_GRACE_MS: number = LAW_TIMES.graceMs + 1_000

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
      await d.turnClock(AFTER_GRACE_MS)
      await expectTheft(d, thief, [owner], 1)
    },
  ),

  lawTest(8, 'thief-before-owner', 'a thief who rotates first is seen when the owner comes back', [], async (d) => {
    const owner = await d.visitorWith(['login', 'ada'])
    const thief = await owner.copy()
    await d.ask(thief, 0, ['rotate'])
    await d.ask(thief, 1, ['set', 'evil', 1])
    await d.turnClock(AFTER_GRACE_MS)
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
    'a rotation whose answer is lost or aborted leaves the old token good, and the same successor is given again',
    [],
    async (d) => {
      const visitor = await d.visitorWith(['login', 'ada'])
      const token = await visitor.token()
      const lost = d.ok(await (await visitor.send(0, [['rotate']])).answer)
      const aborted = await d.held(visitor, 1, (barrier) => ({ steps: [['rotate']], late: [['meet', barrier]] }))
      aborted.abort()
      await aborted.release().catch(() => {})
      for (const _ of [1, 2]) {
        await d.turnClock(AFTER_GRACE_MS)
        d.expectEqual((await d.look(visitor, 0)).user, 'ada', 'the user with the old token')
      }
      const again = d.ok(await (await visitor.send(1, [])).answer)
      const [given, givenAgain] = [await visitor.copy(), await visitor.copy()]
      await given.keep(lost)
      await givenAgain.keep(again)
      d.expect((await given.token()) !== token, 'a rotation gave no other token')
      d.expectEqual(
        (await givenAgain.token()) === (await given.token()),
        true,
        'that the same successor is given again',
      )
      await visitor.keep(again)
      await d.ask(visitor, 0)
      await d.turnClock(AFTER_GRACE_MS)
      await expectAlive(d, visitor, 'after a rotation whose answer was lost')
    },
  ),

  lawTest(8, 'two-rotations', 'two rotations at once hand out one successor', [], async (d) => {
    for (const round of [0, 1, 2, 3]) {
      const visitor = await d.visitorWith(['login', 'ada'])
      const other = await visitor.copy()
      await Promise.all([d.ask(visitor, round, ['rotate']), d.ask(other, round + 1, ['rotate'])])
      d.expectEqual((await visitor.token()) === (await other.token()), true, 'that two rotations gave one token')
      await d.ask(visitor, 0)
      await d.turnClock(AFTER_GRACE_MS)
      await expectAlive(d, other, 'after two rotations at once')
    }
  }),

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
      await d.turnClock(AFTER_GRACE_MS)
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
        await d.turnClock(AFTER_GRACE_MS)
        await d.ask(visitor, 1, ['rotate'])
        await d.ask(visitor, 1)
        const answer = d.ok(await slow.release())
        d.expectNoToken(answer, 'a request whose successor was used meanwhile')
        await visitor.keep(answer)
        await d.turnClock(AFTER_GRACE_MS)
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
      await d.turnClock(AFTER_GRACE_MS)
      await d.ask(visitor, 1, ['rotate'])
      await d.ask(visitor, 1)
      d.ok(await slow.release())
      await d.turnClock(AFTER_GRACE_MS)
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
