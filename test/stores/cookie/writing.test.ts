import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { memoryStore } from '../../../src/stores/memory/index.ts'
import { Client, type MadeSessions, makeSessions, noise } from './support.ts'

const MINUTE = 60_000

suite('when a sealed session is written', () => {
  test('a visitor whose session holds nothing gets no cookie, and a read sets none', async () => {
    const { sessions } = makeSessions()
    const client = new Client()
    assert.deepEqual(await client.visit(sessions, (s) => s.data), [])
    await client.visit(sessions, (s) => void (s.data['a'] = { b: 1 }))
    assert.deepEqual(await client.visit(sessions, (s) => s.data['a']), [])
  })

  test('it is sealed again where something changed, nested changes too, without its token', async () => {
    const { sessions } = makeSessions()
    const client = new Client()
    await client.visit(sessions, (s) => void (s.data['list'] = [1]))
    const lines = await client.visit(sessions, (s) => void (s.data['list'] as number[]).push(2))
    assert.deepEqual(
      lines.map((line) => line.slice(0, line.indexOf('='))),
      ['__Host-sid-d'],
    )
    assert.deepEqual(await client.visit(sessions, (s) => void (s.data['list'] = [1, 2])), [])
    await client.visit(sessions, (s) => s.update('n', (n) => Number(n ?? 0) + 1))
    await client.visit(sessions, (s) => void delete s.data['list'])
    assert.deepEqual((await client.look(sessions)).data, { n: 1 })
  })

  test('a read moves the idle end once in a twentieth of the idle timeout, and never the absolute one', async () => {
    const { sessions, clock } = makeSessions({}, { idleTimeout: '20m', absoluteTimeout: '1h' })
    const client = new Client()
    await client.visit(sessions, (s) => s.login('ada'))
    clock.time += MINUTE - 1
    assert.deepEqual(await client.visit(sessions), [])
    for (let minutes = 1; minutes < 60; minutes += 15) {
      assert.equal((await client.look(sessions)).user, 'ada', `after ${minutes} minutes`)
      assert.equal((await client.visit(sessions)).length, minutes === 1 ? 0 : 1)
      clock.time += 15 * MINUTE
    }
    assert.equal((await client.look(sessions)).isNew, true, 'after an hour in use')
  })

  test('a policy with shorter timeouts holds at once, and one with longer ones revives nothing', async () => {
    const { sessions, clock } = makeSessions({}, { idleTimeout: '20m' })
    const client = new Client()
    await client.visit(sessions, (s) => s.login('ada'))
    clock.time += 10 * MINUTE
    assert.equal((await client.look(makeSessions({}, { idleTimeout: '5m' }, clock).sessions)).isNew, true)
    assert.equal((await client.look(makeSessions({}, { absoluteTimeout: '5m' }, clock).sessions)).isNew, true)
    clock.time += 11 * MINUTE
    assert.equal((await client.look(makeSessions({}, { idleTimeout: '2h' }, clock).sessions)).isNew, true)
  })

  test('after the response has begun a change is refused, since nothing can carry it', async () => {
    const { sessions, events } = makeSessions()
    const client = new Client()
    await client.visit(sessions, (s) => void (s.data['a'] = 1))
    const session = await sessions.open({ headers: { cookie: client.header } })
    await sessions.commit(session)
    const late = { code: 'headers_sent', status: 500, message: /travels with its client/ }
    await assert.rejects(
      session.update('a', () => 2),
      late,
    )
    session.data['a'] = 3
    await assert.rejects(session.save(), late)
    sessions.finish(session)
    assert.deepEqual(events.filter(([name]) => name === 'lateChange').length, 1)
  })

  test('outside a request: nothing to get, update and revoke are refused as unsupported', async () => {
    const { sessions } = makeSessions()
    const unsupported = { code: 'unsupported', status: 501 }
    assert.equal(await sessions.get('key'), undefined)
    await assert.rejects(
      sessions.update('key', 'n', () => 1),
      unsupported,
    )
    await assert.rejects(sessions.revoke('key'), { ...unsupported, message: /revocations/ })
    await assert.rejects(sessions.revokeUser('ada'), unsupported)
    await assert.rejects(sessions.revokeAll(), unsupported)
    assert.equal((await sessions.health()).ok, true)
  })

  test('what it cannot do is refused at start: rotation without revocations, and a header as the carrier', () => {
    const wrong = [
      [{ rotateEvery: '15m' }, /give cookieStore its revocations/],
      [{ carrier: 'bearer' }, /travels in cookies/],
    ] as const
    for (const [options, message] of wrong) {
      assert.throws(() => makeSessions({}, options), { name: 'TypeError', message })
    }
    makeSessions({ revocations: memoryStore() }, { rotateEvery: '15m' })
  })

  test('secrets roll in three steps and nobody is logged out, with revocations and without', async () => {
    const [old, next] = [noise(43), noise(43)]
    for (const store of [{}, { revocations: memoryStore() }]) {
      const clock: MadeSessions['clock'] = { time: 1_795_000_000_000, now: () => clock.time }
      const client = new Client()
      for (const secret of [[old], [old, next], [next, old], [next]]) {
        const { sessions } = makeSessions(store, { secret }, clock)
        if (client.cookies.size === 0) await client.visit(sessions, (s) => s.login('ada'))
        for (let visits = 0; visits < 4; visits++) {
          clock.time += 20 * MINUTE
          await client.visit(sessions)
        }
        assert.equal((await client.look(sessions)).user, 'ada', `${secret.indexOf(old)} of ${secret.length}`)
        assert.deepEqual(await client.visit(sessions), [], 'what is signed by the first is left alone')
        await sessions.close()
      }
    }
  })

  test('no cache may keep an answer that carries a session', async () => {
    const { sessions } = makeSessions()
    const session = await sessions.open({ headers: {} })
    session.data['a'] = 1
    const headers = await sessions.commit(session)
    assert.deepEqual(
      headers.find(([name]) => name === 'cache-control'),
      ['cache-control', 'no-store'],
    )
  })

  test('with revocations revoke() tells whether the session had not ended before', async () => {
    const { sessions, events } = makeSessions({ revocations: memoryStore() })
    const client = new Client()
    await client.visit(sessions, (s) => s.login('ada'))
    const { key } = await sessions.open({ headers: { cookie: client.header } })
    assert.deepEqual([await sessions.revoke(key), await sessions.revoke(key)], [true, false])
    for (const text of ['x'.repeat(100_000), `${key} x`]) assert.equal(await sessions.revoke(text), false)
    await assert.rejects(sessions.revoke(''), TypeError)
    assert.equal((await client.look(sessions)).isNew, true)
    assert.deepEqual(
      events.map(([name]) => name),
      ['created', 'login', 'ended'],
    )
    await sessions.close()
  })

  test('nothing is asked of the store of revocations by requests that only read and write', async () => {
    const calls: string[] = []
    const memory = memoryStore()
    const revocations = {
      ...memory,
      open: (context: Parameters<typeof memory.open>[0]) =>
        new Proxy(memory.open(context), {
          get(store, name) {
            const value: unknown = Reflect.get(store, name)
            if (typeof value !== 'function') return value
            return (...args: unknown[]) => {
              calls.push(String(name))
              return Reflect.apply(value, store, args) as unknown
            }
          },
        }),
    }
    const { sessions } = makeSessions({ revocations, lease: '1s' })
    const client = new Client()
    await client.visit(sessions, (s) => s.login('ada'))
    calls.length = 0
    for (let n = 0; n < 20; n++) await client.visit(sessions, (s) => void (s.data['n'] = n))
    assert.deepEqual(new Set(calls.filter((name) => name !== 'read')), new Set(), 'but for the poll')
    await sessions.close()
  })
})
