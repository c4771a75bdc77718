/** What every adapter has to keep, on real HTTP: one body for all frameworks. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { proveOutages } from './outages.ts'
import { cases } from './support/cases.ts'
import { createStage, type Framework, type Stage } from './support/stage.ts'
import { createTestStore, type TestStore } from './support/store.ts'
import { ask, cookieHeader, foreignCookies, ownCookies } from './support/wire.ts'

/** Proves an adapter. The framework's file calls it. */
export function proveAdapter(framework: Framework): void {
  describe(`${framework.name}: committed before the first byte`, () => {
    for (const expected of cases) {
      const { path, method = 'GET' } = expected
      test(`${method} ${path}`, async () => {
        const store = createTestStore()
        const stage = createStage(store)
        await using server = await framework.serve(stage)
        const held = store.holdApply()
        const exchange = ask(server.port, { path, method })
        await held.arrived
        await ask(server.port, { path: '/assets/other' }).response
        assert.equal(exchange.received(), '')
        held.release()

        const response = await exchange.response
        assert.equal(response.status, expected.status)
        if (expected.body !== undefined) assert.ok(response.body.equals(Buffer.from(expected.body)), response.text)
        for (const [name, value] of Object.entries(expected.headers ?? {})) assert.equal(response.header(name), value)
        assert.deepEqual(foreignCookies(response), expected.cookies ?? [])
        assert.equal(ownCookies(response).length, 2)
        assert.equal(await viewsOf(store), 1)
        assert.deepEqual(stage.errors, [])
      })
    }

    test('an informational response passes at once, the rest waits', async () => {
      const store = createTestStore()
      await using server = await framework.serve(createStage(store))
      const held = store.holdApply()
      const exchange = ask(server.port, { path: '/early-hints' })
      await held.arrived
      await exchange.shows('\r\n\r\n')
      assert.match(exchange.received(), /^HTTP\/1.1 103 Early Hints\r\n[^]*\r\n\r\n$/)
      held.release()
      await exchange.shows('whole')
      assert.match(exchange.received(), /HTTP\/1.1 200 OK/)
    })

    test('trailers come after the body', async () => {
      await using server = await framework.serve(createStage(createTestStore()))
      const exchange = ask(server.port, { path: '/trailers' })
      await exchange.shows('x-sum: 2')
      assert.match(exchange.received(), /one \r\n[^]*two\r\n0\r\nx-sum: 2\r\n\r\n$/)
    })

    for (const path of ['/throw', '/reject']) {
      test(`${path}: an error's response keeps what was changed, and the cookie`, async () => {
        const store = createTestStore()
        const stage = createStage(store)
        await using server = await framework.serve(stage)
        const held = store.holdApply()
        const exchange = ask(server.port, { path })
        await held.arrived
        assert.equal(exchange.received(), '')
        held.release()
        const response = await exchange.response
        assert.equal(response.status, 500)
        assert.equal(ownCookies(response).length, 2)
        assert.equal(await viewsOf(store), 1)
        assert.deepEqual(stage.errors, [path === '/throw' ? 'thrown' : 'rejected'])
      })
    }
  })

  describe(`${framework.name}: what carries the token`, () => {
    test('no cache keeps a response with a token, unless the handler says how', async () => {
      await using server = await framework.serve(createStage(createTestStore()))
      assert.equal((await ask(server.port, { path: '/end' }).response).header('cache-control'), 'no-store')
      const own = await ask(server.port, { path: '/own-cache' }).response
      assert.equal(own.header('cache-control'), 'private, max-age=5')
    })

    test('may be the Authorization header, and cookies are then neither set nor read', async () => {
      const store = createTestStore()
      await using server = await framework.serve(createStage(store, { carrier: 'bearer' }))
      const first = await ask(server.port, { path: '/json' }).response
      assert.deepEqual(ownCookies(first), [])
      const headers = {
        authorization: first.header('authorization') ?? '',
        'x-session-v': first.header('x-session-v') ?? '',
      }
      assert.match(headers.authorization, /^Bearer [\w-]+$/)
      const second = await ask(server.port, { path: '/json', headers }).response
      assert.match(second.text, /"views":2/)
      assert.equal(second.header('authorization'), undefined)
      assert.notEqual(second.header('x-session-v'), headers['x-session-v'])
    })

    test('may be a header of your own', async () => {
      await using server = await framework.serve(createStage(createTestStore(), { carrier: { header: 'x-shop' } }))
      const first = await ask(server.port, { path: '/json' }).response
      const headers = { 'x-shop': first.header('x-shop') ?? '' }
      assert.match((await ask(server.port, { path: '/json', headers }).response).text, /"views":2/)
    })
  })

  describe(`${framework.name}: when the store is asked`, () => {
    test('no cookie and nothing changed: no store call, no cookie', async () => {
      const store = createTestStore()
      await using server = await framework.serve(createStage(store))
      const response = await ask(server.port, { path: '/nothing' }).response
      assert.equal(response.status, 200)
      assert.deepEqual(response.all('set-cookie'), [])
      assert.deepEqual(store.calls, [])
    })

    test('one read and one write for a change, and the token is not set again', async () => {
      const store = createTestStore()
      await using server = await framework.serve(createStage(store))
      const cookie = cookieHeader(await ask(server.port, { path: '/json' }).response)
      assert.deepEqual(store.calls.splice(0), ['apply'])
      const response = await ask(server.port, { path: '/json', headers: { cookie } }).response
      assert.match(response.text, /"views":2/)
      assert.deepEqual(store.calls.splice(0), ['read', 'apply'])
      assert.deepEqual(ownCookies(response), ['__Host-sid-v'])
      await ask(server.port, { path: '/nothing', headers: { cookie } }).response
      assert.deepEqual(store.calls, ['read'])
    })

    test('a skipped request has no session and makes no store call', async () => {
      const store = createTestStore()
      await using server = await framework.serve(createStage(store))
      const cookie = cookieHeader(await ask(server.port, { path: '/json' }).response)
      store.calls.splice(0)
      const response = await ask(server.port, { path: '/assets/logo', headers: { cookie } }).response
      assert.equal(response.text, 'no_session')
      assert.deepEqual(store.calls, [])
    })
  })

  describe(`${framework.name}: after the first byte`, () => {
    test('an assignment that nobody saves raises lateChange', async () => {
      const store = createTestStore()
      const stage = createStage(store)
      await using server = await framework.serve(stage)
      const late = new Promise((resolve) => stage.sessions.on('lateChange', resolve))
      const response = await ask(server.port, { path: '/after/assign' }).response
      assert.equal(response.text, 'first ')
      assert.deepEqual(await late, { key: (await store.record())?.key, fields: ['theme'] })
      assert.equal(await fieldOf(store, 'theme'), '"light"')
    })

    test('save() and update() are written', async () => {
      const store = createTestStore()
      const stage = createStage(store)
      await using server = await framework.serve(stage)
      const cookie = cookieHeader(await ask(server.port, { path: '/json' }).response)
      stage.after = async (session) => {
        session.data.theme = 'dark'
        await session.save()
        await session.update('views', (views) => views + 10)
      }
      const response = await ask(server.port, { path: '/after', headers: { cookie } }).response
      assert.equal(response.text, 'first ')
      assert.equal(await fieldOf(store, 'theme'), '"dark"')
      assert.equal(await viewsOf(store), 11)
      assert.equal(stage.sessions.stats().events['lateChange'], undefined)
    })
  })

  describe(`${framework.name}: a client that goes away`, () => {
    test('during the handler: what the handler did is written when it answers, whole', async () => {
      const { store, stage } = twice()
      await using server = await framework.serve(stage)
      const inside = Promise.withResolvers<void>()
      const gone = Promise.withResolvers<void>()
      stage.done = () => gone.resolve()
      stage.during = () => {
        inside.resolve()
        return gone.promise
      }
      const applied = new Promise<void>((resolve) => (store.applied = resolve))
      const exchange = ask(server.port, { path: '/gone' })
      await inside.promise
      exchange.socket.destroy()
      await applied
      assert.equal(await fieldOf(store, 'theme'), '"dark"')
      assert.equal(await viewsOf(store), 1)
      assert.deepEqual(store.calls, ['apply'])
      await serves(server.port)
    })

    test('during the commit: it is carried out', async () => {
      const { store, stage } = twice()
      await using server = await framework.serve(stage)
      const gone = new Promise<void>((resolve) => (stage.done = () => resolve()))
      const held = store.holdApply()
      const exchange = ask(server.port, { path: '/gone' })
      await held.arrived
      exchange.socket.destroy()
      await gone
      held.release()
      await serves(server.port)
      assert.equal(await fieldOf(store, 'theme'), '"dark"')
      assert.deepEqual(stage.errors, [])
    })
  })

  proveOutages(framework)
}

function twice(): { store: TestStore; stage: Stage } {
  const store = createTestStore()
  return { store, stage: createStage(store) }
}

async function serves(port: number): Promise<void> {
  assert.equal((await ask(port, { path: '/nothing' }).response).status, 200)
}

async function fieldOf(store: TestStore, name: string): Promise<string | null | undefined> {
  return (await store.record())?.fields.get(name)?.value
}

async function viewsOf(store: TestStore): Promise<number> {
  return Number(await fieldOf(store, 'views'))
}
