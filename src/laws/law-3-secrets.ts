import { Buffer } from 'node:buffer'
import { lawTest, upTo } from './driver.ts'
import type { LawTest } from './law.ts'
import type { Answer, Visitor } from './visitor.ts'

/** All ways in which a text may show a token or its selector. */
function needlesOf(token: string): (string | Uint8Array)[] {
  const selector = Buffer.from(token, 'base64url').subarray(2, 18)
  return [token, selector.toString('base64url'), selector.toString('hex'), selector.toString('base64'), selector]
}

function holds(text: string | Uint8Array, needle: string | Uint8Array): boolean {
  return Buffer.from(text).includes(Buffer.from(needle))
}

/** Tokens that are none: two tokens mixed, one changed at each place, other spellings, other lengths. */
function forgeries(token: string, other: string): string[] {
  const [a, b] = [Buffer.from(token, 'base64url'), Buffer.from(other, 'base64url')]
  const bytes = [
    Buffer.concat([a.subarray(0, -16), b.subarray(-16)]),
    Buffer.concat([b.subarray(0, -16), a.subarray(-16)]),
    Buffer.concat([a.subarray(0, 10), b.subarray(10)]),
    Buffer.concat([a.subarray(0, 2), b.subarray(2, 18), a.subarray(18)]),
    Buffer.concat([a, Buffer.from([0])]),
    a.subarray(0, -1),
    ...[...a.keys()].map((index) => a.map((byte, at) => (at === index ? byte ^ 1 : byte))),
  ]
  const texts = [`${token}=`, `${token}A`, ` ${token}`.trim().toUpperCase(), token.slice(1), '', 'x'.repeat(4_000)]
  return [...bytes.map((each) => Buffer.from(each).toString('base64url')), ...texts].filter((text) => text !== token)
}

export const secretLaws: readonly LawTest[] = [
  lawTest(3, 'own-session-alone', 'visitors at once on every node each see their own session', [], async (d) => {
    const visitors = await Promise.all(upTo(8).map((n) => d.visitorWith(['set', 'owner', n], ['login', `user-${n}`])))
    const expectOwn = (answer: Answer, n: number): void => {
      d.expectEqual([answer.user, answer.data['owner']], [`user-${n}`, n], `the session of visitor ${n}`)
    }
    await Promise.all(
      visitors.flatMap((visitor, n) =>
        upTo(6).map(async (m) => expectOwn(await d.ask(visitor, n + m, ['increment', 'count']), n)),
      ),
    )
    const keys = await Promise.all(visitors.map(async (visitor, n) => (await d.look(visitor, n)).key))
    d.expectEqual(new Set(keys).size, visitors.length, 'the number of keys')
  }),

  lawTest(
    3,
    'forged-tokens',
    'forged, mixed and mangled tokens open nothing, set no cookie and never reach the store',
    [],
    async (d) => {
      const [ada, bob] = [await d.visitorWith(['login', 'ada']), await d.visitorWith(['login', 'bob'])]
      const [name = ''] = (await ada.cookieHeader()).split('=')
      const [token = '', other = ''] = [await ada.token(), await bob.token()]
      const storeCalls = async (): Promise<unknown> =>
        ((await d.control(0, { do: 'counts' })) as { storeCalls: unknown }).storeCalls
      const before = await storeCalls()
      for (const forged of forgeries(token, other)) {
        const answer = d.ok(await ada.sendWith(`${name}=${forged}`, 0).answer)
        d.expect(answer.isNew && answer.user === null, `${forged.length} characters of a forged token opened a session`)
        d.expectNoCookie(answer, 'a forged token')
      }
      d.expectNoCookie(d.ok(await ada.sendWith(`${name}x=${token}; ${name}-v=${token}`, 0).answer), 'another cookie')
      d.expectEqual(await storeCalls(), before, 'the number of store calls after forged tokens')
      d.expectEqual((await d.look(ada, 0)).user, 'ada', 'the user of the real token')
    },
  ),

  lawTest(
    3,
    'no-token-shown',
    'no token is in logs, events, errors or answers, nor in what the store is given or holds',
    [],
    async (d) => {
      const tokens = new Set<string>()
      const shown: (string | Uint8Array)[] = []
      const note = async (visitor: Visitor, answer: Answer): Promise<void> => {
        const { cookies: _, ...body } = answer
        shown.push(JSON.stringify(body))
        tokens.add((await visitor.token()) ?? '')
      }
      const visitor = await d.visitorWith(['set', 'a', 1])
      const [old, theft] = [await visitor.copy(), await d.visitorWith(['login', 'eve'])]
      for (const each of [visitor, theft]) tokens.add((await each.token()) ?? '')
      await note(visitor, await d.ask(visitor, 0, ['login', 'ada']))
      for (const n of upTo(4)) await note(visitor, await d.ask(visitor, n, ['increment', 'count']))
      await note(old, await (await old.send(1, [['set', 'a', 2]])).answer) // superseded
      await note(visitor, await (await visitor.send(0, [['set', 'f', 'x'.repeat(300_000)]])).answer) // too large

      const thief = await theft.copy()
      await note(theft, await d.ask(theft, 0, ['rotate']))
      await note(theft, await d.ask(theft, 1, ['set', 'a', 1]))
      await d.turnClock(10 * 60_000)
      await note(thief, await d.look(thief, 0)) // stolen
      const [name = ''] = (await visitor.cookieHeader()).split('=')
      await note(visitor, await visitor.sendWith(`${name}=${(await visitor.token()) ?? ''}x`, 0).answer) // refused

      const slow = await d.held(visitor, 0, (barrier) => ({
        steps: [
          ['meet', barrier],
          ['set', 'late', 1],
        ],
      }))
      await note(visitor, await d.ask(await visitor.copy(), 1, ['logout']))
      await note(visitor, await slow.release()) // dropped

      for (const each of (await d.controlAll({ do: 'transcript' })) as { told: string[]; given: string[] }[]) {
        shown.push(...each.told, ...each.given)
      }
      shown.push(...((await d.fleet.contents?.()) ?? []))
      tokens.delete('')
      d.expect(tokens.size >= 3, `only ${tokens.size} tokens were seen`)
      for (const needle of [...tokens].flatMap(needlesOf)) {
        const place = shown.find((text) => holds(text, needle))
        d.expect(place === undefined, `a token or its selector in ${String(place).slice(0, 200)}`)
      }
    },
  ),
]
