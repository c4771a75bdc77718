import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { suite, test, type TestContext } from 'node:test'
import express from 'express'
import Fastify from 'fastify'
import { WebSocketServer } from 'ws'
import { session as expressSession } from '../../src/adapters/express.ts'
import { session as fastifySession } from '../../src/adapters/fastify.ts'
import { sessionUpgrade, type UpgradeOptions } from '../../src/adapters/ws.ts'
import { StoreUnavailableError } from '../../src/core/index.ts'
import { createGateway } from '../../src/gateway/index.ts'
import { createTestSessions } from '../../src/testing/index.ts'
import { createTestStore } from './support/store.ts'
import { askByHand, connect, gone, NEVER, OFTEN, refusal, serveSockets, withCookies } from './support/sockets.ts'

const initial = (): { views: number; theme: string } => ({ views: 0, theme: 'light' })
const AS_HTTPS = { 'x-forwarded-proto': 'https' }

suite('an upgrade', () => {
  test('on node:http, Express and Fastify opens the session, beside requests of the same server', async (t) => {
    const sessions = createTestSessions({ initial })
    const { cookie } = await sessions.issue({ user: 'ada' })

    const app = express().use(expressSession(sessions))
    app.get('/', (req, res) => void res.json(sessions.of(req).user))
    const onExpress = app.listen(0, '127.0.0.1')
    await once(onExpress, 'listening')
    const fastify = Fastify({ forceCloseConnections: true })
    await fastify.register(fastifySession(sessions))
    fastify.get('/', async (request) => JSON.stringify(sessions.of(request).user))
    await fastify.listen({ port: 0, host: '127.0.0.1' })

    for (const server of [undefined, onExpress, fastify.server]) {
      const served = await serveSockets(t, sessions, { requireUser: true }, server)
      served.answer = (_, session) => session.user
      const { ask } = await connect(t, served.port, { cookie })
      assert.equal(await ask('who?'), 'ada')
      if (!server) continue
      const response = await fetch(`http://127.0.0.1:${served.port}/`, { headers: { cookie } })
      assert.equal(await response.json(), 'ada')
    }
  })

  test('through the gateway', async (t) => {
    const sessions = createTestSessions({ initial })
    const { cookie } = await sessions.issue({ user: 'ada' })
    const served = await serveSockets(t, sessions)
    const gateway = createGateway({ servers: [{ name: 'a', url: `http://127.0.0.1:${served.port}` }] })
    const { port } = new URL(await gateway.listen())
    t.after(() => gateway.close({ deadline: 0 }))
    assert.equal((await refusal(Number(port))).status, 401)
    const { ask, closed } = await connect(t, Number(port), { cookie, origin: `http://127.0.0.1:${port}` })
    assert.equal(await ask('hello'), 'hello')
    await sessions.close()
    assert.deepEqual(await closed, { code: 1001, reason: 'closed' })
  })

  test('reads the store once, and no more than that before it is answered', async (t) => {
    const store = createTestStore()
    const sessions = createTestSessions({ initial, store })
    const { cookie } = await sessions.issue({ user: 'ada' })
    const served = await serveSockets(t, sessions, { every: NEVER })
    store.calls.length = 0
    let before: string[] | undefined
    const [client] = await Promise.all([
      connect(t, served.port, { cookie }),
      once(served.server, 'upgrade').then(([request]) => void (request.socket.write = tap(request.socket))),
    ])
    assert.deepEqual(before, ['read'])
    assert.equal(await client.ask('hello'), 'hello')
    assert.deepEqual(store.calls, ['read', 'read'], 'the watch has asked once')

    function tap(socket: Socket): Socket['write'] {
      const write = socket.write.bind(socket) as (...args: unknown[]) => boolean
      return (...args: unknown[]) => {
        before ??= [...store.calls]
        return write(...args)
      }
    }
  })

  test('without a session, with a forged cookie or one that has ended is refused: 401', async (t) => {
    const store = createTestStore()
    const sessions = createTestSessions({ initial, store })
    const { cookie, key } = await sessions.issue({ user: 'ada' })
    const { port } = await serveSockets(t, sessions)
    store.calls.length = 0
    assert.equal((await refusal(port)).status, 401)
    const [name, token = ''] = (cookie.split('; ')[0] ?? '').split('=')
    const forged = `${name}=${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`
    assert.equal((await refusal(port, { cookie: forged })).status, 401)
    assert.deepEqual(store.calls, [], 'the store was not asked')
    await sessions.revoke(key)
    assert.deepEqual(await refusal(port, { cookie }), {
      status: 401,
      retryAfter: undefined,
      body: 'Unauthorized: no session\n',
    })
    assert.equal(sessions.stats().events['tokenRefused'], 1)
  })

  test('requireUser: refused with 401 where nobody is logged in; requireSession: false lets everybody in', async (t) => {
    const sessions = createTestSessions({ initial })
    const { cookie } = await sessions.issue({ data: { views: 1 } })
    const strict = await serveSockets(t, sessions, { requireUser: true })
    const { status, body } = await refusal(strict.port, { cookie })
    assert.deepEqual([status, body], [401, 'Unauthorized: nobody is logged in\n'])
    const open = await serveSockets(t, sessions, { requireSession: false })
    open.answer = async (_, session) => {
      assert.equal(session.isNew, true)
      await session.update('views', (views) => views + 1)
    }
    const { ask } = await connect(t, open.port)
    assert.equal(await ask('hello'), 'error headers_sent', 'nothing can be stored of whom no cookie can be given')
  })

  test('is refused with 503 and Retry-After while the store is away, and with 500 by a fault of the application', async (t) => {
    const store = createTestStore()
    const sessions = createTestSessions({ initial, store })
    const { cookie } = await sessions.issue({ user: 'ada' })
    const { port } = await serveSockets(t, sessions)
    store.before = () => {
      throw new StoreUnavailableError('cut off')
    }
    const away = await refusal(port, { cookie })
    assert.deepEqual(away, { status: 503, retryAfter: '1', body: 'Service Unavailable: store_unavailable\n' })
    store.before = undefined
    const faulty = await serveSockets(t, sessions, {
      origins: () => {
        throw new Error('a fault, as it should be printed')
      },
    })
    const print = t.mock.method(console, 'error', () => {})
    const { status, body } = await refusal(faulty.port, { cookie, origin: 'https://x.example' })
    assert.deepEqual([status, body, print.mock.callCount()], [500, 'Internal Server Error\n', 1])
    assert.equal(await (await connect(t, port, { cookie })).ask('hello'), 'hello')
  })

  test('to another path is refused: 400; what is no WebSocket is refused by ws', async (t) => {
    const sessions = createTestSessions({ initial })
    const { cookie } = await sessions.issue({ user: 'ada' })
    const { port } = await serveSockets(t, sessions)
    assert.equal((await refusal(port, { cookie, path: '/other' })).status, 400)
    const socket = askByHand(port, cookie, 'Sec-WebSocket-Version: 7')
    t.after(() => socket.destroy())
    const [answer] = (await once(socket, 'data')) as [Buffer]
    assert.match(answer.toString(), /^HTTP\/1.1 400 /)
  })

  test('of a client that resets while the store is asked harms nobody', async (t) => {
    const store = createTestStore()
    const sessions = createTestSessions({ initial, store })
    const { cookie } = await sessions.issue({ user: 'ada' })
    const { port, server } = await serveSockets(t, sessions)
    const asked = Promise.withResolvers<void>()
    const answered = Promise.withResolvers<void>()
    store.before = () => {
      asked.resolve()
      return answered.promise
    }
    const upgrading = once(server, 'upgrade')
    const socket = askByHand(port, cookie)
    const [, atServer] = (await upgrading) as [unknown, Socket]
    await asked.promise
    const closed = gone(atServer)
    socket.resetAndDestroy()
    await closed
    store.before = undefined
    answered.resolve()
    assert.equal(await (await connect(t, port, { cookie })).ask('hello'), 'hello')
  })
})

/** A server, and how it answers the pages of an origin. */
async function serveFor(t: TestContext, options: UpgradeOptions) {
  const store = createTestStore()
  const sessions = createTestSessions({ initial, store })
  const { cookie } = await sessions.issue({ user: 'ada' })
  const { port } = await serveSockets(t, sessions, options)
  store.calls.length = 0
  const statusOf = async (origin: string, headers: Record<string, string> = {}): Promise<number | undefined> => {
    try {
      const { client } = await connect(t, port, { cookie, origin, headers })
      client.terminate()
      return 101
    } catch {
      return (await refusal(port, { cookie, origin, headers })).status
    }
  }
  return { port, cookie, statusOf, calls: store.calls }
}

suite("an upgrade's Origin", () => {
  test('by default is that of Host; a foreign one is refused with 403, before the store is asked', async (t) => {
    const { port, cookie, statusOf, calls } = await serveFor(t, {})
    for (const origin of [
      'https://evil.example',
      'null',
      `http://127.0.0.1:${port}.evil.example`,
      'http://127.0.0.1',
    ]) {
      assert.equal(await statusOf(origin), 403, origin)
    }
    const both = { origin: `http://127.0.0.1:${port}`, headers: { host: 'shop.example' } }
    assert.equal((await refusal(port, { cookie, ...both })).status, 403)
    assert.deepEqual(calls, [])
    assert.equal(await statusOf(`http://127.0.0.1:${port}`), 101)
    assert.equal(await statusOf('https://shop.example', { host: 'SHOP.example' }), 101)
    assert.equal(await statusOf('https://shop.example', { host: 'shop.example:443' }), 101)
  })

  test('over TLS a page that came over plain http is foreign', async (t) => {
    const { port, statusOf } = await serveFor(t, {})
    assert.equal(await statusOf(`http://127.0.0.1:${port}`, AS_HTTPS), 403)
    assert.equal(await statusOf(`https://127.0.0.1:${port}`, AS_HTTPS), 101)
  })

  test('a list, or a function, says which are welcome, and nothing else does', async (t) => {
    const listed = await serveFor(t, { origins: ['https://shop.example', 'https://m.shop.example:8443'] })
    assert.equal(await listed.statusOf('https://shop.example'), 101)
    assert.equal(await listed.statusOf('https://m.shop.example:8443'), 101)
    assert.equal(await listed.statusOf('https://m.shop.example'), 403)
    assert.equal(await listed.statusOf(`http://127.0.0.1:${listed.port}`), 403)
    const judged = await serveFor(t, { origins: (origin, { headers }) => origin === headers['x-welcome'] })
    assert.equal(await judged.statusOf('https://a.example', { 'x-welcome': 'https://a.example' }), 101)
    assert.equal(await judged.statusOf('https://b.example', { 'x-welcome': 'https://a.example' }), 403)
  })

  test('of who sends none, and so is no browser, is not asked for', async (t) => {
    const { port, cookie } = await serveFor(t, { origins: ['https://shop.example'] })
    assert.equal(await (await connect(t, port, { cookie })).ask('hello'), 'hello')
  })
})

suite('the answer to an upgrade', () => {
  test('hands out the successor of a token that is due, and its first use makes nobody a thief', async (t) => {
    const sessions = createTestSessions({ initial, rotateEvery: '10m' })
    const issued = await sessions.issue({ user: 'ada' })
    const { port } = await serveSockets(t, sessions)
    sessions.clock.advance('11m')
    const first = await connect(t, port, { cookie: issued.cookie })
    assert.ok(first.cookies.some((line) => line.startsWith('__Host-sid=')))
    const next = withCookies(issued.cookie, first.cookies)
    const second = await connect(t, port, { cookie: next })
    assert.deepEqual(
      second.cookies.filter((line) => line.startsWith('__Host-sid=')),
      [],
    )
    // A client that drops the cookies of an upgrade, as programs do, comes with the old one until a request gives it again.
    const ignoring = await connect(t, port, { cookie: issued.cookie })
    assert.equal(await ignoring.ask('within the grace'), 'within the grace')
    assert.equal(await first.ask('opened by the token before'), 'opened by the token before')
    assert.equal(sessions.stats().events['stolen'], undefined)
  })

  test('that ws never sends loses a successor as a lost answer does, and the old token stays good', async (t) => {
    const sessions = createTestSessions({ initial, rotateEvery: '10m' })
    const { cookie } = await sessions.issue({ user: 'ada' })
    const { port } = await serveSockets(t, sessions)
    sessions.clock.advance('11m')
    const refused = askByHand(port, cookie, 'Sec-WebSocket-Version: 7')
    const [answer] = (await once(refused, 'data')) as [Buffer]
    refused.destroy()
    assert.match(answer.toString(), /^HTTP\/1.1 400 /)
    sessions.clock.advance('20m')
    const { cookies, ask } = await connect(t, port, { cookie })
    assert.ok(
      cookies.some((line) => line.startsWith('__Host-sid=')),
      'it is given again',
    )
    assert.equal(await ask('hello'), 'hello')
    assert.equal(sessions.stats().events['stolen'], undefined)
  })
})

suite('while a socket is open', () => {
  test('an incoming message is a use of the session; pings, pongs, what goes out and what isUse denies are none', async (t) => {
    const sessions = createTestSessions({ initial, idleTimeout: '20m' })
    const { cookie, key } = await sessions.issue({ user: 'ada' })
    const served = await serveSockets(t, sessions, { every: NEVER, isUse: (message) => String(message) !== 'beat' })
    const { client, ask } = await connect(t, served.port, { cookie })
    const seenAt = async (): Promise<number | undefined> => (await sessions.get(key))?.lastSeenAt.getTime()
    for (let round = 0; round < 30; round += 1) {
      const before = await seenAt()
      sessions.clock.advance('5m')
      const pong = once(client, 'pong')
      client.ping()
      client.pong()
      await pong
      assert.equal(await ask('beat'), 'beat')
      assert.equal(await seenAt(), before)
      await ask('use')
      await ask('use')
      assert.equal(await seenAt(), sessions.clock.now())
    }
    assert.equal(sessions.stats().storeCalls['apply'], 1 + 30)
  })

  test('its session can be read again, updated and saved; an assignment that nobody saves is told of, a login refused', async (t) => {
    const sessions = createTestSessions({ initial })
    const { cookie, key } = await sessions.issue({ user: 'ada' })
    const served = await serveSockets(t, sessions)
    served.answer = async (message, session) => {
      if (message === 'update') return session.update('views', (views) => views + 1)
      if (message === 'login') return session.login('bob')
      if (message === 'reload') await session.reload()
      else session.data.theme = message
      if (message === 'dark') await session.save()
      return session.data.theme
    }
    const { ask } = await connect(t, served.port, { cookie })
    await sessions.update(key, 'views', (views) => views + 10)
    assert.equal(await ask('update'), '11')
    assert.equal(await ask('dark'), 'dark')
    assert.equal((await sessions.get(key))?.data.theme, 'dark')
    await sessions.update(key, 'theme', () => 'red')
    assert.equal(await ask('reload'), 'red')
    assert.equal(await ask('login'), 'error headers_sent')
    const late = new Promise((resolve) => sessions.on('lateChange', resolve))
    assert.equal(await ask('blue'), 'blue')
    assert.deepEqual(await late, { key, fields: ['theme'] })
  })

  test('a broken frame, and a connection that is reset, end that socket and no process', async (t) => {
    const sessions = createTestSessions({ initial })
    const { cookie } = await sessions.issue({ user: 'ada' })
    const { port, clients } = await serveSockets(t, sessions)
    for (const harm of [
      (socket: Socket) => socket.write(Buffer.from('ffffffffff', 'hex')),
      (socket: Socket) => socket.resetAndDestroy(),
    ]) {
      const { client } = await connect(t, port, { cookie })
      const [atServer] = clients
      assert.ok(atServer)
      const closed = gone(atServer)
      harm((client as unknown as { _socket: Socket })._socket)
      await closed
    }
    assert.equal(await (await connect(t, port, { cookie })).ask('hello'), 'hello')
  })

  test('a listener of the application that throws is not silenced', async (t) => {
    const sessions = createTestSessions({ initial })
    const { cookie } = await sessions.issue({ user: 'ada' })
    const served = await serveSockets(t, sessions)
    const { client } = await connect(t, served.port, { cookie })
    const [atServer] = served.clients
    atServer?.removeAllListeners('message')
    atServer?.on('message', () => assert.fail('of the application'))
    assert.throws(() => atServer?.emit('message', Buffer.from('x'), false), /of the application/)
    client.terminate()
  })
})

suite('a socket whose session is over closes', () => {
  test('logout, revoke, a login and a theft: 4401, and the reason', async (t) => {
    const sessions = createTestSessions({ initial, rotateEvery: '10m' })
    const served = await serveSockets(t, sessions, { every: NEVER })
    served.answer = (message, session) => (message === 'logout' ? session.logout() : message)
    const open = async () => {
      const issued = await sessions.issue({ user: 'ada' })
      return { ...issued, ...(await connect(t, served.port, issued)) }
    }
    const [out, revoked, login, stolen] = [await open(), await open(), await open(), await open()]
    out.client.send('logout')
    assert.deepEqual(await out.closed, { code: 4401, reason: 'logout' })
    await sessions.revoke(revoked.key)
    assert.deepEqual(await revoked.closed, { code: 4401, reason: 'revoked' })
    await (await sessions.open({ headers: login.headers })).login('bob')
    assert.deepEqual(await login.closed, { code: 4401, reason: 'superseded' })

    sessions.clock.advance('11m')
    const lines = await sessions.commit(await sessions.open({ headers: stolen.headers }))
    const next = withCookies(
      stolen.cookie,
      lines.flatMap(([name, line]) => (name === 'set-cookie' ? [line] : [])),
    )
    await sessions.open({ headers: { cookie: next } })
    sessions.clock.advance('2m')
    await sessions.open({ headers: stolen.headers })
    assert.deepEqual(await stolen.closed, { code: 4401, reason: 'stolen' })
  })

  test('the idle timeout, without a word from anybody', async (t) => {
    const sessions = createTestSessions({ initial, idleTimeout: '20m' })
    const { cookie } = await sessions.issue({ user: 'ada' })
    const { port } = await serveSockets(t, sessions, { every: OFTEN })
    const { ask, closed } = await connect(t, port, { cookie })
    sessions.clock.advance('19m')
    assert.equal(await ask('use'), 'use')
    sessions.clock.advance('19m')
    assert.equal(await ask('use'), 'use')
    sessions.clock.advance('20m')
    assert.deepEqual(await closed, { code: 4401, reason: 'expired' })
  })

  test('no message that comes after the end reaches the application', async (t) => {
    const sessions = createTestSessions({ initial })
    const { cookie, key } = await sessions.issue({ user: 'ada' })
    const served = await serveSockets(t, sessions)
    const { client, ask, closed } = await connect(t, served.port, { cookie })
    await ask('before')
    const [atServer] = served.clients
    assert.ok(atServer)
    // The client's answer to the close, and with it what it sends before, is held until the end has happened.
    client.pause()
    await sessions.revoke(key)
    for (const message of ['after 1', 'after 2']) client.send(message)
    await new Promise((resolve) => client.ping(undefined, undefined, resolve))
    client.resume()
    assert.deepEqual(await closed, { code: 4401, reason: 'revoked' })
    assert.deepEqual(served.messages, ['before'])
  })

  test('200 sockets of one session: all, and the store is asked once for all', async (t) => {
    const store = createTestStore()
    const sessions = createTestSessions({ initial, store, idleTimeout: '20m' })
    const { cookie, key } = await sessions.issue({ user: 'ada' })
    const { port, clients } = await serveSockets(t, sessions, { every: OFTEN })
    const sockets = await Promise.all(Array.from({ length: 200 }, () => connect(t, port, { cookie })))
    assert.equal(clients.size, 200)
    let asking = 0
    let most = 0
    const asked = new Promise<void>((resolve) => {
      store.before = async (name) => {
        if (name !== 'read') return
        most = Math.max(most, ++asking)
        await new Promise(setImmediate)
        asking -= 1
        if (store.calls.length > 600) resolve()
      }
    })
    store.calls.length = 595
    await asked
    assert.equal(most, 1)
    const writes = store.calls.filter((name) => name === 'apply').length
    sessions.clock.advance('5m')
    await Promise.all(sockets.map(({ ask }) => ask('use')))
    assert.equal(store.calls.filter((name) => name === 'apply').length, writes + 1)
    await sessions.revoke(key)
    for (const { closed } of sockets) assert.deepEqual(await closed, { code: 4401, reason: 'revoked' })
  })

  test('the store goes away: sockets stay until the end that is known is over, and then close with 1013', async (t) => {
    const store = createTestStore()
    const sessions = createTestSessions({ initial, store, idleTimeout: '20m' })
    const { cookie } = await sessions.issue({ user: 'ada' })
    const { port } = await serveSockets(t, sessions, { every: OFTEN })
    const { ask, closed } = await connect(t, port, { cookie })
    const failed = (): Promise<unknown> => new Promise((resolve) => sessions.on('storeFailed', resolve))
    store.before = () => {
      throw new StoreUnavailableError('cut off')
    }
    await failed()
    sessions.clock.advance('19m')
    assert.equal(await ask('hello'), 'hello')
    sessions.clock.advance('2m')
    assert.deepEqual(await closed, { code: 1013, reason: 'unreachable' })
  })
})

suite('sessionUpgrade: wrong arguments are a TypeError at once', () => {
  const sessions = createTestSessions({ initial })
  const sockets = new WebSocketServer({ noServer: true })
  const wrong: readonly [name: string, args: readonly unknown[], message: RegExp][] = [
    ['no sessions', [{}, sockets], /createSessions\(\) returned: sessionUpgrade\(/],
    ['no WebSocketServer', [sessions, {}], /noServer: true/],
    ['an unknown option', [sessions, sockets, { origin: 'https://x.example' }], /no option "origin".*origins/],
    ['requireUser', [sessions, sockets, { requireUser: 'yes' }], /requireUser is true or false/],
    ['isUse', [sessions, sockets, { isUse: true }], /isUse is a function/],
    ['every', [sessions, sockets, { every: 'often' }], /^every: /],
    ['origins as text', [sessions, sockets, { origins: 'https://x.example' }], /origins is a list/],
    ['an origin with a path', [sessions, sockets, { origins: ['https://x.example/'] }], /as 'https:\/\/x\.example'/],
    ['an origin without a scheme', [sessions, sockets, { origins: ['x.example'] }], /as 'https:\/\/shop\.example'/],
  ]
  for (const [name, args, message] of wrong) {
    test(name, () => {
      assert.throws(() => (sessionUpgrade as (...args: readonly unknown[]) => unknown)(...args), {
        name: 'TypeError',
        message,
      })
    })
  }

  test('a WebSocketServer that takes upgrades by itself', async (t) => {
    const own = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    t.after(() => own.close())
    assert.throws(() => sessionUpgrade(sessions, own), { name: 'TypeError', message: /noServer: true/ })
  })
})
