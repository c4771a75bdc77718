import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { parseSetCookie } from 'cookie'
import { fastifySecureSession, ironSession } from '../../../src/stores/cookie/index.ts'
import { memoryStore } from '../../../src/stores/memory/index.ts'
import { Client, makeSessions, noise } from './support.ts'

/** Written by iron-session 9.0.1, whose format 8 has too. */
interface IronVectors {
  seals: { name: string; password: string | Record<string, string>; at: number; data: object; seal: string }[]
  cookies: { name: string; setCookie: string[] }[]
  oddities: { name: string; password: string | Record<string, string>; at?: number; seal: string; result: unknown }[]
}
/** Written by @fastify/secure-session 8.4.0. */
interface SecureVectors {
  secureSession: {
    name: string
    key?: string | string[]
    secret?: string
    salt?: string
    data: object
    at: number
    setCookie: string
  }[]
}

const iron = JSON.parse(
  readFileSync(new URL('../../vectors/iron-session/vectors.json', import.meta.url), 'utf8'),
) as IronVectors
const secure = JSON.parse(
  readFileSync(new URL('../../vectors/secure-session/vectors.json', import.meta.url), 'utf8'),
) as SecureVectors

const PASSWORD = 'complex_password_at_least_32_characters_long'
const MADE_AT = iron.seals[0]?.at ?? 0

suite('sessions of iron-session', () => {
  for (const { name, password, at, data, seal } of iron.seals) {
    test(`reads a seal: ${name}`, () => {
      const source = ironSession({ password, cookieName: 'iron' })
      assert.deepEqual(source.read({ iron: seal }, at), data)
      assert.equal(source.read({ iron: `x${seal}` }, at), undefined)
      assert.equal(source.read({ other: seal }, at), undefined)
    })
  }

  for (const { name, setCookie } of iron.cookies) {
    test(`reads a cookie as it was set: ${name}`, () => {
      const cookies = Object.fromEntries(
        setCookie.map((line) => parseSetCookie(line)).map((each) => [each.name, each.value]),
      )
      const source = ironSession({ password: PASSWORD, cookieName: 'iron' })
      assert(source.read(cookies, MADE_AT + 1_000))
      assert.deepEqual(source.namesIn(cookies), Object.keys(cookies))
      if (setCookie.length > 1) assert.equal(source.read({ ...cookies, 'iron.1': undefined }, MADE_AT), undefined)
    })
  }

  for (const { name, password, at = MADE_AT + 1_000, seal, result } of iron.oddities) {
    test(`does what iron-session does with: ${name}`, () => {
      const isSession = typeof result === 'object' && !Array.isArray(result) && Object.keys(result ?? {}).length > 0
      const read = ironSession({ password, cookieName: 'iron' }).read({ iron: seal }, at)
      assert.deepEqual(read, isSession ? result : undefined)
    })
  }
})

suite('sessions of @fastify/secure-session', () => {
  for (const { name, key, secret, salt, data, at, setCookie } of secure.secureSession) {
    test(`reads a cookie: ${name}`, () => {
      const { name: cookieName, value = '' } = parseSetCookie(setCookie)
      const source = fastifySecureSession({ key, secret, salt, cookieName })
      assert.deepEqual(source.read({ [cookieName]: value }, at), data)
      assert.equal(source.read({ [cookieName]: value }, at + 86_402_000), undefined, 'a day later')
      for (const wrong of ['', ';', value.slice(1), value.replace(';', ''), `${value};x`, `A${value.slice(1)}`]) {
        if (wrong !== value) assert.equal(source.read({ [cookieName]: wrong }, at), undefined, wrong)
      }
    })
  }

  test('a wrong key opens nothing; one of another length is refused at start', () => {
    const [first] = secure.secureSession
    const { name, value } = parseSetCookie(first?.setCookie ?? '')
    assert.equal(
      fastifySecureSession({ key: Buffer.alloc(32), cookieName: name }).read({ [name]: value }, first?.at ?? 0),
      undefined,
    )
    for (const key of [undefined, [], 'short', Buffer.alloc(31)]) {
      assert.throws(() => fastifySecureSession({ key }), { name: 'TypeError', message: /32 bytes/ })
    }
  })
})

suite('moving in', () => {
  const [vector] = iron.seals
  const seal = vector?.seal ?? ''
  const clock = { time: MADE_AT + 1_000, now: () => clock.time }
  const migrateFrom = [
    fastifySecureSession({ key: '07'.repeat(32), cookieName: 'session' }),
    ironSession({
      password: PASSWORD,
      cookieName: 'iron',
      user: (data: { user?: { id: number } }) => String(data.user?.id),
    }),
  ]

  test('the old session is taken over with its user, sealed anew, and its cookie cleared; once', async () => {
    const { sessions, events } = makeSessions({ migrateFrom, revocations: memoryStore() }, {}, clock)
    const client = new Client()
    client.cookies.set('iron', seal)
    const seen: unknown[] = []
    await client.visit(sessions, (s) => seen.push(s.isNew, s.user, { ...s.data }))
    assert.deepEqual(seen, [false, '230', { user: { id: 230 } }])
    assert.deepEqual([...client.cookies.keys()], ['__Host-sid', '__Host-sid-d'])
    assert.deepEqual((await client.look(sessions)).data, { user: { id: 230 } })
    assert.deepEqual(
      events.map(([name]) => name),
      ['created', 'login'],
    )
    await sessions.revokeUser('230')
    assert.equal((await client.look(sessions)).isNew, true)
    await sessions.close()
  })

  test('an old cookie beside one of ours is only cleared, at the next change', async () => {
    const { sessions } = makeSessions({ migrateFrom }, {}, clock)
    const client = new Client()
    await client.visit(sessions, (s) => void (s.data['a'] = 1))
    client.cookies.set('iron', seal)
    assert.deepEqual((await client.look(sessions)).data, { a: 1 })
    await client.visit(sessions, (s) => void (s.data['a'] = 2))
    assert.deepEqual([...client.cookies.keys()], ['__Host-sid', '__Host-sid-d'])
  })

  test('a forged old cookie is no session and sets nothing', async () => {
    const { sessions } = makeSessions({ migrateFrom }, {}, clock)
    for (const value of [`${seal.slice(0, -10)}AAAAAAAA~2`, 'Fe26.2*', '*'.repeat(5_000), '~', noise(3_000)]) {
      const client = new Client()
      client.cookies.set('iron', value)
      assert.deepEqual(await client.visit(sessions), [])
    }
  })

  test('an old session that does not fit is dropped, and fails no request of its client', async () => {
    const large = { ...ironSession({ password: PASSWORD, cookieName: 'iron' }), read: () => ({ blob: noise(5_000) }) }
    const { sessions, events } = makeSessions({ migrateFrom: large }, {}, clock)
    const client = new Client()
    client.cookies.set('iron', seal)
    assert.equal((await client.look(sessions)).isNew, true)
    assert.deepEqual(
      events.map(([name]) => name),
      ['changeDropped'],
    )
  })

  test('an old user that can be none here is nobody, and the data stays', async () => {
    for (const user of ['', 'x'.repeat(257), '\ud800']) {
      const source = ironSession({ password: PASSWORD, cookieName: 'iron', user: () => user })
      const { sessions } = makeSessions({ migrateFrom: source }, {}, clock)
      const client = new Client()
      client.cookies.set('iron', seal)
      await client.visit(sessions)
      assert.deepEqual(await client.look(sessions), { isNew: false, user: null, data: { user: { id: 230 } } })
    }
  })

  test('an old cookie with the name of ours is refused at start', () => {
    const source = ironSession({ password: PASSWORD, cookieName: 'sid' })
    const make = (): unknown => makeSessions({ migrateFrom: source }, { cookie: { name: 'sid' } })
    assert.throws(make, { name: 'TypeError', message: /give cookie.name another/ })
    for (const options of [{ cookieName: 'x' }, { password: PASSWORD }, { password: {}, cookieName: 'x' }]) {
      assert.throws(() => ironSession(options as never), { name: 'TypeError', message: /^ironSession/ })
    }
  })
})
