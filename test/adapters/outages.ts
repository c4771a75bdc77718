/** What a client and an error handler see of a store that fails: part of the adapters' contract. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { StoreUnavailableError } from '../../src/core/index.ts'
import { redisStore } from '../../src/stores/redis/index.ts'
import { needs } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'
import { cases } from './support/cases.ts'
import { createStage, type ErrorStyle, type Framework, type Stage } from './support/stage.ts'
import { createTestStore, type TestStore } from './support/store.ts'
import { ask, cookieHeader, ownCookies, type WireResponse } from './support/wire.ts'

const styles: readonly ErrorStyle[] = ['default', 'json', 'async json']

/** Proves what an adapter does when a session cannot be read or written. */
export function proveOutages(framework: Framework): void {
  const isNode = framework.name === 'node:http'
  const isRaw = (path: string): boolean => framework.isRaw?.(path) ?? false

  /** Exactly one response, of this error, without a cookie of ours or anything that the handler had set. */
  function assertRefused(response: WireResponse, stage: Stage, path: string, code = 'store_unavailable'): void {
    assert.equal(response.status, 503)
    assert.equal(response.reason, 'Service Unavailable')
    // An error that a handler has met goes past the adapter: its `headers` are for the error handler to set.
    const isItsOwn = path === '/during' && stage.errorStyle === 'json'
    assert.equal(response.header('retry-after'), isItsOwn ? undefined : '1')
    if (!isRaw(path)) assert.equal(response.header('x-before'), 'kept')
    assert.deepEqual(response.all('set-cookie'), [])
    assert.notEqual(response.header('etag'), '"1"')
    for (const name of ['x-mine', 'location', 'last-modified', 'trailer']) {
      assert.equal(response.header(name), undefined, name)
    }
    const { errorStyle } = stage
    const isUnseen = isRaw(path) || (isNode && errorStyle === 'default')
    // A handler that awaits its pipeline learns afterwards, as from a client that goes away.
    const seen = stage.errors.filter((error) => error !== 'ERR_STREAM_PREMATURE_CLOSE')
    assert.deepEqual(seen, isUnseen ? [] : [code])
    const body = response.text
    if (isUnseen) assert.equal(body, `Service Unavailable: ${code}\n`)
    else if (errorStyle !== 'default') assert.equal(body, JSON.stringify({ code }))
    else assert.match(body, /unavailable/i)
  }

  describe(`${framework.name}: the store fails`, () => {
    for (const errorStyle of styles) {
      test(`before the handler, errors answered in the style ${errorStyle}`, async () => {
        const store = createTestStore()
        const stage = createStage(store, { errorStyle })
        await using server = await framework.serve(stage)
        const cookie = cookieHeader(await ask(server.port, { path: '/json' }).response)
        fail(store)
        assertRefused(await ask(server.port, { path: '/json', headers: { cookie } }).response, stage, '/json')
        store.before = undefined
        const response = await ask(server.port, { path: '/json', headers: { cookie } }).response
        assert.match(response.text, /"views":2/)
      })

      test(`in the handler, errors answered in the style ${errorStyle}`, async () => {
        const store = createTestStore()
        const stage = createStage(store, { errorStyle })
        await using server = await framework.serve(stage)
        const cookie = cookieHeader(await ask(server.port, { path: '/json' }).response)
        stage.during = (session) => {
          fail(store)
          return session.update('views', (views) => views + 1)
        }
        assertRefused(await ask(server.port, { path: '/during', headers: { cookie } }).response, stage, '/during')
      })

      test(`while a careless handler goes on writing, errors answered in the style ${errorStyle}`, async () => {
        const store = createTestStore()
        const stage = createStage(store, { errorStyle })
        await using server = await framework.serve(stage)
        const done = new Promise<void>((resolve) => (stage.done = () => resolve()))
        fail(store)
        assertRefused(await ask(server.port, { path: '/ticks' }).response, stage, '/ticks')
        await done
      })
    }

    for (const { path, method = 'GET' } of cases) {
      test(`at the commit of ${method} ${path}`, async () => {
        const store = createTestStore()
        const stage = createStage(store)
        await using server = await framework.serve(stage)
        fail(store)
        const response = await ask(server.port, { path, method }).response
        if (method === 'GET') assertRefused(response, stage, path)
        else assert.equal(response.status, 503)
        store.before = undefined
        assert.equal((await ask(server.port, { path: '/json' }).response).status, 200)
      })
    }

    test('at the commit of an error response: one answer, and it is the later error', async () => {
      const store = createTestStore()
      const stage = createStage(store)
      await using server = await framework.serve(stage)
      fail(store)
      const response = await ask(server.port, { path: '/reject' }).response
      assert.equal(response.status, 503)
      assert.equal(response.header('retry-after'), '1')
      assert.deepEqual(response.all('set-cookie'), [])
      assert.equal(stage.errors[0], 'rejected')
    })

    test('by not answering: within the deadline', async () => {
      const store = createTestStore()
      const stage = createStage(store, { deadline: '50ms' })
      await using server = await framework.serve(stage)
      store.before = () => new Promise(() => {})
      assertRefused(await ask(server.port, { path: '/json' }).response, stage, '/json', 'store_timeout')
    })

    test('and the connection goes on to the next request', async () => {
      const store = createTestStore()
      await using server = await framework.serve(createStage(store))
      fail(store)
      const exchange = ask(server.port, { path: '/json', headers: { connection: 'keep-alive' } })
      await exchange.shows('store_unavailable')
      exchange.socket.write('GET /nothing HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
      await exchange.shows('HTTP/1.1 200 OK')
      exchange.socket.destroy()
    })

    test('a value that cannot be stored reaches the error handler as such', async () => {
      const store = createTestStore()
      const stage = createStage(store)
      await using server = await framework.serve(stage)
      stage.during = (session) => Object.assign(session.data, { greet: () => 'hello' })
      const response = await ask(server.port, { path: '/during' }).response
      assert.equal(response.status, 500)
      assert.equal(response.header('retry-after'), undefined)
      assert.deepEqual(ownCookies(response), [])
      assert.deepEqual(stage.errors, ['unstorable_value'])
    })
  })

  describe(`${framework.name}: redis-server is killed`, { skip: needs('redis-server') }, () => {
    const moments: Readonly<Record<string, (stage: Stage, kill: () => Promise<void>) => Promise<void>>> = {
      'before the request': (_, kill) => kill(),
      'during the handler': async (stage, kill) => {
        stage.during = async (session) => {
          await kill()
          await session.update('views', (views) => views + 1)
        }
      },
      'before the commit': async (stage, kill) => {
        stage.during = async (session) => {
          session.data.theme = 'dark'
          await kill()
        }
      },
    }
    for (const [moment, arrange] of Object.entries(moments)) {
      test(moment, async () => {
        await using redis = await startRedis()
        const stage = createStage(redisStore({ url: redis.url }), { errorStyle: 'async json' })
        await using server = await framework.serve(stage)
        await using sessions = stage.sessions
        await sessions.ready()
        stage.during = (session) => session.login('ada')
        const cookie = cookieHeader(await ask(server.port, { path: '/during' }).response)
        await arrange(stage, () => redis.kill())
        assertRefused(await ask(server.port, { path: '/during', headers: { cookie } }).response, stage, '/during')
      })
    }
  })
}

function fail(store: TestStore): void {
  store.before = () => {
    throw new StoreUnavailableError('the test store is away')
  }
}
