import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { suite, test } from 'node:test'
import { withSession } from '../../../src/adapters/node.ts'
import { memoryStore } from '../../../src/stores/memory/index.ts'
import { portOf } from '../../support/ports.ts'
import { fuzz } from '../../fuzz/fuzz.ts'
import { createCookieTarget, createForge } from './mutations.ts'
import { Client, makeSessions, noise } from './support.ts'

suite('forged cookies', () => {
  test('10,000 mutations of real cookies: no exception, no session, no line in the log', async () => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    const { counts, failure } = await fuzz(await createCookieTarget(), seed, 10_000)
    console.log(`seed ${seed} (SEED=${seed} runs it again): ${JSON.stringify(Object.fromEntries(counts))}`)
    assert.deepEqual(failure, undefined, `npm run fuzz -- --target cookie --runs 1 --seed ${failure?.seed}`)
    assert((counts.get('refused') ?? 0) > 8_000)
  })

  test('every cookie of the forge does what it stands for, so that its mutations mean something', async () => {
    const { sessions, live, dead, events } = await createForge()
    const headerOf = (pairs: (typeof live)[number]): string =>
      pairs.map(([name, value]) => `${name}=${value}`).join('; ')
    for (const pairs of live) assert.equal((await sessions.open({ headers: { cookie: headerOf(pairs) } })).isNew, false)
    events.length = 0
    for (const pairs of dead) assert.equal((await sessions.open({ headers: { cookie: headerOf(pairs) } })).isNew, true)
    const refused = events.filter(([name]) => name === 'tokenRefused')
    assert.deepEqual([dead.length - refused.length, events.length - refused.length], [3, 1]) // expired, ended, superseded
    await sessions.close()
  })

  test('a field named __proto__ is a field, and reaches no prototype', async () => {
    const { sessions } = makeSessions()
    const client = new Client()
    await client.visit(
      sessions,
      (s) =>
        void Object.defineProperty(s.data, '__proto__', {
          value: { evil: 1 },
          enumerable: true,
          configurable: true,
          writable: true,
        }),
    )
    const { isNew, data } = await client.look(sessions)
    assert.equal(isNew, false)
    assert.equal(Object.getPrototypeOf(data), Object.prototype)
    assert.equal(Reflect.get({}, 'evil'), undefined)
  })

  test('whatever is refused is answered alike: status, headers and body', async () => {
    const { sessions, live, dead } = await createForge()
    const server = createServer(
      withSession(sessions, (request, response) => {
        const { isNew, user, data } = sessions.of(request)
        response.setHeader('content-type', 'application/json')
        response.end(JSON.stringify({ isNew, user, data }))
      }),
    ).listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const answers = new Set<string>()
      const some = live[2] ?? []
      const broken = [
        some.slice(1),
        some.slice(0, 1),
        some.slice(0, 2),
        some.map(([name, value]) => [name, `${value}x`] as const),
      ]
      for (const pairs of [[], ...dead, ...broken]) {
        const cookie = pairs.map(([name, value]) => `${name}=${value}`).join('; ')
        if (cookie.length > 15_000) continue // Node refuses such a header itself
        const response = await fetch(`http://127.0.0.1:${portOf(server)}/`, { headers: { cookie } })
        const headers = [...response.headers].filter(([name]) => name !== 'date')
        answers.add(JSON.stringify([response.status, headers, await response.text()]))
      }
      assert.deepEqual(
        [...answers].map((text) => (JSON.parse(text) as unknown[])[2]),
        ['{"isNew":true,"user":null,"data":{}}'],
      )
    } finally {
      server.close()
      server.closeAllConnections()
      await sessions.close()
    }
  })

  test('chunks of two sessions, or of two states of one, never open together', async () => {
    const { sessions } = makeSessions({ chunks: 3, revocations: memoryStore() })
    const client = new Client()
    await client.visit(sessions, (s) => void (s.data['noise'] = noise(8_000)))
    const stale = client.copy()
    await client.visit(sessions, (s) => void (s.data['noise'] = noise(8_000)))
    const other = new Client()
    await other.visit(sessions, (s) => void (s.data['noise'] = noise(8_000)))
    for (const source of [stale, other]) {
      for (const name of ['__Host-sid-d', '__Host-sid-d1', '__Host-sid-d2']) {
        const mixed = client.copy()
        mixed.cookies.set(name, source.cookies.get(name) ?? '')
        assert.equal((await mixed.look(sessions)).isNew, true, name)
      }
    }
    for (const name of client.cookies.keys()) {
      const missing = client.copy()
      missing.cookies.delete(name)
      assert.equal((await missing.look(sessions)).isNew, true, `without ${name}`)
    }
    const data = await client.look(sessions)
    const swapped = client.copy()
    swapped.cookies.set('__Host-sid-d1', client.cookies.get('__Host-sid-d2') ?? '')
    swapped.cookies.set('__Host-sid-d2', client.cookies.get('__Host-sid-d1') ?? '')
    assert.equal((await swapped.look(sessions)).isNew, true)
    assert.equal(data.isNew, false)
    await sessions.close()
  })

  test('what comes with a secret that this node does not know is not opened and not cleared', async () => {
    const next = noise(43)
    const client = new Client()
    await client.visit(makeSessions({}, { secret: next }).sessions, (s) => void (s.data['a'] = 1))
    const { sessions } = makeSessions()
    const before = client.header
    assert.deepEqual(await client.visit(sessions), [])
    assert.equal(client.header, before)
    const other = client.copy()
    await other.visit(sessions, (s) => void (s.data['b'] = 2)) // a session of its own
    assert.deepEqual((await other.look(sessions)).data, { b: 2 })
    const rolled = makeSessions({}, { secret: [noise(43), next] })
    assert.deepEqual((await client.look(rolled.sessions)).data, { a: 1 })
  })
})
