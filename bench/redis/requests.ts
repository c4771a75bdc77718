/** Express 5 with Sojourn on Redis, beside Express alone and Express with express-session and connect-redis. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from 'redis'
import { startRedis } from '../../test/support/redis.ts'
import { type BenchServer, load, LOAD_CORE, logIn, median, pin, startServer, toTable } from '../load.ts'
import type { BenchOptions } from '../main.ts'
import { type Admin, countersOf, INNER, toText } from './counters.ts'

const VARIANTS = ['express', 'express-session', 'sojourn']
const PATHS = ['/read', '/read-object', '/write']
const SESSIONS = 100

interface Sample {
  readonly cpuUs: number
  readonly requestsPerSecond: number
  readonly commands: ReadonlyMap<string, number>
  readonly bytesIn: number
  readonly bytesOut: number
}

export async function run({ rounds, seconds }: BenchOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sojourn-bench-'))
  const redis = await startRedis()
  await pin(redis.pid, LOAD_CORE)
  const admin = createClient({ url: redis.url })
  await admin.connect()
  const servers: BenchServer[] = []
  try {
    for (const name of VARIANTS)
      servers.push(await startServer(name, new URL('../apps/app.ts', import.meta.url), [redis.url]))
    const cookies = new Map<string, string[]>()
    for (const server of servers) cookies.set(server.name, await logIn(server, SESSIONS))

    const samples = new Map<string, Sample[]>()
    for (let round = -1; round < rounds; round++) {
      const order = round % 2 === 0 ? servers : servers.toReversed()
      for (const path of PATHS) {
        for (const server of order) {
          const sample = await measure(
            server,
            path,
            cookies.get(server.name) ?? [],
            folder,
            round < 0 ? 1 : seconds,
            admin,
          )
          if (round >= 0)
            samples.set(`${server.name} ${path}`, [...(samples.get(`${server.name} ${path}`) ?? []), sample])
        }
      }
      if (round >= 0) console.error(`round ${round + 1} of ${rounds}`)
    }
    print(samples)
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
    admin.destroy()
    await redis.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

async function measure(
  server: BenchServer,
  path: string,
  cookies: readonly string[],
  folder: string,
  seconds: number,
  admin: Admin,
): Promise<Sample> {
  await admin.configResetStat()
  const before = await server.usage()
  const requestsPerSecond = await load(server, path, cookies, folder, seconds)
  const after = await server.usage()
  const requests = after.requests - before.requests
  const { commands: all, bytesIn, bytesOut } = await countersOf(admin, requests)
  // The other servers are idle, and send theirs all the same.
  const commands = new Map([...all].filter(([name]) => name !== 'ping'))
  return { cpuUs: (after.cpuUs - before.cpuUs) / requests, requestsPerSecond, commands, bytesIn, bytesOut }
}

function print(samples: ReadonlyMap<string, readonly Sample[]>): void {
  for (const path of PATHS) {
    const of = (name: string, pick: (sample: Sample) => number): number =>
      median((samples.get(`${name} ${path}`) ?? []).map(pick))
    const bare = of('express', (sample) => sample.cpuUs)
    const rows = VARIANTS.map((name) => {
      const cpuUs = of(name, (sample) => sample.cpuUs)
      const all = [...(samples.get(`${name} ${path}`)?.at(-1)?.commands ?? [])].filter(([, calls]) => calls >= 0.005)
      const listed = (inner: boolean): string => toText(all.filter(([command]) => INNER.has(command) === inner))
      return [
        name,
        cpuUs.toFixed(1),
        (cpuUs - bare).toFixed(1),
        (cpuUs / bare).toFixed(2),
        listed(false),
        listed(true),
        of(name, (sample) => sample.bytesIn).toFixed(0),
        of(name, (sample) => sample.bytesOut).toFixed(0),
        of(name, (sample) => sample.requestsPerSecond).toFixed(0),
      ]
    })
    console.log(`\n### GET ${path}, ${SESSIONS} sessions in rotation\n`)
    console.log(
      toTable(
        [
          'variant',
          'CPU µs/request',
          'above Express',
          'x Express',
          'client commands',
          'inside scripts',
          'B/request to Redis',
          'B/request from Redis',
          'req/s',
        ],
        rows,
      ),
    )
  }
}
