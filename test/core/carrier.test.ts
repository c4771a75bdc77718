import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { parseSetCookie } from 'cookie'
import type { HeaderLine, Sessions } from '../../src/core/index.ts'
import type { SessionsOptions } from '../../src/core/policy.ts'
import { Client, createFleet, createVisitor, type Data, secret } from './fleet.ts'

/** A client of an API: sends back what it was last given. */
class ApiClient {
  readonly headers: Record<string, string> = {}
  readonly answers: HeaderLine[][] = []

  async visit<T>(
    sessions: Sessions<Data>,
    handle: (session: Awaited<ReturnType<typeof sessions.open>>) => T,
  ): Promise<T> {
    const session = await sessions.open({ headers: this.headers })
    const result = await handle(session)
    const lines = await sessions.commit(session)
    this.answers.push(lines)
    for (const [name, value] of lines) if (value === '') delete this.headers[name]; else if (name !== 'cache-control') this.headers[name] = value // prettier-ignore
    return result
  }
}

async function isNew(sessions: Sessions<Data>, headers: object): Promise<boolean> {
  return (await sessions.open({ headers: { ...headers } })).isNew
}

/** The lifetimes of the cookies of a creation, of a change 10 minutes later, and of a login then. */
async function maxAges(options: Partial<SessionsOptions<Data>>): Promise<(number | undefined)[]> {
  const { sessions, clock } = createFleet(options)
  const session = await sessions.open({ headers: {} })
  session.data.n = 1
  const lines = await sessions.commit(session)
  const client = new Client()
  client.take(lines)
  clock.advance('10m')
  const later = await sessions.open(client.request)
  later.data.n = 2
  lines.push(...(await sessions.commit(later)))
  const login = await sessions.open(client.request)
  await login.login('ann')
  lines.push(...(await sessions.commit(login)).slice(0, 1))
  return lines.filter(([name]) => name === 'set-cookie').map(([, line]) => parseSetCookie(line).maxAge)
}

suite('a header for a carrier', () => {
  for (const [carrier, token, hint] of [
    ['bearer', 'authorization', 'x-session-v'],
    [{ header: 'X-Session' }, 'x-session', 'x-session-v'],
  ] as const) {
    test(`${token} brings the token, its client sends it back, and a logout takes it away`, async () => {
      const { sessions, eventNames } = createFleet({ carrier })
      const client = new ApiClient()
      await client.visit(sessions, ({ data }) => void (data.n = 1))
      assert.deepEqual(Object.keys(client.headers), [token, hint])
      assert.deepEqual(
        client.answers[0]?.map(([name]) => name),
        [token, 'cache-control', hint],
      )
      await client.visit(sessions, (session) => session.login('ann'))
      assert.equal(await client.visit(sessions, ({ user, data }) => `${user} ${data.n}`), 'ann 1')
      assert.deepEqual(client.answers.at(-1), [])
      await client.visit(sessions, (session) => session.logout())
      assert.deepEqual(client.headers, {})
      assert.deepEqual(eventNames(), ['created', 'login', 'ended'])
    })
  }

  test('neither opens a cookie, nor does a cookie open what a header holds', async () => {
    const cookies = createFleet()
    const bearer = createFleet({ carrier: 'bearer' }, 1, cookies)
    const browser = await createVisitor(cookies.sessions)
    const api = new ApiClient()
    await api.visit(bearer.sessions, ({ data }) => void (data.n = 2))
    const token = api.headers['authorization']?.slice('Bearer '.length) ?? ''
    assert.equal(await isNew(bearer.sessions, browser.request.headers), true)
    assert.equal(await isNew(bearer.sessions, { authorization: `Bearer ${browser.token}` }), true)
    assert.equal(await isNew(cookies.sessions, { cookie: `__Host-sid=${token}` }), true)
    assert.equal(await isNew(bearer.sessions, { ...api.headers, ...browser.request.headers }), false)
  })

  test('nothing rotates by itself: several clients of one token are no thieves', async () => {
    const fleet = createFleet({ carrier: 'bearer', secret: [secret, secret.toUpperCase()], idleTimeout: '12h' })
    const young = createFleet(
      { carrier: 'bearer', secret: [secret.toUpperCase(), secret], idleTimeout: '12h' },
      1,
      fleet,
    )
    const client = new ApiClient()
    await client.visit(fleet.sessions, ({ data }) => void (data.n = 1))
    fleet.clock.advance('11h')
    await client.visit(young.sessions, ({ data }) => assert.equal(data.n, 1))
    assert(!client.answers.at(-1)?.some(([name]) => name === 'authorization'))
  })

  test('with rotateEvery, or with cookie options that would go unheard, is a TypeError at start', () => {
    const wrong: [Partial<SessionsOptions<Data>>, RegExp][] = [
      [{ carrier: 'bearer', rotateEvery: '15m' }, /rotateEvery needs the cookie/],
      [{ carrier: { header: 'x-session' }, cookie: { secure: false } }, /no cookie/],
      [{ carrier: 'token' as 'bearer' }, /carrier is/],
    ]
    for (const [options, message] of wrong) {
      assert.throws(() => createFleet(options), { name: 'TypeError', message })
    }
    createFleet({ carrier: 'cookie', rotateEvery: '15m', cookie: { secure: false } })
  })
})

suite('what carries a token is kept by no cache', () => {
  test('no-store comes with a token and with its removal, and not with a hint alone', async () => {
    const { sessions } = createFleet()
    const answer = async (
      client: Client,
      handle: (session: Awaited<ReturnType<typeof sessions.open>>) => unknown,
    ): Promise<string[]> => {
      // prettier-ignore
      const session = await sessions.open(client.request)
      await handle(session)
      const lines = await sessions.commit(session)
      client.take(lines)
      return lines.map(([name, value]) => (name === 'set-cookie' ? (value.split('=')[0] ?? '') : `${name}: ${value}`))
    }
    const client = new Client()
    const noStore = 'cache-control: no-store'
    assert.deepEqual(await answer(client, ({ data }) => (data.n = 1)), ['__Host-sid', noStore, '__Host-sid-v'])
    assert.deepEqual(await answer(client, ({ data }) => (data.n = 2)), ['__Host-sid-v'])
    assert.deepEqual(await answer(client, (session) => session.login('ann')), ['__Host-sid', noStore, '__Host-sid-v'])
    assert.deepEqual(await answer(client, (session) => session.logout()), ['__Host-sid', '__Host-sid-v', noStore])
  })
})

suite('several sessions side by side', () => {
  test('under different names in one request know nothing of each other', async () => {
    const shop = createFleet()
    const admin = createFleet({ cookie: { name: '__Host-admin' } }, 1, shop)
    const client = await createVisitor(shop.sessions)
    await client.visit(admin.sessions, (session) => session.login('root'))
    assert.deepEqual([...client.cookies.keys()], ['__Host-sid', '__Host-sid-v', '__Host-admin', '__Host-admin-v'])
    assert.equal(await client.visit(shop.sessions, ({ user }) => user), null)
    assert.equal(await client.visit(admin.sessions, ({ user }) => user), 'root')
    const swapped = new Client()
    swapped.cookies.set('__Host-admin', client.token ?? '')
    assert.equal((await admin.sessions.open(swapped.request)).isNew, true)
    await client.visit(admin.sessions, (session) => session.logout())
    assert.equal(await client.visit(shop.sessions, ({ data }) => data.n), 1)
  })
})

suite('a persistent cookie', () => {
  test('lives until the absolute end, counted from the login, and 400 days at most', async () => {
    const hour = 3600
    assert.deepEqual(await maxAges({ absoluteTimeout: '1h' }), [undefined, undefined, undefined, undefined])
    const cookie = { persistent: true }
    assert.deepEqual(await maxAges({ absoluteTimeout: '1h', cookie }), [hour, hour, hour - 600, hour])
    assert.equal((await maxAges({ absoluteTimeout: Infinity, cookie }))[0], 400 * 24 * hour)
  })
})
