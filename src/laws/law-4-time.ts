import { lawTest, upTo } from './driver.ts'
import type { LawTest } from './law.ts'
import { LAW_TIMES } from './node.ts'
import { CLOCK_ERROR_MS } from '../core/index.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

export const timeLaws: readonly LawTest[] = [
  lawTest(
    4,
    'idle',
    'a session lives while it is used, and is gone the idle timeout after its last use',
    [],
    async (d) => {
      const visitor = await d.visitorWith(['login', 'ada'])
      const { key } = await d.look(visitor, 0)
      for (const n of upTo(4)) {
        await d.turnClock(28 * MINUTE)
        d.expectEqual((await d.ask(visitor, n)).user, 'ada', `the user after 28 idle minutes, use ${n}`)
      }
      await d.turnClock(LAW_TIMES.idleMs)
      await d.expectDead(visitor, 'the idle timeout after the last use')
      d.expectEqual(await d.control(0, { do: 'get', key }), null, 'get() of a session whose time is over')
      const answer = await d.ask(visitor, 0, ['set', 'fresh', 1])
      d.expect(answer.key !== key, 'a write after the idle timeout went into the old session')
    },
  ),

  lawTest(
    4,
    'absolute',
    'a session in use is gone the absolute timeout after its creation, or after its login',
    [],
    async (d) => {
      const visitor = await d.visitorWith()
      const uses = (LAW_TIMES.absoluteMs - HOUR) / (20 * MINUTE)
      for (const n of upTo(uses)) {
        await d.turnClock(20 * MINUTE)
        d.expect(!(await d.ask(visitor, n)).isNew, `a session in use was gone after ${(n + 1) * 20} minutes`)
      }
      const other = await visitor.copy()
      await d.ask(visitor, 0, ['login', 'ada'])
      for (const n of upTo(uses)) {
        await d.turnClock(20 * MINUTE)
        d.expectEqual((await d.ask(visitor, n)).user, 'ada', `the user ${(n + 1) * 20} minutes after login`)
      }
      for (const n of upTo(3)) {
        await d.turnClock(20 * MINUTE)
        await d.ask(visitor, n)
      }
      await d.expectDead(visitor, 'the absolute timeout after the login')
      await d.expectDead(other, 'the absolute timeout after the creation')
    },
  ),

  lawTest(4, 'late-write', 'a write in flight when the time is over does not bring the session back', [], async (d) => {
    for (const write of [['set', 'late', 1], ['increment', 'late'], ['rotate']] as const) {
      const visitor = await d.visitorWith(['set', 'early', 1])
      const slow = await d.held(visitor, 0, (barrier) => ({ steps: [['meet', barrier], write] }))
      await d.turnClock(LAW_TIMES.idleMs + 1)
      const answer = await slow.release()
      d.expectNoToken(answer, 'a write to a session whose time was over')
      await d.expectDead(visitor, `after a late ${write[0]}`)
    }
  }),

  lawTest(4, 'no-visit', 'update() outside a request is no use by the visitor', [], async (d) => {
    const visitor = await d.visitorWith(['set', 'count', 0])
    const { key } = await d.look(visitor, 0)
    await d.turnClock(20 * MINUTE)
    await d.control(0, { do: 'increment', key, field: 'count' })
    await d.turnClock(10 * MINUTE)
    await d.expectDead(visitor, 'the idle timeout after the last use, with an update outside a request between')
  }),

  lawTest(4, 'clock-error', 'clocks that are 5 s apart move the end by no more than that', ['twoNodes'], async (d) => {
    const visitor = await d.visitorWith(['set', 'begun', 1])
    await d.turnClock(28 * MINUTE)
    await d.skewClock(1, CLOCK_ERROR_MS)
    d.expect(!(await d.look(visitor, 1)).isNew, 'a node whose clock is 5 s ahead ended the session 2 minutes early')
    await d.turnClock(LAW_TIMES.idleMs)
    await d.skewClock(1, 0)
    const dead = await d.visitorWith(['set', 'begun', 1])
    await d.turnClock(LAW_TIMES.idleMs + CLOCK_ERROR_MS)
    await d.skewClock(1, -CLOCK_ERROR_MS)
    d.expect((await d.look(dead, 1)).isNew, 'a node whose clock is 5 s behind still served the session 5 s late')
  }),
]
