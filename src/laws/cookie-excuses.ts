import { type Driver, lawTest } from './driver.ts'
import type { LawExcuse } from './fleet.ts'
import { LAW_TIMES } from './node.ts'
import type { Visitor } from './visitor.ts'

async function expectSession(
  driver: Driver,
  visitor: Visitor,
  user: string | null,
  data: object,
  what: string,
): Promise<void> {
  for (const node of driver.fleet.nodes.keys()) {
    const seen = await driver.look(visitor, node)
    driver.expectEqual([seen.isNew, seen.user, seen.data], [false, user, data], `${what}, at node ${node}`)
  }
}

/** A session that travels with its client is where its client is. */
const whereverTheClientIs: readonly LawExcuse[] = [
  {
    law: 2,
    why: 'The session is in the answer: of two requests at once the last answer wins, whole.',
    refusal: lawTest(
      2,
      'cookie-last-answer',
      'of two requests at once that start from the same cookies, the session is what the last answer carried, and nothing of the other',
      ['twoNodes'],
      async (d) => {
        const visitor = await d.visitorWith(['set', 'n', 0])
        const second = await visitor.copy()
        const first = d.ok(
          await (
            await visitor.send(0, [
              ['set', 'a', 1],
              ['increment', 'n'],
            ])
          ).answer,
        )
        const last = d.ok(await (await second.send(1, [['set', 'b', 1]])).answer)
        await visitor.keep(first)
        await visitor.keep(last)
        await expectSession(d, visitor, null, { n: 0, b: 1 }, 'the session after both answers')
      },
    ),
  },
  {
    law: 4,
    tests: ['no-visit'],
    why: 'Outside a request of its client a session is not there to be changed.',
    refusal: lawTest(
      4,
      'cookie-no-visit',
      'get() outside a request finds nothing, update() is refused as unsupported, and the session is unharmed',
      [],
      async (d) => {
        const visitor = await d.visitorWith(['set', 'count', 0])
        const { key } = await d.look(visitor, 0)
        d.expectEqual(await d.control(0, { do: 'get', key }), null, 'get() of a session that its client carries')
        await d.refused(0, { do: 'increment', key, field: 'count' }, 'unsupported')
        await expectSession(d, visitor, null, { count: 0 }, 'the session')
      },
    ),
  },
  {
    law: 7,
    tests: ['late-hint'],
    why: 'Who carries a copy of the cookies carries a copy of the session, and each sees the changes that it was answered.',
    refusal: lawTest(
      7,
      'cookie-own-changes',
      'each holder of copied cookies sees its own acknowledged changes on every node, and none of the other',
      ['twoNodes'],
      async (d) => {
        const visitor = await d.visitorWith(['set', 'n', 0])
        const other = await visitor.copy()
        await d.ask(other, 0, ['set', 'm', 1])
        await d.ask(visitor, 1, ['set', 'n', 1])
        await expectSession(d, visitor, null, { n: 1 }, 'what one sees')
        await expectSession(d, other, null, { n: 0, m: 1 }, 'what the other sees')
      },
    ),
  },
]

/** `cookieStore({ revocations })`. */
export const revocableCookieExcuses: readonly LawExcuse[] = whereverTheClientIs

/** `cookieStore()`: no server remembers anything, so that a copy of the cookies is as good as they were. */
export const cookieExcuses: readonly LawExcuse[] = [
  {
    law: 1,
    why: 'No server remembers that a session ended.',
    refusal: lawTest(
      1,
      'cookie-not-ended',
      'logout makes the client forget its session; a kept copy goes on until its time is over, and revoke() is refused as unsupported',
      [],
      async (d) => {
        const visitor = await d.visitorWith(['set', 'a', 1], ['login', 'ada'])
        const copy = await visitor.copy()
        const { key } = await d.look(visitor, 0)
        await d.ask(visitor, 0, ['logout'])
        d.expectEqual(await visitor.cookieHeader(), '', 'the cookies after a logout')
        await expectSession(d, copy, 'ada', { a: 1 }, 'the session of a kept copy')
        await d.refused(1, { do: 'revoke', key }, 'unsupported')
        await d.turnClock(LAW_TIMES.idleMs)
        await d.expectDead(copy, 'when the time is over')
      },
    ),
  },
  {
    law: 5,
    why: 'No server remembers a login, so that what was before it stays good for who kept it.',
    refusal: lawTest(
      5,
      'cookie-old-token',
      'login() changes the token; a copy from before it opens what was before it, and never the session of the user',
      [],
      async (d) => {
        const visitor = await d.visitorWith(['set', 'cart', ['tea']])
        const old = await visitor.copy()
        await d.ask(visitor, 0, ['login', 'ada'], ['set', 'secret', 1])
        d.expect((await visitor.token()) !== (await old.token()), 'a login kept the token')
        await expectSession(d, old, null, { cart: ['tea'] }, 'the session from before the login')
        await expectSession(d, visitor, 'ada', { cart: ['tea'], secret: 1 }, 'the session of the user')
        const oldToken = await old.tokenPair()
        const mixed = (await visitor.cookieHeader()).replace((await visitor.tokenPair()) ?? '', oldToken ?? '')
        const seen = d.ok(await visitor.sendWith(mixed, 0).answer)
        d.expectEqual([seen.user, seen.data], [null, {}], 'what the old token opens with the new session beside it')
      },
    ),
  },
  {
    law: 8,
    why: 'No server remembers which token was used last.',
    refusal: lawTest(
      8,
      'cookie-unseen-theft',
      'rotate() hands out nothing; a thief is served beside the owner, nothing is raised, and no honest client is taken for one',
      [],
      async (d) => {
        const owner = await d.visitorWith(['login', 'ada'])
        const thief = await owner.copy()
        for (const each of [owner, thief, owner, thief]) {
          d.expectNoToken(await d.ask(each, 0, ['rotate'], ['set', 'a', 1]), 'a rotation')
          await d.turnClock(LAW_TIMES.graceMs + 1_000)
        }
        for (const each of [owner, thief]) await expectSession(d, each, 'ada', { a: 1 }, 'the session')
        d.expectEqual(await d.stolen(), 0, 'the number of stolen events')
      },
    ),
  },
  ...whereverTheClientIs,
]
