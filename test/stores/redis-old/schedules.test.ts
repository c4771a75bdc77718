import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { RedisStore as ConnectRedis } from 'connect-redis'
import { parseSetCookie } from 'cookie'
import { createRandom } from '../../../src/laws/random.ts'
import { createSessions, type Session, type Sessions } from '../../../src/index.ts'
import { toSignedValue } from '../../../src/stores/redis/old/signed-id.ts'
import { connectRedis, redisStore } from '../../../src/stores/redis/index.ts'
import { needs } from '../../support/programs.ts'
import { suiteRedis } from '../../support/redis-suite.ts'
import { createSecret } from '../../token/secrets.ts'
import { OLD_SECRET } from './support.ts'

type Data = Record<string, string>
const FORMAT = { cookieName: 'connect.sid', valuePrefix: 's:', secrets: [OLD_SECRET], algorithm: 'sha256' }
const FIELDS = ['a', 'b', 'c']
const SCHEDULES = 25
const STEPS = 60
const AT_ONCE = 5

/** A change of a field, and its time until it was acknowledged: of a new server from its start, of an old one since it had read. */
interface Write {
  readonly field: string
  readonly value: string
  readonly by: 'old' | 'new'
  readonly from: number
  readonly until: number
  /** When the old server began to read, and what it had read. */
  readonly began?: number
  readonly read?: string | undefined
}

/**
 * Whether a change must not be what is left, since a later one was acknowledged: by a new server, or by an old one that had
 * read it, and that no other old request went across, which write the whole session.
 */
function isLostBy(earlier: Write, later: Write, writes: readonly Write[]): boolean {
  if (later.by === 'new') return later.from > (earlier.by === 'new' ? earlier.until : earlier.from)
  const isCrossed = writes.some(
    (write) => write.by === 'old' && write !== later && (write.began ?? 0) < later.until && write.until > later.from,
  )
  return !isCrossed && later.read === earlier.value
}

/** A request of a new server; its cookies are kept. */
function visitorOf(
  sessions: Sessions<Data>,
  id: string,
): { open(): Promise<Session<Data>>; commit(session: Session<Data>): Promise<void> } {
  const cookies = new Map([[FORMAT.cookieName, encodeURIComponent(toSignedValue(id, FORMAT))]])
  return {
    open: () => sessions.open({ headers: { cookie: [...cookies].map((pair) => pair.join('=')).join('; ') } }),
    async commit(session) {
      for (const [name, line] of await sessions.commit(session)) {
        if (name !== 'set-cookie') continue
        const { name: cookie, value = '' } = parseSetCookie(line)
        cookies.set(cookie, value)
      }
    },
  }
}

describe('moving in with both, one visitor, whatever the order of requests', { skip: needs('redis-server') }, () => {
  const redis = suiteRedis()

  const firstSeed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  test(`no acknowledged change is lost, and both sides end equal (${SCHEDULES} schedules, SEED=${firstSeed})`, async () => {
    for (let seed = firstSeed; seed < firstSeed + SCHEDULES; seed++) await runSchedule(seed)
  })

  async function runSchedule(seed: number): Promise<void> {
    const random = createRandom(seed)
    const id = `schedule-${seed}`
    const old = new ConnectRedis({ client: redis.client, ttl: 600 })
    const read = promisify((done: (error: unknown, session: unknown) => void) => void old.get(id, done as never))
    const write = promisify(
      (session: object, done: (error: unknown) => void) => void old.set(id, session as never, done as never),
    )
    await write({
      cookie: { originalMaxAge: null, expires: null, httpOnly: true, path: '/' },
      a: '0',
      b: '0',
      c: '0',
    })
    const options = { secret: createSecret(), deadline: '20s' as const, logger: { info() {}, warn() {}, error() {} } }
    const migrateFrom = connectRedis({ secret: OLD_SECRET, write: 'both' })
    const store = redisStore({ url: redis.url, keyPrefix: `${seed}:`, migrateFrom })
    await using first = createSessions<Data>({ ...options, store })
    await using second = createSessions<Data>({ ...options, store })
    const nodes = [visitorOf(first, id), visitorOf(second, id)]

    const writes: Write[] = FIELDS.map((field) => ({ field, value: '0', by: 'old', from: -1, until: -1 }))
    let now = 0
    const fresh: { node: number; session: Session<Data> }[] = []
    const slow: { began: number; readBy: number; session: Data & { cookie: object } }[] = []
    const open = async (): Promise<void> => {
      const node = random.below(2)
      const session = await nodes[node]?.open()
      if (session) fresh.push({ node, session })
    }
    const commit = async (field: string, value: string): Promise<void> => {
      const [request] = fresh.splice(random.below(fresh.length), 1)
      if (!request) return
      const from = (now += 1)
      request.session.data[field] = value
      await nodes[request.node]?.commit(request.session)
      writes.push({ field, value, by: 'new', from, until: (now += 1) })
    }
    const readThere = async (): Promise<void> => {
      const began = (now += 1)
      const session = (await read()) as (typeof slow)[number]['session']
      slow.push({ began, readBy: (now += 1), session })
    }
    const writeThere = async (field: string, value: string): Promise<void> => {
      const [request] = slow.splice(random.below(slow.length), 1)
      if (!request) return
      await write({ ...request.session, [field]: value })
      writes.push({
        field,
        value,
        by: 'old',
        from: request.readBy,
        until: (now += 1),
        read: request.session[field],
        began: request.began,
      })
    }
    const visitThere = async (field: string, value: string): Promise<void> => {
      const began = (now += 1)
      const session = (await read()) as (typeof slow)[number]['session']
      const from = (now += 1)
      await write({ ...session, [field]: value })
      writes.push({ field, value, by: 'old', from, until: (now += 1), read: session[field], began })
    }
    const underWay = new Set<Promise<void>>()
    for (let step = 0; step < STEPS; step++) {
      const field = random.of(FIELDS)
      const work = [
        open,
        () => commit(field, `new-${step}`),
        readThere,
        () => writeThere(field, `old-${step}`),
        () => visitThere(field, `quick-${step}`),
      ]
      const started = random.of(work)()
      underWay.add(started)
      void started.finally(() => underWay.delete(started)).catch(() => {})
      if (underWay.size > random.below(AT_ONCE)) await Promise.race(underWay)
    }
    await Promise.all(underWay)
    for (const node of nodes) await node.commit(await node.open())
    const session = await nodes[0]?.open()
    for (const field of FIELDS) {
      const value = session?.data[field]
      const last = writes.find((write) => write.field === field && write.value === value)
      const later = writes.find((write) => last && write.field === field && isLostBy(last, write, writes))
      assert.ok(last && !later, `seed ${seed}: ${field} is ${value}, and ${later?.value} was acknowledged`)
    }
    const { cookie: _, sojourn: __, ...left } = (await read()) as Record<string, unknown>
    assert.deepEqual(left, { ...session?.data }, `seed ${seed}`)
  }
})
