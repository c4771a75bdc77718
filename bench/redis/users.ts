/** What it takes to list and to end all sessions of one user. */
import { createClient } from 'redis'
import { createSessions } from '../../src/index.ts'
import { redisStore } from '../../src/stores/redis/index.ts'
import { startRedis } from '../../test/support/redis.ts'
import { createBenchData } from '../apps/session-data.ts'
import { toTable } from '../load.ts'
import { type Admin, countersOf, INNER } from './counters.ts'

const COUNTS = [10, 1_000, 100_000]
const LOGINS_AT_ONCE = 100
/** Commands that take longer are in Redis's slow log. */
const SLOW_US = 1_000

interface Measured {
  readonly ms: number
  readonly commands: number
  readonly slowestUs: number
}

export async function run(): Promise<void> {
  await using redis = await startRedis({ args: ['--slowlog-log-slower-than', `${SLOW_US}`] })
  const admin = createClient({ url: redis.url })
  await admin.connect()
  await using sessions = createSessions({
    store: redisStore({ url: redis.url, keyPrefix: 'bench:' }),
    secret: 'Vb3nQx8tLr0yWz5kJm2hFd7gPc9sTa4e',
    initial: createBenchData,
    cookie: { secure: false },
  })
  const logIn = async (user: string): Promise<void> => {
    const session = await sessions.open({ headers: {} })
    await session.login(user)
    await sessions.commit(session)
  }
  const rows: (string | number)[][] = []
  for (const count of COUNTS) {
    const user = `user with ${count}`
    for (let made = 0; made < count; made += LOGINS_AT_ONCE) {
      await Promise.all(Array.from({ length: Math.min(LOGINS_AT_ONCE, count - made) }, () => logIn(user)))
    }
    const expect = (found: number | undefined): void => {
      if (found !== count) throw new Error(`${count} sessions were made, ${found} found`)
    }
    const list = await measure(admin, async () => {
      let found = 0
      for await (const { key } of sessions.list(user)) if (key !== '') found += 1
      expect(found)
    })
    const revoke = await measure(admin, async () => expect(await sessions.revokeUser(user)))
    for (const [name, { ms, commands, slowestUs }] of Object.entries({ list, revokeUser: revoke })) {
      rows.push([
        name,
        count,
        ms.toFixed(0),
        (commands / count).toFixed(2),
        slowestUs === 0 ? `below ${SLOW_US}` : slowestUs,
      ])
    }
  }
  admin.destroy()
  console.log('\n### Sessions of one user\n')
  console.log(toTable(['call', 'sessions', 'ms', 'client commands each', 'longest command in Redis, µs'], rows))
}

async function measure(admin: Admin & SlowLog, work: () => Promise<void>): Promise<Measured> {
  await admin.configResetStat()
  await admin.sendCommand(['SLOWLOG', 'RESET'])
  const startedAt = performance.now()
  await work()
  const ms = performance.now() - startedAt
  const { commands } = await countersOf(admin, 1)
  const sent = [...commands].filter(([name]) => !INNER.has(name) && !name.startsWith('slowlog'))
  const slow = (await admin.sendCommand(['SLOWLOG', 'GET', '-1'])) as [number, number, number][]
  const slowestUs = Math.max(0, ...slow.map(([, , us]) => us))
  return { ms, commands: sent.reduce((sum, [, calls]) => sum + calls, 0), slowestUs }
}

interface SlowLog {
  sendCommand(args: string[]): Promise<unknown>
}
