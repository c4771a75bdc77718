/** How long a login and a logout take where three nodes hold copies of the session, and while one of them is stopped. */
import { startRedis } from '../../test/support/redis.ts'
import { type BenchServer, percentile, startServer, toTable } from '../load.ts'

const NODES = 3
const VISITORS = 300
const STOPS = 20

export async function run(): Promise<void> {
  await using redis = await startRedis()
  const servers: BenchServer[] = []
  try {
    for (let node = 0; node < NODES; node++)
      servers.push(await startServer('sojourn', new URL('../apps/app.ts', import.meta.url), [redis.url]))
    const [first, second, third] = servers
    if (!first || !second || !third) throw new Error('too few nodes')
    await visit([first, second, third], 50)
    const healthy = await visit([first, second, third], VISITORS)

    const fresh: Times = { login: [], logout: [] }
    for (let stop = 0; stop < STOPS; stop++) {
      const cookie = await prepare([first, second, third])
      process.kill(third.pid, 'SIGSTOP')
      fresh.login.push((await timed(first, '/login', cookie)).ms)
      process.kill(third.pid, 'SIGCONT')
      const other = await prepare([first, second, third])
      process.kill(third.pid, 'SIGSTOP')
      fresh.logout.push((await timed(first, '/logout', other)).ms)
      process.kill(third.pid, 'SIGCONT')
    }
    process.kill(third.pid, 'SIGSTOP')
    await visit([first, second], 10)
    await new Promise((resolve) => setTimeout(resolve, 3_000)) // its lease runs out
    const later = await visit([first, second], VISITORS)
    process.kill(third.pid, 'SIGCONT')

    console.log(`\n### Login and logout, ${NODES} nodes that hold copies, ms\n`)
    const row = (name: string, { login, logout }: Times): (string | number)[] => [
      name,
      ...[login, logout].flatMap((times) => [
        times.length,
        percentile(times, 0.5).toFixed(1),
        percentile(times, 0.99).toFixed(1),
      ]),
    ]
    console.log(
      toTable(
        ['nodes', 'logins', 'p50', 'p99', 'logouts', 'p50', 'p99'],
        [row('healthy', healthy), row('one was stopped this moment', fresh), row('one was stopped seconds ago', later)],
      ),
    )
  } finally {
    for (const { pid } of servers) process.kill(pid, 'SIGCONT')
    await Promise.all(servers.map((server) => server.stop()))
  }
}

interface Times {
  readonly login: number[]
  readonly logout: number[]
}

/** Visitors one after the other, each with a session that all nodes hold, who log in as another user and log out. */
async function visit(servers: readonly [BenchServer, ...BenchServer[]], count: number): Promise<Times> {
  const times: Times = { login: [], logout: [] }
  const [first] = servers
  for (let visitor = 0; visitor < count; visitor++) {
    const login = await timed(first, '/login', await prepare(servers))
    times.login.push(login.ms)
    for (const server of servers) await timed(server, '/read', login.cookie)
    times.logout.push((await timed(first, '/logout', login.cookie)).ms)
  }
  return times
}

/** A session that every node has read. */
async function prepare(servers: readonly BenchServer[]): Promise<string> {
  const [first] = servers
  if (!first) throw new Error('no node')
  const { cookie } = await timed(first, '/login', '')
  for (const server of servers) for (let read = 0; read < 2; read++) await timed(server, '/read', cookie)
  return cookie
}

async function timed(
  { url, name }: BenchServer,
  path: string,
  cookie: string,
): Promise<{ ms: number; cookie: string }> {
  const startedAt = performance.now()
  const response = await fetch(url + path, { headers: { cookie } })
  await response.text()
  const ms = performance.now() - startedAt
  if (!response.ok) throw new Error(`${name}: ${path} answered ${response.status}`)
  const set = response.headers.getSetCookie().map((line) => line.slice(0, line.indexOf(';')))
  const names = set.map((pair) => pair.slice(0, pair.indexOf('=')))
  const kept = cookie.split('; ').filter((pair) => pair !== '' && !names.includes(pair.slice(0, pair.indexOf('='))))
  return { ms, cookie: [...kept, ...set].join('; ') }
}
