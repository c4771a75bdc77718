import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { connect as connect2, createServer as createServer2 } from 'node:http2'
import { PassThrough, Readable } from 'node:stream'
import { describe, test } from 'node:test'
import express from 'express'
import { holdResponse } from '../../src/adapters/gate.ts'
import { session } from '../../src/adapters/express.ts'
import { withSession } from '../../src/adapters/node.ts'
import { type HeaderLine, StoreUnavailableError } from '../../src/core/index.ts'
import { portOf } from '../support/ports.ts'
import { serve } from './support/serve.ts'
import { createStage } from './support/stage.ts'
import { createTestStore } from './support/store.ts'
import { ask } from './support/wire.ts'

describe('a held response', () => {
  test('write says false until the commit is done, then drain comes once', async () => {
    const commit = Promise.withResolvers<HeaderLine[]>()
    const seen: unknown[] = []
    await using server = await serve((_, response) => {
      hold(response, { commit: () => commit.promise })
      response.on('drain', () => {
        seen.push('drain', response.write('two '))
        response.end('three')
      })
      seen.push(response.write('one '), response.headersSent, response.writableEnded)
      commit.resolve([['set-cookie', 'a=1']])
    })
    const response = await ask(server.port, { path: '/' }).response
    assert.equal(response.text, 'one two three')
    assert.deepEqual(response.all('set-cookie'), ['a=1'])
    assert.deepEqual(seen, [false, true, false, 'drain', true])
  })

  test('a server that closes while a response waits for its commit sends it, and takes no connection for idle', async () => {
    const commit = Promise.withResolvers<HeaderLine[]>()
    const held = Promise.withResolvers<ServerResponse>()
    const server = createServer((_, response) => {
      hold(response, { commit: () => commit.promise })
      response.end('kept')
      held.resolve(response)
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const exchange = ask(portOf(server), { path: '/' })
    assert.equal((await held.promise).writableEnded, true)
    server.close()
    server.closeIdleConnections()
    commit.resolve([])
    assert.equal((await exchange.response).text, 'kept')
    server.closeAllConnections()
  })

  test('drain does not come before what was written is on its way', async () => {
    const left = Promise.withResolvers<number>()
    await using server = await serve((_, response) => {
      hold(response, {})
      response.once('drain', () => {
        left.resolve(response.writableLength)
        response.end()
      })
      response.write(Buffer.alloc(32 * 1024 * 1024))
    })
    const exchange = ask(server.port, { path: '/' })
    assert.equal(await left.promise, 0)
    assert.equal((await exchange.response).body.length, 32 * 1024 * 1024)
  })

  test('a wrapper that was added later, and has ended its response, does not swallow the answer to a failed commit', async () => {
    await using server = await serve((_, response) => {
      hold(response, { commit: () => Promise.reject(new StoreUnavailableError('away')) })
      const end = response.end.bind(response)
      let isEnded = false
      const endOnce = (chunk: string): ServerResponse => {
        if (isEnded) return response
        isEnded = true
        return end(`wrapped ${chunk}`)
      }
      Object.assign(response, { end: endOnce })
      response.end('page')
    })
    const response = await ask(server.port, { path: '/' }).response
    assert.equal(response.status, 503)
    assert.equal(response.text, 'refused')
  })

  test('wrong arguments throw to who gave them, and the response can still be made', async () => {
    const seen: unknown[] = []
    await using server = await serve((_, response) => {
      hold(response, {})
      const attempts: (() => unknown)[] = [
        () => response.writeHead(99),
        () => response.writeHead(200, { 'x-bad': 'a\nb' }),
        () => response.writeHead(200, ['odd']),
        () => response.write(null),
        () => response.end(1),
      ]
      for (const attempt of attempts) seen.push(codeThrown(attempt))
      response.end('right')
    })
    const response = await ask(server.port, { path: '/' }).response
    assert.equal(response.text, 'right')
    assert.deepEqual(seen, [
      'ERR_HTTP_INVALID_STATUS_CODE',
      'ERR_INVALID_CHAR',
      'ERR_INVALID_ARG_VALUE',
      'ERR_STREAM_NULL_VALUES',
      'ERR_INVALID_ARG_TYPE',
    ])
  })

  test('a second answer fails as it does in Node', async () => {
    const codes: unknown[] = []
    await using server = await serve((_, response) => {
      hold(response, {})
      response.on('error', (error) => codes.push((error as { code?: string }).code))
      response.writeHead(200).end('first')
      codes.push(
        codeThrown(() => response.writeHead(500)),
        response.writableEnded,
      )
      response.write('second')
    })
    assert.equal((await ask(server.port, { path: '/' }).response).text, 'first')
    assert.deepEqual(codes, ['ERR_HTTP_HEADERS_SENT', true, 'ERR_STREAM_WRITE_AFTER_END'])
  })

  test('pipelined requests are answered in their order', async () => {
    const commits = [Promise.withResolvers<HeaderLine[]>(), Promise.withResolvers<HeaderLine[]>()]
    let count = 0
    await using server = await serve((request, response) => {
      const commit = commits[count++]
      hold(response, { commit: () => commit?.promise ?? Promise.resolve([]) })
      response.end(`answer ${request.url}`)
      if (count === 2) {
        commits[1]?.resolve([])
        setImmediate(() => commits[0]?.resolve([]))
      }
    })
    const exchange = ask(server.port, { path: '/1', headers: { connection: 'keep-alive' } })
    exchange.socket.write('GET /2 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
    await once(exchange.socket, 'close')
    assert.match(exchange.received(), /answer \/1[^]*answer \/2$/)
  })

  test('on HTTP/2', async () => {
    const { sessions } = createStage(createTestStore())
    const listener = withSession(sessions, (request, response) => {
      sessions.of(request).data.views += 1
      response.writeHead(201, { 'x-mine': 'a' })
      response.write('one ')
      response.end('two')
    })
    const server = createServer2(listener as unknown as Parameters<typeof createServer2>[1])
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const client = connect2(`http://127.0.0.1:${portOf(server)}`)
    const stream = client.request({ ':path': '/' })
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
    const body = Buffer.concat((await stream.toArray()) as Buffer[]).toString()
    client.close()
    server.close()
    await once(server, 'close')
    assert.equal(body, 'one two')
    assert.equal(headers[':status'], 201)
    assert.equal((headers['set-cookie'] as string[]).length, 2)
  })

  test('two sessions on one response both get their cookies', async () => {
    const one = createStage(createTestStore(), { cookie: { name: 'one' } })
    const two = createStage(createTestStore(), { cookie: { name: 'two' } })
    const app = express()
    app.use(session(one.sessions), session(two.sessions))
    app.get('/', (req, res) => {
      one.sessions.of(req).data.views = 1
      two.sessions.of(req).data.views = 2
      assert.ok(Object.is(req.session, one.sessions.of(req)))
      res.json({})
    })
    await using server = await serve(app)
    const response = await ask(server.port, { path: '/' }).response
    assert.equal(response.status, 200, response.text)
    const names = response.all('set-cookie').map((line) => line.slice(0, line.indexOf('=')))
    assert.deepEqual(names.toSorted(), ['one', 'one-v', 'two', 'two-v'])
  })
})

describe('a refused response', () => {
  const refuse = { isSettled: () => false, commit: () => Promise.reject(new StoreUnavailableError('away')) }

  test('lets go of the streams that were piped into it, but for the request and what others read', async () => {
    const alone = new Readable({ read() {} })
    const shared = new Readable({ read() {} })
    shared.pipe(new PassThrough()).resume()
    await using server = await serve((request, response) => {
      hold(response, refuse)
      if (request.method === 'POST') {
        request.pipe(response)
        return
      }
      alone.pipe(response)
      shared.pipe(response)
      alone.push('x')
    })
    const closed = once(alone, 'close')
    assert.equal((await ask(server.port, { path: '/' }).response).status, 503)
    await closed
    assert.equal(shared.destroyed, false)
    assert.equal(shared.listenerCount('data'), 1)
    const echo = ask(server.port, { path: '/', method: 'POST', body: 'x' })
    assert.equal((await echo.response).status, 503)
  })

  test('keeps nobody else from reading a stream that was piped into it', async () => {
    const shared = new Readable({ read() {} })
    const other = shared.pipe(new PassThrough())
    await using server = await serve((_, response) => {
      holdResponse(response, refuse, () => {
        for (const chunk of ['one', 'two', 'three']) shared.push(chunk)
        let count = 0
        other.on('data', () => {
          if (++count === 3) response.end('refused')
        })
      })
      shared.pipe(response)
      response.write('begun')
    })
    assert.equal((await ask(server.port, { path: '/' }).response).text, 'refused')
  })

  test('takes no second answer from a handler that had ended', async () => {
    const errors: unknown[] = []
    await using server = await serve((_, response) => {
      response.on('error', (error) => errors.push(error))
      holdResponse(response, refuse, () => {
        response.end('refused')
        response.write('stray')
        response.end('stray')
      })
      response.setHeader('date', 'once')
      response.writeHead(201, 'Fine').end('whole')
    })
    const response = await ask(server.port, { path: '/' }).response
    assert.equal(response.text, 'refused')
    assert.equal(response.reason, 'Service Unavailable')
    assert.match(response.header('date') ?? '', /GMT/)
    assert.deepEqual(errors, [])
  })

  test('closes the connection of a handler that may go on', async () => {
    await using server = await serve((request, response) => {
      hold(response, refuse)
      if (request.url === '/unended') response.write('begun')
      else response.end('ended')
    })
    const headers = { connection: 'keep-alive' }
    const unended = ask(server.port, { path: '/unended', headers })
    assert.equal((await unended.response).header('connection'), 'close')
    const ended = ask(server.port, { path: '/ended', headers })
    await ended.shows('refused')
    assert.match(ended.received(), /connection: keep-alive/i)
    ended.socket.destroy()
  })

  test('lets go of the streams also where its client went away first', async () => {
    const commit = Promise.withResolvers<HeaderLine[]>()
    const source = new Readable({ read() {} })
    const begun = Promise.withResolvers<ServerResponse>()
    await using server = await serve((_, response) => {
      hold(response, { commit: () => commit.promise })
      source.pipe(response)
      source.push('x')
      begun.resolve(response)
    })
    const exchange = ask(server.port, { path: '/' })
    const response = await begun.promise
    const closed = once(response, 'close')
    exchange.socket.destroy()
    await closed
    commit.reject(new StoreUnavailableError('away'))
    await once(source, 'close')
  })

  test('calls back who waits for a write, with the error', async () => {
    const called = Promise.withResolvers<unknown>()
    await using server = await serve((_, response) => {
      hold(response, refuse)
      response.write('x', called.resolve)
    })
    assert.equal((await ask(server.port, { path: '/' }).response).status, 503)
    assert.equal(((await called.promise) as { code?: string }).code, 'store_unavailable')
  })

  test('is answered by Express with a body of the request left unread', async () => {
    const stage = createStage(createTestStore())
    const app = express()
    app.set('env', 'test')
    app.use(session(stage.sessions))
    app.post('/', (req, res) => {
      Object.assign(stage.sessions.of(req).data, { theme: () => {} })
      res.write('begun')
    })
    await using server = await serve(app)
    const response = await ask(server.port, { path: '/', method: 'POST', body: 'unread '.repeat(100_000) }).response
    assert.equal(response.status, 500)
    assert.equal(response.header('connection'), 'close')
    assert.match(response.text, /theme/)
  })
})

describe('node:http', () => {
  test('a handler that throws after its first byte has its connection destroyed, never a clean end', async (t) => {
    const printed = t.mock.method(console, 'error', () => {})
    const { sessions } = createStage(createTestStore())
    await using server = await serve(
      withSession(sessions, async (_, response) => {
        await new Promise((resolve) => response.write('half', resolve))
        throw new Error('thrown')
      }),
    )
    const exchange = ask(server.port, { path: '/' })
    await assert.rejects(exchange.response)
    assert.match(exchange.received(), /half/)
    assert.equal(printed.mock.callCount(), 1)
  })

  test('upgrades pass by', async () => {
    const { sessions } = createStage(createTestStore())
    const server = createServer(withSession(sessions, (_, response) => response.end()))
    server.on('upgrade', (_, socket) => socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\nhello'))
    server.on('connect', (_, socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nhello'))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const port = portOf(server)
    const upgrade = ask(port, { path: '/', headers: { connection: 'upgrade', upgrade: 'test' } })
    await upgrade.shows('hello')
    await ask(port, { path: 'localhost:1', method: 'CONNECT' }).shows('hello')
    server.closeAllConnections()
    await once(server.close(), 'close')
  })
})

function hold(response: ServerResponse, { commit = async () => [] }: { commit?: () => Promise<HeaderLine[]> }): void {
  holdResponse(response, { isSettled: () => false, commit }, (error) => {
    assert.ok(error instanceof StoreUnavailableError)
    response.end('refused')
  })
}

function codeThrown(attempt: () => unknown): unknown {
  try {
    attempt()
    return 'nothing'
  } catch (error) {
    return (error as { code?: unknown }).code
  }
}
