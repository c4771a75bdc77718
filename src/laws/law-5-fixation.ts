import { type Driver, lawTest, upTo } from './driver.ts'
import type { LawTest } from './law.ts'
import type { Step } from './steps.ts'
import type { Visitor } from './visitor.ts'

async function expectLoggedIn(
  driver: Driver,
  visitor: Visitor,
  user: string,
  data: object,
  when: string,
): Promise<void> {
  for (const node of driver.fleet.nodes.keys()) {
    const seen = await driver.look(visitor, node)
    driver.expectEqual([seen.user, seen.data], [user, data], `${when}, the session at node ${node}`)
  }
}

const WRITES: readonly Step[] = [['set', 'evil', 1], ['increment', 'evil'], ['rotate'], ['logout'], ['remove', 'cart']]

export const fixationLaws: readonly LawTest[] = [
  lawTest(5, 'unknown-token', 'a token that no node knows is never adopted', [], async (d) => {
    const visitor = await d.visitorWith(['set', 'a', 1])
    const stale = await visitor.copy()
    const [token, { key }] = [await visitor.token(), await d.look(visitor, 0)]
    await d.ask(visitor, 0, ['logout'])
    for (const step of [
      ['set', 'b', 1],
      ['login', 'ada'],
      ['increment', 'b'],
    ] as const) {
      const other = await stale.copy()
      d.expectNoCookie(d.ok(await (await other.send(1, [])).answer), 'a read with an unknown token')
      const answer = await d.ask(other, 1, step)
      d.expect(answer.key !== key, `${step[0]} with an unknown token made a session under its key`)
      d.expect((await other.token()) !== token, `${step[0]} with an unknown token kept that token`)
      d.expect(answer.data['a'] === undefined, `${step[0]} with an unknown token found old data`)
    }
  }),

  lawTest(
    5,
    'new-token',
    'login() changes the token each time, and the data stays, but not for another user',
    [],
    async (d) => {
      const visitor = await d.visitorWith(['set', 'cart', ['tea']])
      const tokens = new Set([await visitor.token()])
      for (const [n, user] of ['ada', 'ada', 'bob'].entries()) {
        await d.ask(visitor, n, ['login', user])
        tokens.add(await visitor.token())
        d.expectEqual(tokens.size, n + 2, `the number of tokens after login ${n + 1}`)
        await expectLoggedIn(d, visitor, user, user === 'ada' ? { cart: ['tea'] } : {}, `after login ${n + 1}`)
      }
    },
  ),

  lawTest(
    5,
    'old-token',
    'the token from before a login is dead on every node at once: it reads nothing and writes nothing',
    [],
    async (d) => {
      const visitor = await d.visitorWith(['set', 'cart', ['tea']])
      const old = await visitor.copy()
      await d.ask(visitor, 0, ['login', 'ada'])
      await d.expectDead(old, 'with the token from before a login')
      for (const [n, step] of WRITES.entries()) {
        if (step[0] === 'remove') continue
        const answer = await (await old.send(n, [step])).answer
        d.expectEqual(
          [answer.status, answer.code],
          [409, 'session_superseded'],
          `the answer to ${step[0]} with the old token`,
        )
        d.expectNoCookie(answer, `${step[0]} with the old token`)
      }
      await expectLoggedIn(d, visitor, 'ada', { cart: ['tea'] }, 'after writes with the old token')
    },
  ),

  lawTest(5, 'handed-out-successor', 'a successor that was handed out before the login is dead too', [], async (d) => {
    const visitor = await d.visitorWith(['set', 'cart', ['tea']])
    const thief = await visitor.copy()
    await d.ask(thief, 1, ['rotate']) // holds the successor, and has not used it
    await d.ask(visitor, 0, ['login', 'ada'])
    d.expect(
      (await thief.token()) !== (await visitor.token()),
      'the login handed out a token that was handed out before',
    )
    await d.expectDead(thief, 'with a successor handed out before the login')
    await expectLoggedIn(d, visitor, 'ada', { cart: ['tea'] }, 'after the login')
  }),

  lawTest(
    5,
    'login-slow-write',
    'a write in flight across a login changes neither the session nor its cookie',
    [],
    async (d) => {
      for (const [n, step] of WRITES.entries()) {
        const visitor = await d.visitorWith(['set', 'cart', ['tea']])
        const slow = await d.held(visitor, n, (barrier) => ({ steps: [['meet', barrier], step] }))
        await d.ask(visitor, n + 1, ['login', 'ada'])
        const answer = await slow.release()
        d.expectEqual([answer.status, answer.code], [409, 'session_superseded'], `the answer to a slow ${step[0]}`)
        d.expectNoCookie(answer, `a slow ${step[0]} across a login`)
        await visitor.keep(answer)
        await expectLoggedIn(d, visitor, 'ada', { cart: ['tea'] }, `after a slow ${step[0]} across the login`)
      }
    },
  ),

  lawTest(
    5,
    'login-commit-in-flight',
    'a write that a login overtakes on its way to the store does not arrive',
    ['twoNodes'],
    async (d) => {
      for (const step of [['set', 'evil', 1], ['increment', 'evil'], ['rotate']] as const) {
        const visitor = await d.visitorWith(['set', 'cart', ['tea']])
        const slow = await d.heldApply(visitor, 0, 'before', [step])
        await d.ask(visitor, 1, ['login', 'ada'])
        const answer = await slow.release()
        d.expectEqual(
          [answer.status, answer.code],
          [409, 'session_superseded'],
          `the answer to an overtaken ${step[0]}`,
        )
        d.expectNoCookie(answer, `an overtaken ${step[0]}`)
        await expectLoggedIn(d, visitor, 'ada', { cart: ['tea'] }, `after an overtaken ${step[0]}`)
      }
    },
  ),

  lawTest(
    5,
    'login-slow-read',
    'a read in flight across a login does not replace its cookie, though it had a successor to give',
    [],
    async (d) => {
      const visitor = await d.visitorWith(['set', 'cart', ['tea']])
      await (
        await visitor.send(0, [['rotate']])
      ).answer // its answer is lost
      const slow = await d.held(visitor, 0, (barrier) => ({ steps: [['meet', barrier]] }))
      await d.ask(visitor, 1, ['login', 'ada'])
      const answer = await slow.release()
      d.expectNoToken(answer, 'a read across a login')
      await visitor.keep(answer)
      await expectLoggedIn(d, visitor, 'ada', { cart: ['tea'] }, 'after a read across the login')
    },
  ),

  lawTest(
    5,
    'two-logins',
    'of two logins at once, one gets the session and the other one of its own',
    [],
    async (d) => {
      for (const round of upTo(6)) {
        const visitor = await d.visitorWith(['set', 'cart', ['tea']])
        const old = await visitor.copy()
        const second = await visitor.copy()
        const [a, b] = await Promise.all([
          d.ask(visitor, round, ['login', 'ada']),
          d.ask(second, round + 1, ['login', 'bob']),
        ])
        d.expect(a.key !== b.key, 'two users were logged into one session')
        await expectLoggedIn(d, visitor, 'ada', a.data, 'after two logins')
        await expectLoggedIn(d, second, 'bob', b.data, 'after two logins')
        await d.expectDead(old, 'with the token from before two logins')
      }
    },
  ),

  lawTest(5, 'resent-login', 'a login that the client library sends twice is one login', [], async (d) => {
    const visitor = await d.visitorWith(['set', 'cart', ['tea']])
    await d.control(0, { do: 'plan', plan: { resend: true } })
    await d.ask(visitor, 0, ['login', 'ada'])
    await expectLoggedIn(d, visitor, 'ada', { cart: ['tea'] }, 'after a login that was sent twice')
  }),
]
