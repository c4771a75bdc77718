import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, suite, test } from 'node:test'
import { session } from '../../../src/compat/express-session/index.ts'
import { createSessions, memoryStore, type Sessions } from '../../../src/index.ts'
import { redisStore } from '../../../src/stores/redis/index.ts'
import { createVisitor } from '../../support/jar.ts'
import { type Redis, startRedis } from '../../support/redis.ts'
import { express4, express5, type Fields, type Server, serve, shop } from './app.ts'

const logger = { info: () => {}, warn: () => {}, error: () => {} }
const tokenOf = '__Host-sid'

let redis: Redis
before(async () => {
  redis = await startRedis()
})
after(() => redis[Symbol.asyncDispose]())

/** Nodes that share their sessions; in memory there is one. */
const fleets: Readonly<Record<string, () => Sessions<Fields>[]>> = {
  memory: () => [createSessions<Fields>({ store: memoryStore(), secret: randomBytes(32).toString('hex'), logger })],
  'Redis, two nodes': () => {
    const secret = randomBytes(32).toString('hex')
    const keyPrefix = `${secret.slice(0, 8)}:`
    return [1, 2].map(() =>
      createSessions<Fields>({ store: redisStore({ url: redis.url, keyPrefix }), secret, logger }),
    )
  },
}

for (const [framework, module] of Object.entries({ 'Express 5': express5, 'Express 4': express4 })) {
  for (const [where, createFleet] of Object.entries(fleets)) {
    suite(`Passport and connect-flash on ${framework}, ${where}`, () => {
      let nodes: Sessions<Fields>[]
      let servers: Server[]
      const first = (): string => servers[0]?.url ?? ''
      const last = (): string => servers.at(-1)?.url ?? ''
      const here = (): Sessions<Fields> => nodes[0] as Sessions<Fields>

      before(async () => {
        nodes = createFleet()
        servers = await Promise.all(nodes.map((sessions) => serve(shop(module, session(sessions)))))
      })
      after(async () => {
        for (const server of servers) await server[Symbol.asyncDispose]()
        for (const sessions of nodes) await sessions.close()
      })

      const show = async (visitor = createVisitor(), at = last()): Promise<{ data: Fields; user: unknown }> =>
        (await (await visitor.fetch(`${at}/show`)).json()) as { data: Fields; user: unknown }

      test('a login gives another token, an empty session, and a user that Sojourn knows; the old token opens nothing', async () => {
        const visitor = createVisitor()
        await visitor.fetch(`${first()}/views`)
        const thief = await visitor.clone()
        const keys: string[] = []
        const stop = here().on('login', ({ key, user }) => void (user === 'ada' && keys.push(key)))
        const answer = await visitor.fetch(`${first()}/login?username=ada&password=pw`)
        stop()
        assert.equal(answer.headers.get('location'), '/show')
        assert.notEqual(await visitor.cookie(tokenOf), await thief.cookie(tokenOf))
        assert.deepEqual(await show(visitor), {
          data: { passport: { user: 'ada' } },
          user: { id: 'ada' },
          is: true,
        })
        assert.equal(keys.length, 1)
        assert.equal((await here().get(String(keys[0])))?.user, 'ada')
        for (const at of [first(), last()]) assert.deepEqual(await show(thief, at), { data: {}, user: null, is: false })
      })

      test('keepSessionInfo keeps what was before, at login and at logout', async () => {
        const visitor = createVisitor()
        await visitor.fetch(`${first()}/cart?item=tea`)
        await visitor.fetch(`${last()}/login?username=ada&password=pw&keep=yes`)
        assert.deepEqual((await show(visitor)).data['cart'], { items: ['tea'] })
        const before = await visitor.clone()
        await visitor.fetch(`${last()}/logout?keep=yes`)
        const { data, user } = await show(visitor)
        assert.deepEqual([data['cart'], data['passport'], user], [{ items: ['tea'] }, {}, null])
        for (const at of [first(), last()]) assert.deepEqual((await show(before, at)).data, {})
      })

      test('a logout ends the session everywhere', async () => {
        const visitor = createVisitor()
        await visitor.fetch(`${first()}/login?username=ada&password=pw`)
        const copy = await visitor.clone()
        await visitor.fetch(`${first()}/logout`)
        assert.deepEqual(await show(visitor), { data: {}, user: null, is: false })
        for (const at of [first(), last()]) assert.deepEqual(await show(copy, at), { data: {}, user: null, is: false })
      })

      test('a failed login leaves its message and its flash, which are there after the redirect', async () => {
        const visitor = createVisitor()
        const answer = await visitor.fetch(`${first()}/login?username=ada&password=no`)
        assert.equal(answer.status, 302)
        assert.deepEqual((await show(visitor)).data, { messages: ['not ada'], flash: { error: ['not ada'] } })
        await visitor.fetch(`${last()}/flash?message=hello`)
        const flashes = async (): Promise<unknown> => (await visitor.fetch(`${first()}/flashes`)).json()
        assert.deepEqual(await flashes(), { info: ['hello'], all: { error: ['not ada'] } })
        assert.deepEqual(await flashes(), { info: [], all: {} })
      })

      test('a revoked session is logged out in Passport too', async () => {
        const visitor = createVisitor()
        const keys: string[] = []
        const stop = here().on('login', ({ key }) => void keys.push(key))
        await visitor.fetch(`${first()}/login?username=ida&password=pw`)
        stop()
        assert.equal(await here().revoke(String(keys[0])), true)
        assert.deepEqual(await show(visitor), { data: {}, user: null, is: false })
      })
    })
  }
}
