/** The CPU time of whole requests on Express 5 whose sessions are in cookies, beside iron-session and Express alone. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BenchServer, load, logIn, median, startServer, toTable } from './load.ts'
import type { BenchOptions } from './main.ts'

const PEER = 'iron-session'
const VARIANTS = [
  'express',
  PEER,
  'sojourn cookie',
  'sojourn cookie, not compressed',
  'sojourn cookie, with revocations',
]
const PATHS = ['/read', '/write']
const SESSIONS = 100

/** Microseconds of the server's CPU for one request: median of the rounds. */
type Times = ReadonlyMap<string, number>

export async function compareRequests({ rounds, seconds }: BenchOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sojourn-bench-'))
  const servers: BenchServer[] = []
  try {
    for (const name of VARIANTS) servers.push(await startServer(name, new URL('./apps/app.ts', import.meta.url), []))
    const cookies = new Map<string, readonly string[]>()
    for (const server of servers) {
      cookies.set(server.name, await logIn(server, SESSIONS))
      await checkThatItOpens(server, cookies.get(server.name)?.at(-1) ?? '')
    }
    for (const path of PATHS) {
      const samples = new Map(VARIANTS.map((name): [string, number[]] => [name, []]))
      for (let round = -1; round < rounds; round++) {
        for (const server of round % 2 === 0 ? servers : servers.toReversed()) {
          const before = await server.usage()
          await load(server, path, cookies.get(server.name) ?? [], folder, round < 0 ? 1 : seconds)
          const after = await server.usage()
          if (round < 0) continue // warm-up
          samples.get(server.name)?.push((after.cpuUs - before.cpuUs) / (after.requests - before.requests))
        }
      }
      print(path, new Map([...samples].map(([name, values]) => [name, median(values)])))
    }
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
    await rm(folder, { recursive: true, force: true })
  }
}

/** A cookie that opens nothing would be read in no time. */
async function checkThatItOpens(server: BenchServer, cookie: string): Promise<void> {
  const answers = PATHS.map(async (path) => (await fetch(server.url + path, { headers: { cookie } })).json())
  const [read, written] = (await Promise.all(answers)) as { views: number }[]
  if (server.name !== 'express' && (read?.views !== 1 || written?.views !== 2)) {
    throw new Error(`${server.name}: /read and /write answered ${read?.views} and ${written?.views}`)
  }
}

function print(path: string, times: Times): void {
  const of = (name: string): number => times.get(name) ?? Number.NaN
  const rows = VARIANTS.map((name) => [
    name,
    of(name).toFixed(1),
    (of(name) / of(PEER)).toFixed(2),
    ((of(name) - of('express')) / (of(PEER) - of('express'))).toFixed(2),
  ])
  const header = ['variant', 'CPU µs/request', 'iron-session = 1', 'above Express, iron-session = 1']
  console.log(`\n### GET ${path}, ${SESSIONS} sessions in rotation\n`)
  console.log(toTable(header, rows))
}
