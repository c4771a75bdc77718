import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { RedisStore } from 'connect-redis'
import { createClient } from 'redis'
import { session } from '../../../src/compat/express-session/index.ts'
import { createSessions, type Sessions } from '../../../src/index.ts'
import { connectRedis, redisStore } from '../../../src/stores/redis/index.ts'
import { createVisitor, type Visitor } from '../../support/jar.ts'
import { type Redis, startRedis } from '../../support/redis.ts'
import { express5, expressSession, type Fields, type Server, serve, shop } from './app.ts'

const secret = 'a secret of thirty-two characters at least'

suite('one application, on old servers with connect-redis and on new ones with express/compat, in one Redis', () => {
  let redis: Redis
  let client: ReturnType<typeof createClient>
  let sessions: Sessions<Fields>
  let servers: readonly [old: Server, fresh: Server]

  before(async () => {
    redis = await startRedis()
    client = createClient({ url: redis.url })
    await client.connect()
    const old = { store: new RedisStore({ client }), secret, resave: false, saveUninitialized: false }
    const migrateFrom = connectRedis({
      secret,
      write: 'both',
      cookieOptions: { secure: false },
      user: (data: { passport?: { user?: string } }) => data.passport?.user,
      save: ({ data }) => data,
    })
    const store = redisStore({ url: redis.url, migrateFrom })
    sessions = createSessions<Fields>({ store, secret: 'Zq8vT3nLx0RkWf7dYb2mHs6jPc9gAe4u' })
    servers = [await serve(shop(express5, expressSession(old))), await serve(shop(express5, session<Fields>(sessions)))]
  })
  after(async () => {
    for (const server of servers) await server[Symbol.asyncDispose]()
    await sessions.close()
    await client.close()
    await redis[Symbol.asyncDispose]()
  })

  const ask = async (visitor: Visitor, at: 'old' | 'new', path: string): Promise<unknown> => {
    const response = await visitor.fetch(`${servers[at === 'old' ? 0 : 1].url}${path}`)
    const text = await response.text()
    assert.ok(response.status < 400, text)
    return text.startsWith('{') ? JSON.parse(text) : text
  }
  const userAt = async (visitor: Visitor, at: 'old' | 'new'): Promise<unknown> =>
    ((await ask(visitor, at, '/show')) as { user: unknown }).user

  for (const [first, second] of [
    ['old', 'new'],
    ['new', 'old'],
  ] as const) {
    test(`a visitor of Passport who came to the ${first} server goes on at the ${second} one, and back, and logs out there`, async () => {
      const visitor = createVisitor()
      await ask(visitor, first, '/views')
      await ask(visitor, first, '/login?username=ada&password=pw&keep=yes')
      await ask(visitor, first, '/flash?message=hello')
      assert.deepEqual(await userAt(visitor, second), { id: 'ada' })
      assert.deepEqual(await ask(visitor, second, '/views'), { views: 2 })
      assert.deepEqual(((await ask(visitor, second, '/flashes')) as { info: unknown }).info, ['hello'])
      assert.deepEqual(await ask(visitor, first, '/views'), { views: 3 })
      assert.deepEqual(await ask(visitor, first, '/flashes'), { info: [], all: {} })
      const copy = await visitor.clone()
      await ask(visitor, second, '/logout')
      for (const at of [first, second])
        assert.deepEqual([await userAt(visitor, at), await userAt(copy, at)], [null, null])
    })
  }
})
