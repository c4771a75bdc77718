import { cookieExcuses, revocableCookieExcuses } from './cookie-excuses.ts'
import { type Driver, lawTest } from './driver.ts'
import type { LawExcuse } from './fleet.ts'

/** The holder of a token that a node does not know is a stranger there: nothing is seen, adopted or cleared. */
async function expectStranger(
  driver: Driver,
  visitor: Awaited<ReturnType<Driver['visitorWith']>>,
  node: number,
): Promise<void> {
  const token = await visitor.token()
  const read = driver.ok(await (await visitor.send(node, [])).answer)
  driver.expect(read.isNew && read.user === null, 'a node knows a session of another process')
  driver.expectNoCookie(read, 'a read with the token of another process')
  const stranger = await visitor.copy()
  await driver.ask(stranger, node, ['set', 'here', 1])
  driver.expect((await stranger.token()) !== token, 'a node adopted a token that it does not know')
}

/** What a store in the memory of one process does not keep. To be proven on two processes, or two that stand for them. */
const memoryExcuses: readonly LawExcuse[] = [
  {
    law: 6,
    why: 'Sessions live in the memory of one process and end with it.',
    refusal: lawTest(
      6,
      'memory-ends',
      'a process that was stopped has lost its sessions: it reads their tokens as empty, and adopts none',
      ['stop'],
      async (d) => {
        const visitor = await d.visitorWith(['set', 'a', 1], ['login', 'ada'])
        await d.node(0).stop?.()
        await d.restart(0)
        await expectStranger(d, visitor, 0)
      },
    ),
  },
  {
    law: 7,
    why: 'Sessions are not shared between processes; within the process that made it, a session is read as written.',
    refusal: lawTest(
      7,
      'memory-unshared',
      'another process knows nothing of a session: it reads its token as empty, adopts none, and leaves the session unharmed',
      ['twoNodes'],
      async (d) => {
        const visitor = await d.visitorWith(['set', 'a', 1], ['login', 'ada'])
        await expectStranger(d, visitor, 1)
        d.expectEqual((await d.look(visitor, 0)).user, 'ada', 'the user where the session lives')
      },
    ),
  },
]

/** Names of Sojourn's stores in `docs/laws.md`. */
export type LawStore = 'memory' | 'sqlite' | 'redis' | 'mesh' | 'cookie' | 'cookie with revocations'

/** What each of Sojourn's stores does not keep. `docs/laws.md` has it as a table. */
export const storeExcuses: Readonly<Record<LawStore, readonly LawExcuse[]>> = {
  memory: memoryExcuses,
  sqlite: [],
  redis: [],
  mesh: [],
  cookie: cookieExcuses,
  'cookie with revocations': revocableCookieExcuses,
}
