/** What a read costs Redis over minutes, with the touches, leases and pings that fall due in them. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createClient } from 'redis'
import { startRedis } from '../../test/support/redis.ts'
import { load, LOAD_CORE, logIn, pin, startServer, toTable } from '../load.ts'
import { countersOf, INNER } from './counters.ts'

const SESSIONS = 100

export async function run(): Promise<void> {
  const { values } = parseArgs({ allowPositionals: true, strict: false, options: { minutes: { type: 'string' } } })
  const seconds = 60 * Number(values.minutes ?? 5)
  const folder = await mkdtemp(join(tmpdir(), 'sojourn-bench-'))
  await using redis = await startRedis()
  await pin(redis.pid, LOAD_CORE)
  const admin = createClient({ url: redis.url })
  await admin.connect()
  const server = await startServer('sojourn', new URL('../apps/app.ts', import.meta.url), [redis.url])
  try {
    const cookies = await logIn(server, SESSIONS)
    await load(server, '/read', cookies, folder, 1)
    await admin.configResetStat()
    const before = await server.usage()
    await load(server, '/read', cookies, folder, seconds)
    const after = await server.usage()
    const requests = after.requests - before.requests
    const { commands, bytesIn, bytesOut } = await countersOf(admin, requests)
    console.log(`\n### GET /read, ${SESSIONS} sessions in rotation, ${seconds / 60} minutes, ${requests} requests\n`)
    const rows = [...commands]
      .filter(([name]) => !INNER.has(name))
      .map(([name, calls]) => [name, Math.round(calls * requests), calls.toFixed(5)])
    const sum = rows.reduce((total, [, calls]) => total + Number(calls), 0)
    console.log(
      toTable(['client command', 'calls', 'per request'], [...rows, ['in all', sum, (sum / requests).toFixed(5)]]),
    )
    console.log(`\n${bytesIn.toFixed(2)} bytes a request to Redis, ${bytesOut.toFixed(2)} from it.`)
  } finally {
    await server.stop()
    admin.destroy()
    await rm(folder, { recursive: true, force: true })
  }
}
