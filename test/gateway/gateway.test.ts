import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, request, type ServerResponse } from 'node:http'
import { suite, test } from 'node:test'
import { roundRobin } from '../../src/affinity/index.ts'
import { createGateway, type GatewayChoice } from '../../src/gateway/index.ts'
import { openSocket, readAll, readUntil, REFUSING_URL, send, startBackend, startGateway } from './support/servers.ts'

suite('what passes', () => {
  test('method, target, status, message, body and repeated headers pass unchanged', async (t) => {
    const backend = await startBackend(t, (req, res) => {
      const seen = { method: req.method, url: req.url, host: req.headers.host, cookie: req.headers.cookie }
      const headers = ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'X-Latin', 'caf\xe9', 'ETag', '"x"']
      res.writeHead(418, 'Short and stout', headers).end(JSON.stringify(seen))
    })
    const { url } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    const answer = await send(`${url}/a%20b/../c?x=1&x=2`, {
      method: 'DELETE',
      headers: { cookie: 'k=v', host: 'example.org' },
    })
    assert.equal(answer.status, 418)
    assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2'])
    assert.equal(answer.headers['x-latin'], 'caf\xe9')
    assert.equal(answer.headers.etag, '"x"')
    const seen = JSON.parse(answer.body.toString())
    assert.deepEqual(seen, {
      method: 'DELETE',
      url: new URL(`${url}/a%20b/../c`).pathname + '?x=1&x=2',
      host: 'example.org',
      cookie: 'k=v',
    })
  })

  test('HEAD, 204 and 304 have no body and keep their headers', async (t) => {
    const backend = await startBackend(t, (req, res) => {
      const status = Number(req.url?.slice(1))
      res.writeHead(status, { etag: '"x"', ...(req.method === 'HEAD' && { 'content-length': '5' }) }).end()
    })
    const { url } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    const head = await send(`${url}/200`, { method: 'HEAD' })
    assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, '5', 0])
    for (const status of [204, 304]) {
      const answer = await send(`${url}/${status}`)
      assert.deepEqual([answer.status, answer.headers.etag, answer.body.length], [status, '"x"', 0])
    }
  })

  test('hop-by-hop headers end at the gateway, both ways', async (t) => {
    const backend = await startBackend(t, (req, res) => {
      res.writeHead(200, {
        connection: 'keep-alive, x-own-hop',
        'x-own-hop': '1',
        'keep-alive': 'timeout=9',
        'x-end': '1',
      })
      res.end(JSON.stringify(req.headers))
    })
    const { port } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    const socket = await openSocket(
      t,
      port,
      'GET / HTTP/1.1\r\nHost: x\r\nConnection: close, X-My-Hop\r\nX-My-Hop: 1\r\nTE: trailers\r\nKeep-Alive: 3\r\n' +
        'Proxy-Authorization: secret\r\nX-End: 1\r\n\r\n',
    )
    const [head = '', body = ''] = (await readAll(socket)).split('\r\n\r\n')
    assert.match(head, /x-end: 1/)
    assert.doesNotMatch(head, /x-own-hop|timeout=9/i)
    assert.match(head, /Connection: close/i)
    assert.match(body, /"x-end":"1"/)
    assert.doesNotMatch(body, /x-my-hop|"te"|"keep-alive":|secret|x-own-hop/)
  })

  test('one connection to a server serves many requests', async (t) => {
    const backend = await startBackend(t, (_, res) => res.end('ok'))
    const { url } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    for (let index = 0; index < 20; index += 1) await send(url)
    assert.deepEqual(backend.counts, { connections: 1, requests: 20 })
  })

  test('the head of a silent stream comes at once, and its events as they happen', async (t) => {
    const streams: ServerResponse[] = []
    const backend = await startBackend(t, (_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      streams.push(res)
    })
    const { url } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    const outgoing = request(url, { agent: false }).end()
    const [response] = await once(outgoing, 'response')
    for (const text of ['data: 1\n\n', 'data: 2\n\n']) {
      streams[0]?.write(text)
      const [chunk] = await once(response, 'data')
      assert.equal(String(chunk), text)
    }
    outgoing.destroy()
  })

  test('a request target that is no path is refused with 400, and the server is not to blame', async (t) => {
    const backend = await startBackend(t, (_, res) => res.end('ok'))
    const { url, port } = await startGateway(t, {
      servers: [
        { name: 'a', url: backend.url },
        { name: 'b', url: backend.url },
      ],
    })
    const socket = await openSocket(t, port, 'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    assert.match(await readAll(socket), /^HTTP\/1.1 400 /)
    assert.equal((await send(url)).status, 200)
    assert.equal(backend.counts.requests, 1)
  })

  test('Expect: 100-continue is answered by the gateway', async (t) => {
    const backend = await startBackend(t, (req, res) => void req.pipe(res))
    const { port } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    const head = 'POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n'
    const socket = await openSocket(t, port, head)
    await readUntil(socket, '100 Continue\r\n\r\n')
    socket.write('hello')
    assert.match(await readAll(socket), /hello/)
  })

  test('a request after an upload that the server did not read gets its own answer', async (t) => {
    const backend = await startBackend(t, (req, res) => {
      if (req.method === 'POST') res.writeHead(413).end('too large')
      else res.end('next')
    })
    const { url } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.after(() => agent.destroy())
    const upload = request(url, { agent, method: 'POST' })
    upload.end(Buffer.alloc(8 << 20))
    const [refused] = await once(upload, 'response')
    assert.equal(refused.statusCode, 413)
    refused.resume()
    await once(refused, 'end')
    const [next] = await once(request(url, { agent }).end(), 'response')
    assert.equal(next.statusCode, 200)
    next.resume()
  })
})

suite('the choice', () => {
  test('a client stays with its server by ip-hash, the default', async (t) => {
    const servers = await startNamed(t, ['a', 'b', 'c'])
    const { url } = await startGateway(t, { servers })
    const names = new Set<string>()
    for (let index = 0; index < 9; index += 1) names.add(String((await send(url)).body))
    assert.equal(names.size, 1)
  })

  test('round-robin takes turns by weight', async (t) => {
    const [a, b] = await startNamed(t, ['a', 'b'])
    assert.ok(a && b)
    const { url } = await startGateway(t, { servers: [{ ...a, weight: 2 }, b], affinity: 'round-robin' })
    let names = ''
    for (let index = 0; index < 6; index += 1) names += String((await send(url)).body)
    assert.equal(names, 'abaaba')
  })

  test('setDown() takes a server out and back in, and onChoice hears every choice', async (t) => {
    const choices: GatewayChoice[] = []
    const servers = await startNamed(t, ['a', 'b'])
    const { url, gateway } = await startGateway(t, { servers, onChoice: (choice) => choices.push(choice) })
    const first = String((await send(url)).body)
    gateway.setDown(first, true)
    const second = String((await send(url)).body)
    assert.notEqual(second, first)
    gateway.setDown(second, true)
    assert.equal((await send(url)).status, 502)
    gateway.setDown(first, false)
    assert.equal(String((await send(url)).body), first)
    const clientIp = '127.0.0.1'
    assert.deepEqual(
      choices,
      [first, second, first].map((server) => ({ clientIp, server })),
    )
  })

  test('an affinity of the own fits', async (t) => {
    const servers = await startNamed(t, ['a', 'b'])
    const { url } = await startGateway(t, { servers, affinity: roundRobin([{ name: 'b' }]) })
    assert.equal(String((await send(url)).body), 'b')
  })
})

suite('bad options are refused with what to do', () => {
  const server = { name: 'a', url: 'http://127.0.0.1:1' }
  const bad: [string, unknown, RegExp][] = [
    ['no server', { servers: [] }, /at least one server/],
    [
      'a url with a path',
      { servers: [{ ...server, url: 'http://127.0.0.1:1/app' }] },
      /url of server "a".*without a path/,
    ],
    ['a url that is none', { servers: [{ ...server, url: '127.0.0.1:1' }] }, /url of server "a"/],
    ['no url', { servers: [{ name: 'a' }] }, /url of server "a"/],
    ['an unknown affinity', { servers: [server], affinity: 'sticky' }, /affinity must be/],
    ['an affinity for other servers', { servers: [server], affinity: roundRobin([{ name: 'z' }]) }, /"z"/],
    ['a host name as proxy', { servers: [server], trustProxy: ['localhost'] }, /trustProxy lists addresses/],
    ['a prefix too long', { servers: [server], trustProxy: ['10.0.0.0/33'] }, /trustProxy lists addresses/],
    ['a prefix that is none', { servers: [server], trustProxy: ['10.0.0.0/'] }, /trustProxy lists addresses/],
  ]
  for (const [title, options, message] of bad) {
    test(title, () => {
      assert.throws(() => Reflect.apply(createGateway, undefined, [options]), { name: 'TypeError', message })
    })
  }
})

suite('the life of a gateway', () => {
  test('listen() rejects with the reason when the port is taken', async (t) => {
    const backend = await startBackend(t, (_, res) => res.end())
    await using gateway = createGateway({ servers: [{ name: 'a', url: REFUSING_URL }] })
    await assert.rejects(gateway.listen({ port: backend.port }), { code: 'EADDRINUSE' })
  })

  test('close() lets a request in flight end and drops idle connections', async (t) => {
    const { promise: asked, resolve: ask } = Promise.withResolvers<() => void>()
    const backend = await startBackend(t, (_, res) => ask(() => res.end('done')))
    const { gateway, url } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    gateway.server.keepAliveTimeout = 0
    const agent = new Agent({ keepAlive: true })
    t.after(() => agent.destroy())
    const outgoing = request(url, { agent }).end()
    const answer = await asked
    const closed = gateway.close({ deadline: 2 ** 30 })
    answer()
    const [response] = await once(outgoing, 'response')
    assert.equal(String((await once(response, 'data'))[0]), 'done')
    await closed
    assert.equal(gateway.close(), closed)
    await assert.rejects(send(url), { code: 'ECONNREFUSED' })
  })

  test('close() destroys what is still in flight at its deadline', async (t) => {
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>()
    const backend = await startBackend(t, () => ask())
    const { gateway, url } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    const answer = assert.rejects(send(url), { code: 'ECONNRESET' })
    await asked
    await gateway.close({ deadline: 0 })
    await answer
  })
})

suite('drain()', () => {
  test('takes the server out at once, and resolves when its last answer has ended', async (t) => {
    const asked = Promise.withResolvers<() => void>()
    const slow = await startBackend(t, (req, res) => {
      if (req.method === 'POST') asked.resolve(() => res.end('slow'))
      else res.end('slow')
    })
    const [other] = await startNamed(t, ['other'])
    assert.ok(other)
    const servers = [{ name: 'slow', url: slow.url }, other]
    const { gateway, url } = await startGateway(t, { servers, affinity: 'round-robin' })
    const answer = send(url, { method: 'POST' })
    const finish = await asked.promise
    let isDrained = false
    const drained = gateway.drain('slow', { deadline: 2 ** 30 }).then(() => (isDrained = true))
    for (let index = 0; index < 3; index += 1) assert.equal(String((await send(url)).body), 'other')
    assert.equal(isDrained, false)
    finish()
    await drained
    assert.equal(String((await answer).body), 'slow')
    gateway.setDown('slow', false)
    const names = [String((await send(url)).body), String((await send(url)).body)]
    assert.deepEqual(names.toSorted(), ['other', 'slow'], 'it is back')
  })

  test('does not wait beyond its deadline, nor for a server without requests or one whose client left', async (t) => {
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>()
    const { promise: left, resolve: leave } = Promise.withResolvers<void>()
    const silent = await startBackend(t, (_, res) => {
      res.once('close', leave)
      ask()
    })
    const { gateway, url } = await startGateway(t, { servers: [{ name: 'a', url: silent.url }] })
    await gateway.drain('a', { deadline: 2 ** 30 })
    gateway.setDown('a', false)
    const outgoing = request(url, { agent: false }).on('error', () => {})
    outgoing.end()
    await asked
    await gateway.drain('a', { deadline: 0 })
    outgoing.destroy()
    await left
    await gateway.drain('a', { deadline: 2 ** 30 })
    await assert.rejects(gateway.drain('z'), { name: 'TypeError', message: /no server is named "z"/ })
  })
})

async function startNamed(
  t: Parameters<typeof startBackend>[0],
  names: string[],
): Promise<{ name: string; url: string }[]> {
  return Promise.all(names.map(async (name) => ({ name, url: (await startBackend(t, (_, res) => res.end(name))).url })))
}
