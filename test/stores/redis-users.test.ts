import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { createClient } from 'redis'
import type { Store, StoreContext, UserSessions } from '../../src/core/index.ts'
import { createSessions } from '../../src/index.ts'
import { redisStore } from '../../src/stores/redis/index.ts'
import { needs } from '../support/programs.ts'
import { askRedis, type Redis, startRedis } from '../support/redis.ts'
import { changeOf, now, randomKey } from './changes.ts'
import { listening, makeRedisStore, openRedisStore } from './redis-support.ts'

const DAY_MS = 86_400_000

describe('the sessions of a user in Redis', { skip: needs('redis-server') }, () => {
  let redis: Redis
  before(async () => (redis = await startRedis()))
  after(() => redis.stop())

  const ask = (...command: string[]): Promise<unknown> => askRedis(redis.port, ...command)

  async function openUsers(
    parts: Partial<StoreContext> = {},
  ): Promise<{ users: UserSessions; store: Store } & AsyncDisposable> {
    const { store, close } = await openRedisStore('a client of redis', redis.port, parts)
    assert(store.users)
    return { store, users: store.users, [Symbol.asyncDispose]: close }
  }

  /** The keys of one user, and how long each lives. */
  async function timesToLive(): Promise<Map<string, number>> {
    const keys = (await ask('KEYS', '*sojourn:user:*')) as string[]
    const times = await Promise.all(keys.map((key) => ask('PTTL', key)))
    return new Map(keys.map((key, index) => [key.replace(/user:[\w-]{43}/, 'user:U'), Number(times[index])]))
  }

  it('share one slot, apart from every session, and have names that tell no user', async () => {
    await using opened = await openUsers()
    const { users } = opened
    const login = { user: 'ada@example.com', key: randomKey(), at: now }
    await users.enter(login)
    await users.seat(login, 5)
    await users.advance(login.user)
    const keys = (await ask('KEYS', '*sojourn:user:*')) as string[]
    assert.equal(keys.length, 3)
    assert.equal(new Set(keys.map((key) => /\{(.*)\}/.exec(key)?.[1] ?? key)).size, 1)
    assert(!keys.join(' ').includes('ada'))
    await ask('FLUSHALL')
  })

  it('share one slot where the prefix has braces, too', async () => {
    const client = createClient({ url: redis.url })
    await client.connect()
    const store = makeRedisStore({ client, keyPrefix: '{app}:' })
    await store.ready()
    const login = { user: 'ada', key: randomKey(), at: now }
    await store.users?.enter(login)
    await store.users?.seat(login, 5)
    await store.users?.advance('ada')
    const keys = (await ask('KEYS', '*app*user:*')) as string[]
    assert.deepEqual(
      keys.map((key) => /\{([^}]+)\}/.exec(key)?.[1]),
      ['app', 'app', 'app'],
    )
    await store.close()
    client.destroy()
    await ask('FLUSHALL')
  })

  it('are forgotten once no session of theirs can be alive, and the epoch after a day', async () => {
    await using opened = await openUsers({ absoluteTimeoutMs: DAY_MS })
    const login = { user: randomUUID(), key: randomKey(), at: now }
    const epoch = await opened.users.enter(login)
    await opened.users.settle(login, epoch)
    await opened.users.seat(login, 5)
    await opened.users.advance(login.user)
    const times = await timesToLive()
    const least = DAY_MS - 60_000
    for (const name of ['sojourn:user:U', 'sojourn:seats:{sojourn:user:U}', 'sojourn:epoch:{sojourn:user:U}']) {
      const time = times.get(name) ?? 0
      assert(time > least && time <= DAY_MS + 20_000, `${name}: ${time}`)
    }
    await using shorter = await openUsers({ absoluteTimeoutMs: DAY_MS / 2 })
    await shorter.users.enter({ ...login, key: randomKey() })
    assert(((await timesToLive()).get('sojourn:user:U') ?? 0) > least, 'a login with a shorter life shortens nothing')
    await ask('FLUSHALL')
  })

  it('stay where sessions have no absolute end', async () => {
    await using opened = await openUsers({ absoluteTimeoutMs: Infinity })
    const login = { user: randomUUID(), key: randomKey(), at: now - 400 * DAY_MS }
    await opened.users.enter(login)
    await opened.users.enter({ ...login, key: randomKey(), at: now })
    assert.deepEqual([...(await timesToLive()).values()], [-1])
    assert.equal((await opened.users.list(login.user, { limit: 10 })).entries.length, 2)
    await ask('FLUSHALL')
  })

  it('from before the longest life leave with the next logins, a hundred at a time', async () => {
    await using opened = await openUsers({ absoluteTimeoutMs: DAY_MS })
    const { users } = opened
    const user = randomUUID()
    for (let count = 0; count < 150; count += 1) await users.enter({ user, key: randomKey(), at: now - 2 * DAY_MS })
    const [key = ''] = (await ask('KEYS', '*sojourn:user:*')) as string[]
    // Each of them has removed some that were there before.
    await users.enter({ user, key: randomKey(), at: now - DAY_MS / 2 })
    assert(Number(await ask('ZCARD', key)) <= 51)
    await users.enter({ user, key: randomKey(), at: now })
    assert.equal(await ask('ZCARD', key), 2)
    await ask('FLUSHALL')
  })

  it('that is installed as a whole is listed, and was so before the record was there', async () => {
    await using opened = await openUsers()
    const { store, users } = opened
    const key = randomKey()
    await store.apply(changeOf(key, { create: true, login: { user: 'ada' } }))
    const record = await store.read(key)
    assert(record)
    await ask('FLUSHALL')
    await store.install(record)
    assert.deepEqual(
      (await users.list('ada', { limit: 10 })).entries.map((entry) => entry.key),
      [key],
    )
    await ask('FLUSHALL')
  })

  it('are listed and ended a hundred at a time, so that no command holds Redis up', async () => {
    const options = {
      store: redisStore({ url: redis.url }),
      secret: randomUUID() + randomUUID(),
      deadline: '60s',
    } as const
    await using sessions = createSessions(options)
    await sessions.ready()
    await using opened = await openUsers()
    const { store, users } = opened
    const user = randomUUID()
    const count = 3_000
    for (let done = 0; done < count; done += 500) {
      await Promise.all(
        Array.from({ length: 500 }, async (_, n) => {
          const login = { user, key: randomKey(), at: now + done + n }
          await users.enter(login)
          await store.apply(changeOf(login.key, { create: true, now: login.at, login: { user } }))
        }),
      )
    }
    let listed = 0
    for await (const _ of sessions.list(user)) listed += 1
    assert.equal(listed, count)
    assert.equal(await sessions.revokeUser(user), count)
    const { list, leave, read, end } = sessions.stats().storeCalls
    const parts = count / 100
    assert.deepEqual({ list, leave, read, end }, { list: 2 * (parts + 1), leave: parts, read: 2 * count, end: count })
    const left = (await ask('KEYS', '*sojourn:user:*')) as string[]
    assert.deepEqual(
      left.filter((key) => !key.includes(':epoch:')),
      [],
    )
    await ask('FLUSHALL')
  })
})

describe('a Redis that evicts', { skip: needs('redis-server') }, () => {
  for (const policy of ['allkeys-lru', 'volatile-ttl', 'noeviction'] as const) {
    it(`by ${policy} is ${policy === 'noeviction' ? 'not ' : ''}warned of at start`, async () => {
      await using redis = await startRedis({ args: ['--maxmemory-policy', policy] })
      const { logger, lines } = listening()
      for (const kind of ['a url', 'a client of ioredis'] as const) {
        await using _ = await openRedisStore(kind, redis.port, { logger })
      }
      const warnings = lines.filter(([level, message]) => level === 'warn' && message.includes(policy))
      assert.equal(warnings.length, policy === 'noeviction' ? 0 : 2)
    })
  }
})
