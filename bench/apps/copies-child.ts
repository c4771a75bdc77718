/** A node that keeps copies of so many sessions: `copies-child.ts REDIS_URL SESSIONS`. Tells over IPC what they need. */
import { createSessions } from '../../src/index.ts'
import { redisStore } from '../../src/stores/redis/index.ts'
import type { CopiesMeasured } from '../redis/copies.ts'
import { createBenchData } from './session-data.ts'

const [url, count] = process.argv.slice(2)
const options = { secret: 'Vb3nQx8tLr0yWz5kJm2hFd7gPc9sTa4e', initial: createBenchData, cookie: { secure: false } }
const nearCache = { maxSessions: Number(count), maxBytes: 1024 ** 3 }

// Another node makes them, so that only copies are in this one's memory afterwards.
const keys: string[] = []
{
  await using maker = createSessions({ store: redisStore({ url, nearCache: false }), ...options })
  for (let index = 0; index < Number(count); index += 100) {
    const made = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const session = await maker.open({ headers: {} })
        session.data.views = index
        await maker.commit(session)
        return session.key
      }),
    )
    keys.push(...made)
  }
}
const sessions = createSessions({ store: redisStore({ url, nearCache }), ...options })
await sessions.ready()
for (const key of keys.slice(0, 100)) await sessions.get(key)
const before = settled()
for (const key of keys) await sessions.get(key)
const after = settled()
const { copies = 0, bytes = 0 } = sessions.stats().nearCache ?? {}
const measured: CopiesMeasured = {
  sessions: keys.length,
  copies,
  counted: bytes,
  heap: after.heapUsed + after.external - before.heapUsed - before.external,
  resident: after.rss - before.rss,
}
process.send?.(measured)
await sessions.close()
process.exit()

function settled(): NodeJS.MemoryUsage {
  for (let round = 0; round < 4; round++) globalThis.gc?.()
  return process.memoryUsage()
}
