import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis as Ioredis } from 'ioredis'
import { createSessions, type Session, type Sessions } from '../../src/index.ts'
import { redisStore, type RedisStoreOptions } from '../../src/stores/redis/index.ts'
import { needs } from '../support/programs.ts'
import { type Redis, startRedis } from '../support/redis.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'

const secret = 'q7Tz2KcW9vRn4XyB6mLp8JdH3sFg5AeU'
/** Longer than any of these tests. */
const staleReads = '60s'

describe('redisStore with staleReads', { skip: needs('redis-server') }, () => {
  for (const [outage, begin, end] of [
    ['cannot be reached', cutOff, ({ proxy }: Stage) => proxy.refuse(false)],
    ['gives no answers', async ({ redis }: Stage) => redis.pause(), async ({ redis }: Stage) => redis.resume()],
  ] as const) {
    it(`serves what it has a copy of while Redis ${outage}, and refuses all else with 503`, async () => {
      await using stage = await startStage({ staleReads })
      const { node } = stage
      const visitor = await logIn(node, 'tea')
      const other = await logIn(node, 'milk')
      const unknown = await logIn(stage.elsewhere, 'milk')
      await begin(stage)
      await untilStale(node, visitor)
      const session = await open(node, visitor)
      assert.deepEqual([session.user, session.data.cart], ['ada', 'tea'])
      assert.deepEqual(await node.commit(session), [], 'no touch, no rotation, no cookie')
      assert.equal((await open(node, other)).data.cart, 'milk')

      const writes: ((session: Session<Data>) => Promise<unknown>)[] = [
        (session) => session.update('cart', () => 'more'),
        (session) => session.login('eve'),
        (session) => session.logout(),
        (session) => session.rotate(),
        (session) => ((session.data.cart = 'more'), node.commit(session)),
      ]
      for (const write of writes) await assertUnavailable(write(await open(node, visitor)))
      assert.equal((await open(node, visitor)).data.cart, 'tea', 'what was refused has changed nothing')
      await assertUnavailable(open(node, unknown))
      assert((node.stats().nearCache?.stale ?? 0) >= 8)

      await end(stage)
      while (!(await node.health()).ok) await sleep(20)
      const later = await open(node, visitor)
      assert.equal(await later.update('cart', (cart) => `${cart} and more`), 'tea and more')
      const { stale } = node.stats().nearCache ?? {}
      await open(node, visitor)
      assert.equal(node.stats().nearCache?.stale, stale)
    })
  }

  it('does so for sessions that would be touched or rotated, since nobody asked for that', async () => {
    let turned = 0
    const clock = { now: () => Date.now() + turned }
    await using stage = await startStage({ staleReads }, { clock, rotateEvery: '2m' })
    const { node } = stage
    const visitor = await logIn(node, 'tea')
    const rotated = await logIn(node, 'milk')
    const rotating = await open(node, rotated)
    await rotating.rotate()
    await node.commit(rotating) // the answer is lost
    await untilCopied(node, rotated)
    await cutOff(stage)
    await untilStale(node, visitor)
    assert.deepEqual(await node.commit(await open(node, rotated)), [], 'a successor is handed out later')
    turned = 5 * 60_000
    const session = await open(node, visitor)
    assert.equal(session.data.cart, 'tea')
    assert.deepEqual(await node.commit(session), [])
    turned = 31 * 60_000
    assert.equal((await open(node, visitor)).isNew, true, 'its time is over, copy or not')
  })

  it('shows nobody less than he has seen, nor what this node has heard the end of', async () => {
    await using stage = await startStage({ staleReads })
    const { node, elsewhere } = stage
    const [seen, ended] = [await logIn(node, 'tea'), await logIn(node, 'tea')]
    await (await open(elsewhere, ended)).logout()
    await cutOff(stage)
    await untilStale(node, seen)
    const session = await open(elsewhere, seen)
    session.data.cart = 'milk'
    const hinted = withCookies(seen, await elsewhere.commit(session))
    await assertUnavailable(open(node, hinted))
    await assertUnavailable(open(node, ended))
    assert.equal((await open(node, seen)).data.cart, 'tea', 'who has not seen the change is behind')
  })

  it('does so no longer than it says, and without it not at all', async () => {
    for (const options of [{ staleReads: '500ms' }, {}] as const) {
      await using stage = await startStage(options)
      const visitor = await logIn(stage.node, 'tea')
      await cutOff(stage)
      for (;;) {
        const failed = await open(stage.node, visitor).then(
          () => false,
          () => true,
        )
        if (failed) break
        await sleep(20)
      }
      await assertUnavailable(open(stage.node, visitor))
      assert.equal((stage.node.stats().nearCache?.stale ?? 0) > 0, 'staleReads' in options)
    }
  })

  it('is refused where there are no copies', () => {
    const client = new Ioredis({ lazyConnect: true })
    for (const options of [{ url: 'redis://127.0.0.1', nearCache: false }, { client }]) {
      assert.throws(() => redisStore({ ...options, staleReads }), { name: 'TypeError', message: /near cache/ })
    }
    for (const wrong of ['0s', -1, '2m', true]) {
      const options = { url: 'redis://127.0.0.1', staleReads: wrong } as RedisStoreOptions
      assert.throws(() => redisStore(options), { name: 'TypeError', message: /staleReads/ })
    }
    client.disconnect()
  })
})

interface Data {
  cart: string
}

/** One node behind a proxy, and one that is not. */
interface Stage extends AsyncDisposable {
  readonly redis: Redis
  readonly proxy: TcpProxy
  readonly node: Sessions<Data>
  readonly elsewhere: Sessions<Data>
}

async function startStage(
  options: Pick<RedisStoreOptions, 'staleReads'>,
  policy: Partial<Parameters<typeof createSessions<Data>>[0]> = {},
): Promise<Stage> {
  await using stack = new AsyncDisposableStack()
  const redis = stack.use(await startRedis())
  const proxy = stack.use(await startTcpProxy({ to: { port: redis.port } }))
  const [node, elsewhere] = [proxy.port, redis.port].map((port) =>
    stack.use(
      createSessions<Data>({
        store: redisStore({ url: `redis://127.0.0.1:${port}`, ...options }),
        secret,
        deadline: '500ms',
        initial: () => ({ cart: '' }),
        logger: { info() {}, warn() {}, error() {} },
        ...policy,
      }),
    ),
  )
  assert(node && elsewhere)
  await Promise.all([node.ready(), elsewhere.ready()])
  const owned = stack.move()
  return { redis, proxy, node, elsewhere, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Resets what is open, and lets nothing new through. */
async function cutOff({ proxy }: Stage): Promise<void> {
  await proxy.refuse(true)
  proxy.cut()
}

/** A session that this node has a copy of, under a lease; resolves its cookies. */
async function logIn(node: Sessions<Data>, cart: string): Promise<string> {
  const session = await node.open({ headers: {} })
  session.data.cart = cart
  await session.login('ada')
  const cookies = withCookies('', await node.commit(session))
  await untilCopied(node, cookies)
  return cookies
}

async function untilCopied(node: Sessions<Data>, cookies: string): Promise<void> {
  const hits = (): number => node.stats().nearCache?.hits ?? 0
  for (const before = hits(); hits() === before;) await open(node, cookies)
}

/** Resolves when calls are refused at once, and this visitor is served all the same. */
async function untilStale(node: Sessions<Data>, cookies: string): Promise<void> {
  while (node.stats().connection?.refused === 0) await Promise.all(Array.from({ length: 10 }, () => node.health()))
  while (node.stats().nearCache?.stale === 0) await open(node, cookies)
}

function open(node: Sessions<Data>, cookie: string): Promise<Session<Data>> {
  return node.open({ headers: { cookie } })
}

/** What a browser carries after an answer. */
function withCookies(before: string, lines: readonly (readonly [string, string])[]): string {
  const cookies = new Map(before.split('; ').map((pair) => [pair.split('=')[0], pair]))
  for (const [, line] of lines.filter(([name]) => name.toLowerCase() === 'set-cookie')) {
    const [pair = ''] = line.split(';')
    cookies.set(pair.split('=')[0], pair)
  }
  cookies.delete('')
  return [...cookies.values()].join('; ')
}

async function assertUnavailable(work: Promise<unknown>): Promise<void> {
  await assert.rejects(work, { status: 503, headers: { 'retry-after': '1' } })
}
