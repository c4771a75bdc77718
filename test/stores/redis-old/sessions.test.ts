import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseSetCookie } from 'cookie'
import { createSessions, memoryStore, type Session, type Sessions } from '../../../src/index.ts'
import { connectRedis, type ConnectRedisOptions, fastifySession, redisStore } from '../../../src/stores/redis/index.ts'
import { readSignedId, toSignedValue } from '../../../src/stores/redis/old/signed-id.ts'
import { createTestClock } from '../../../src/testing/index.ts'
import { needs } from '../../support/programs.ts'
import { suiteRedis } from '../../support/redis-suite.ts'
import { createSecret } from '../../token/secrets.ts'
import { kinds, openRedisStore } from '../redis-support.ts'
import { oldSessionsContract } from './contract.ts'
import { OLD_SECRET } from './support.ts'

type Data = Record<string, unknown>
type Client = Map<string, string>

const format = { cookieName: 'connect.sid', valuePrefix: 's:', secrets: [OLD_SECRET], algorithm: 'sha256' }

/** What a browser sends and keeps; `null` lets the answer be lost. */
async function visit(
  sessions: Sessions<Data>,
  client: Client,
  handler: (session: Session<Data>) => unknown = () => {},
  keepsCookies = true,
): Promise<Session<Data>> {
  const cookie = [...client].map((pair) => pair.join('=')).join('; ')
  const session = await sessions.open({ headers: { cookie } })
  await handler(session)
  for (const [name, line] of await sessions.commit(session)) {
    if (name !== 'set-cookie' || !keepsCookies) continue
    const { name: cookieName, value = '', maxAge } = parseSetCookie(line)
    if (maxAge === 0) client.delete(cookieName)
    else client.set(cookieName, encodeURIComponent(value))
  }
  return session
}

/** The line that sets the old cookie. */
function oldCookieIn(headers: readonly (readonly [string, string])[]): string {
  return headers.find(([, line]) => line.startsWith('connect.sid='))?.[1] ?? ''
}

function fail(): never {
  throw new Error('a function of the application')
}

describe('old sessions in Redis', { skip: needs('redis-server') }, () => {
  const redis = suiteRedis()

  for (const kind of kinds) {
    oldSessionsContract(`the store with ${kind}`, (migrateFrom) =>
      openRedisStore(kind, redis.port, {}, { migrateFrom }),
    )
  }

  const quiet = { info() {}, warn() {}, error() {} }
  let count = 0
  /** An old session, its visitor, and sessions that take it over. */
  async function begin(
    old: Partial<ConnectRedisOptions> = {},
    more: Partial<Parameters<typeof createSessions<Data>>[0]> & { encrypt?: boolean } = {},
  ): Promise<{ sessions: Sessions<Data>; visitor: Client; key: string; id: string }> {
    count += 1
    const id = `old-${count}`
    const value = toSignedValue(id, format)
    const visitor = new Map([['connect.sid', encodeURIComponent(value)]])
    await redis.client.set(`sess:${id}`, '{"cookie":{"path":"/"},"cart":"tea"}', { EX: 1000 })
    const migrateFrom = connectRedis({ secret: OLD_SECRET, write: 'both', ...old })
    const { encrypt = false, ...options } = more
    // With each prefix the list of nodes is new, so that an end waits for a lease.
    const nearCache = { lease: '100ms' } as const
    const store = redisStore({ url: redis.url, keyPrefix: `${count}:`, migrateFrom, encrypt, nearCache })
    const sessions = createSessions<Data>({ secret: createSecret(), logger: quiet, deadline: '20s', ...options, store })
    return { sessions, visitor, id, key: `sess:${id}` }
  }

  test('rotated tokens: the old cookie alone is served, given nothing, and no thief', async () => {
    const clock = createTestClock()
    const { sessions, visitor } = await begin({}, { clock, rotateEvery: '5m', idleTimeout: '1h' })
    const onlyOld = new Map(visitor)
    const stolen: unknown[] = []
    sessions.on('stolen', (event) => stolen.push(event))
    await visit(sessions, visitor)
    for (let n = 0; n < 12; n++) {
      clock.advance('3m')
      await visit(sessions, visitor, (session) => void (session.data['n'] = n))
    }
    const session = await visit(sessions, onlyOld)
    assert.equal(session.data['n'], 11)
    assert.equal(onlyOld.get('__Host-sid'), undefined)
    assert.equal((await visit(sessions, visitor)).data['n'], 11)
    assert.deepEqual(stolen, [])
    await sessions.close()
  })

  test('the idle timeout holds: a session that is over is not taken over again from what is left', async () => {
    const clock = createTestClock()
    const { sessions, visitor } = await begin({}, { clock, idleTimeout: '10m' })
    assert.equal((await visit(sessions, visitor)).data['cart'], 'tea')
    clock.advance('11m')
    assert.equal((await visit(sessions, visitor)).data['cart'], undefined)
    await sessions.close()
  })

  test('with encrypt the link is sealed too, and all goes as without', async () => {
    const { sessions, visitor, key, id } = await begin({}, { encrypt: true })
    await visit(sessions, visitor, (session) => void (session.data['cart'] = 'milk'))
    assert.match(String(await redis.client.get(key)), /"milk"/)
    for (const name of await redis.client.keys(`${count}:*`)) {
      const held = JSON.stringify(await redis.client.hGetAll(name))
      assert.ok(!held.includes(id) && !held.includes('milk'), held)
    }
    await visit(sessions, visitor, (session) => session.logout())
    assert.equal(await redis.client.exists(key), 0)
    assert.equal(visitor.size, 0)
    await sessions.close()
  })

  test('an answer that is lost costs nothing: the same session is found by the old cookie', async () => {
    const { sessions, visitor } = await begin()
    const { key } = await visit(sessions, visitor, (session) => void (session.data['cart'] = 'milk'), false)
    const again = await visit(sessions, visitor)
    assert.deepEqual([again.key, again.data['cart']], [key, 'milk'])
    await sessions.close()
  })

  test('a user who is logged in there is one here, for revoke too; what can be no user is nobody', async () => {
    for (const [user, expected] of [
      ['ada', 'ada'],
      [42, '42'],
      ['', null],
      [{}, null],
      ['x'.repeat(300), null],
      [Number.NaN, null], // Number(old.userId) where nobody is logged in
      [Infinity, null],
    ] as const) {
      const { sessions, visitor, key } = await begin({ user: () => user as string, save: ({ data }) => data as object })
      const session = await visit(sessions, visitor)
      assert.equal(session.user, expected)
      assert.equal((await visit(sessions, visitor)).key, session.key, 'and stays so')
      assert.equal(await sessions.revoke(session.key), true)
      assert.equal(await redis.client.exists(key), 0)
      await sessions.close()
    }
  })

  test('revokeUser ends the old session with ours, and the old cookie opens nothing afterwards', async () => {
    const { sessions, visitor, key } = await begin({ user: () => 'ada', save: ({ data }) => data as object })
    const onlyOld = new Map(visitor)
    await visit(sessions, visitor)
    const old = String(await redis.client.get(key))
    assert.equal(await sessions.revokeUser('ada'), 1)
    assert.equal(await redis.client.exists(key), 0)
    await redis.client.set(key, old, { EX: 100 }) // as a slow old request does
    for (const each of [visitor, onlyOld]) assert.equal((await visit(sessions, each)).user, null)
    assert.equal(await redis.client.exists(key), 0)
    await sessions.close()
  })

  test('functions of the application that fail cost no request, are counted, and are logged once', async () => {
    const lines: string[] = []
    const logger = {
      ...quiet,
      warn: (facts: object, text: string) => void lines.push(`${text}: ${JSON.stringify(facts)}`),
    }
    const { sessions, visitor, key } = await begin({ data: fail, save: fail }, { logger })
    for (let n = 0; n < 3; n++) assert.equal((await visit(sessions, new Map(visitor))).isNew, true)
    assert.equal(sessions.stats().events['notMoved'], 3)
    assert.equal(lines.length, 1)
    assert.match(lines[0] ?? '', /not taken over.*mapping.*a function of the application/)
    await visit(sessions, visitor, (session) => void (session.data['cart'] = 'milk'))
    assert.equal((await visit(sessions, visitor)).data['cart'], 'milk')
    assert.equal(await redis.client.get(key), '{"cookie":{"path":"/"},"cart":"tea"}')
    await sessions.close()
  })

  test('functions of the application that answer later: nothing is taken over or written in their name, and it is said why', async () => {
    const lines: string[] = []
    const logger = { ...quiet, warn: (facts: object) => void lines.push(JSON.stringify(facts)) }
    const wrong: [Partial<ConnectRedisOptions>, RegExp][] = [
      [{ user: (async () => 'ada') as never, save: ({ data }) => data as object }, /user returned a promise/],
      [{ data: async () => ({ cart: 'tea' }), save: ({ data }) => data as object }, /data returned a promise/],
      [{ data: () => new Map([['cart', 'tea']]), save: ({ data }) => data as object }, /data returned no plain object/],
    ]
    for (const [options, message] of wrong) {
      const { sessions, visitor } = await begin(options, { logger })
      assert.equal((await visit(sessions, visitor)).isNew, true)
      assert.equal(sessions.stats().events['notMoved'], 1)
      assert.match(lines.at(-1) ?? '', message)
      await sessions.close()
    }
    const { sessions, visitor, key } = await begin({ save: async ({ data }) => data as object }, { logger })
    await visit(sessions, visitor, (session) => void (session.data['cart'] = 'milk'))
    assert.equal(await redis.client.get(key), '{"cookie":{"path":"/"},"cart":"tea"}')
    assert.match(lines.at(-1) ?? '', /save returned a promise/)
    await sessions.close()
  })

  test('the old cookie is set and cleared with the attributes that it has there', async () => {
    const cookieOptions = { secure: true, sameSite: 'none', partitioned: true, priority: 'high' } as const
    const { sessions } = await begin({ cookieOptions })
    const cookies = new Map<string, string>()
    const first = await sessions.open({ headers: {} })
    first.data['cart'] = 'tea'
    const set = await sessions.commit(first)
    assert.match(oldCookieIn(set), /; Secure; Partitioned; Priority=High; SameSite=None$/)
    const id = readSignedId(oldCookieIn(set).split(';')[0] ?? '', format)
    const { cookie } = JSON.parse(String(await redis.client.get(`sess:${id}`))) as { cookie: Data }
    assert.deepEqual([cookie['partitioned'], cookie['priority'], cookie['sameSite']], [true, 'high', 'none'])
    for (const [name, line] of set)
      if (name === 'set-cookie') cookies.set(...(line.split(/[=;]/, 2) as [string, string]))
    const again = await sessions.open({ headers: { cookie: [...cookies].map((pair) => pair.join('=')).join('; ') } })
    await again.logout()
    assert.match(
      oldCookieIn(await sessions.commit(again)),
      /^connect.sid=; Max-Age=0;.*; Secure; Partitioned;.* SameSite=None$/,
    )
    await sessions.close()
  })

  test('a stored cookie part that makes no cookie fails no request', async () => {
    const parts = [{ path: '/;' }, { domain: 'a b' }, { originalMaxAge: 1e300 }, { sameSite: 'Lax', priority: 'most' }]
    for (const part of parts) {
      const { sessions, visitor, key } = await begin()
      await redis.client.set(key, JSON.stringify({ cookie: part, cart: 'tea' }), { EX: 1000 })
      await visit(sessions, visitor, (session) => void (session.data['cart'] = 'milk'))
      visitor.delete('connect.sid')
      assert.equal((await visit(sessions, visitor)).data['cart'], 'milk')
      assert.match(visitor.get('connect.sid') ?? '', /^s%3Aold-/, 'the lost cookie is given again')
      assert.equal((JSON.parse(String(await redis.client.get(key))) as Data)['cart'], 'milk')
      await sessions.close()
    }
  })

  test('what JSON cannot keep stays here, and is not undone by what an old server writes', async () => {
    const { sessions, visitor, key } = await begin()
    const since = new Date(0)
    await visit(sessions, visitor, (session) => void Object.assign(session.data, { big: 7n, since, set: new Set([1]) }))
    const old = JSON.parse(String(await redis.client.get(key))) as Data
    assert.deepEqual([old['big'], old['since'], old['cart']], [undefined, since.toJSON(), 'tea'])
    await redis.client.set(key, JSON.stringify({ ...old, cart: 'milk' }), { EX: 100 })
    const { data } = await visit(sessions, visitor)
    assert.deepEqual({ ...data }, { cart: 'milk', big: 7n, since, set: new Set([1]) })
    await sessions.close()
  })

  test('bad options are refused at once, with what to do', () => {
    const made = { secret: OLD_SECRET }
    const cases: [() => unknown, RegExp][] = [
      [() => connectRedis({ secret: undefined }), /connectRedis: secret .* environment variable/],
      [() => connectRedis({ secret: [] }), /secret/],
      [() => connectRedis(undefined as never), /connectRedis needs options/],
      [() => fastifySession(null as never), /fastifySession needs options/],
      [() => connectRedis({ ...made, cookie: { maxAge: 1 } as never }), /cookie is the name.*cookieOptions/],
      [() => connectRedis({ ...made, cookieOptions: { maxAge: '1d' as never } }), /cookieOptions is the cookie option/],
      [() => connectRedis({ ...made, cookieOptions: { maxAge: 1e300 } }), /cookieOptions makes no cookie/],
      [() => connectRedis({ ...made, cookieOptions: { domain: 'a b' } }), /cookieOptions makes no cookie.*domain/],
      [
        () => connectRedis({ ...made, cookieOptions: { secure: 'auto' as never } }),
        /secure is true or false; .*'auto'/,
      ],
      [() => connectRedis({ ...made, cookieOptions: { sameSite: 'auto' as never } }), /sameSite is true, false, 'lax'/],
      [
        () => connectRedis({ ...made, cookieOptions: { priority: 1 as never } }),
        /priority is 'low', 'medium' or 'high'/,
      ],
      [() => connectRedis({ ...made, cookieOptions: { httpOnly: 1 as never } }), /httpOnly is true or false/],
      [() => connectRedis({ ...made, cookieOptions: { signed: true } as never }), /no option "signed"; .*leave it out/],
      [() => connectRedis({ ...made, cookieOptions: (() => ({})) as never }), /cookieOptions is the cookie option/],
      [() => connectRedis({ ...made, ttl: Infinity }), /ttl is a number of seconds/],
      [() => connectRedis({ ...made, serializer: {} as never }), /serializer has parse/],
      [() => connectRedis({ ...made, user: 'userId' as never }), /user is a function: \(old\) => old\.userId/],
      [() => connectRedis({ ...made, write: 'both', data: () => ({}), save: true as never }), /save is a function/],
      [() => connectRedis({ ...made, cookie: 'a b' }), /connectRedis: cookie: "a b" is not a cookie name/],
      [() => connectRedis({ ...made, prefix: 7 as never }), /prefix is text/],
      [() => connectRedis({ ...made, ttl: 0 }), /ttl is a number of seconds/],
      [() => connectRedis({ ...made, write: 'old' as never }), /write is 'new' or 'both'/],
      [() => connectRedis({ ...made, write: 'both', user: () => 'x' }), /with write: 'both' give save/],
      [() => connectRedis({ ...made, cookieName: 'x' } as never), /no option "cookieName"; its options are secret/],
      [() => fastifySession({ ...made, algorithm: 'sha0' }), /Node has no hash sha0/],
      [() => fastifySession({ ...made, cookiePrefix: 1 as never }), /cookiePrefix is text/],
      [() => redisStore({ url: redis.url, migrateFrom: made as never }), /migrateFrom is connectRedis/],
    ]
    for (const [make, message] of cases) assert.throws(make, { name: 'TypeError', message })
    const secret = createSecret()
    const store = redisStore({ url: redis.url, migrateFrom: connectRedis({ ...made, cookie: 'sid' }) })
    assert.throws(() => createSessions({ store, secret, cookie: { name: 'sid' } }), /give cookie.name another/)
    assert.throws(() => createSessions({ store, secret, carrier: 'bearer' }), /migrateFrom reads cookies/)
    assert.ok(createSessions({ store: memoryStore(), secret }))
  })
})
