import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { suite, test, type TestContext } from 'node:test'
import { type AffinityServer, ipHash, roundRobin } from '../../src/affinity/index.ts'
import { REFUSING_URL, send, startBackend, startGateway, stop } from './support/servers.ts'

suite('a server that cannot be reached', () => {
  for (const method of ['GET', 'POST']) {
    test(`${method}: the next answers, and the whole body reaches it`, async (t) => {
      const backend = await startBackend(t, (req, res) => {
        const hash = createHash('sha256')
        req.on('data', (chunk: Buffer) => hash.update(chunk)).on('end', () => res.end(hash.digest('hex')))
      })
      const dead = [
        { name: 'a', url: REFUSING_URL },
        { name: 'b', url: REFUSING_URL },
      ]
      const servers = [...dead, { name: 'c', url: backend.url }]
      const tried: string[] = []
      const onChoice = ({ server }: { server: string }): number => tried.push(server)
      const { url } = await startGateway(t, { servers, affinity: 'round-robin', onChoice })
      const body = Buffer.alloc(5 << 20, 'some text that is not all zeros')
      const answer = await send(url, { method, body, headers: { 'content-length': String(body.length) } })
      assert.equal(String(answer.body), createHash('sha256').update(body).digest('hex'))
      assert.deepEqual(tried, ['a', 'b', 'c'])
      await send(url, { method, body: 'x', headers: { 'content-length': '1' } })
      assert.deepEqual(tried.slice(3), ['c'], 'the failed ones are left alone')
    })
  }

  test('it is tried again after failTimeout', async (t) => {
    let nowMs = 1_000_000
    const first = await startBackend(t, (_, res) => void res.end('a'))
    const second = await startBackend(t, (_, res) => void res.end('b'))
    const limits: AffinityServer[] = [
      { name: 'a', failTimeout: 2000 },
      { name: 'b', failTimeout: 2000 },
    ]
    const servers = [
      { name: 'a', url: first.url },
      { name: 'b', url: second.url },
    ]
    const affinity = ipHash(limits, { now: () => nowMs })
    const { url } = await startGateway(t, { servers, affinity })
    const ask = async (): Promise<string> => String((await send(url)).body)
    const home = await ask()
    const [homeBackend, other] = home === 'a' ? [first, 'b'] : [second, 'a']
    await stop(homeBackend.server)
    assert.equal(await ask(), other)
    await startBackend(t, (_, res) => void res.end(home), homeBackend.port)
    nowMs += 2000
    assert.equal(await ask(), other)
    nowMs += 1000
    assert.equal(await ask(), home)
  })

  test('with no server left the client gets 502, body or not, and its connection goes on', async (t) => {
    const servers = [
      { name: 'a', url: REFUSING_URL },
      { name: 'b', url: REFUSING_URL },
    ]
    const { url } = await startGateway(t, { servers })
    assert.equal((await send(url)).status, 502)
    const answer = await send(url, { method: 'POST', body: Buffer.alloc(1 << 20) })
    assert.deepEqual([answer.status, String(answer.body)], [502, '502 Bad Gateway\n'])
  })

  test('SIGKILL of the process that served: the next request is answered by another', async (t) => {
    const processes = [await startProcess(t), await startProcess(t), await startProcess(t)]
    const servers = processes.map(({ url }, index) => ({ name: `s${index}`, url }))
    const { url } = await startGateway(t, { servers })
    const pid = String((await send(url)).body)
    const serving = processes.find(({ child }) => String(child.pid) === pid)
    assert.ok(serving)
    const exited = once(serving.child, 'exit')
    serving.child.kill('SIGKILL')
    await exited
    for (const method of ['POST', 'GET']) {
      const answer = await send(url, { method })
      assert.equal(answer.status, 200)
      assert.notEqual(String(answer.body), pid)
    }
  })
})

suite('a server that accepts and does not answer', () => {
  test('closes before it answers: a GET goes to the next, a POST is not sent twice', async (t) => {
    const closing = await startBackend(t, (req) => req.socket.destroy())
    const backend = await startBackend(t, (_, res) => void res.end('ok'))
    const limits: AffinityServer[] = [{ name: 'a', maxFails: 0 }, { name: 'b' }]
    const servers = [
      { name: 'a', url: closing.url },
      { name: 'b', url: backend.url },
    ]
    for (const [method, body, status] of [
      ['GET', undefined, 200],
      ['PUT', undefined, 200],
      ['POST', undefined, 502],
      ['PATCH', 'x', 502],
      ['PUT', 'x', 502],
    ] as const) {
      const before = backend.counts.requests
      const { url } = await startGateway(t, { servers, affinity: roundRobin(limits) })
      const headers = { 'content-length': String(body?.length ?? 0) }
      const answer = await send(url, { method, headers, ...(body && { body }) })
      assert.equal(answer.status, status, `${method} ${body}`)
      assert.equal(backend.counts.requests - before, status === 200 ? 1 : 0)
    }
  })

  test('a POST that it dropped marks it failed all the same', async (t) => {
    const closing = await startBackend(t, (req) => req.socket.destroy())
    const backend = await startBackend(t, (_, res) => void res.end('ok'))
    const servers = [
      { name: 'a', url: closing.url },
      { name: 'b', url: backend.url },
    ]
    const { url } = await startGateway(t, { servers, affinity: 'round-robin' })
    assert.equal((await send(url, { method: 'POST' })).status, 502)
    for (let index = 0; index < 3; index += 1) assert.equal((await send(url, { method: 'POST' })).status, 200)
    assert.equal(closing.counts.requests, 1)
  })

  test('speaks no HTTP: the next answers', async (t) => {
    const garbled = createServer((socket) => socket.end('220 mail.example ESMTP\r\n'))
    garbled.listen(0, '127.0.0.1')
    await once(garbled, 'listening')
    t.after(() => garbled.close())
    const address = garbled.address()
    assert.ok(typeof address === 'object' && address)
    const backend = await startBackend(t, (_, res) => void res.end('ok'))
    const servers = [
      { name: 'a', url: `http://127.0.0.1:${address.port}` },
      { name: 'b', url: backend.url },
    ]
    const { url } = await startGateway(t, { servers, affinity: 'round-robin' })
    assert.equal((await send(url)).status, 200)
  })

  test('is silent for longer than headersTimeout: the next is tried, and 504 when none is left', async (t) => {
    const silent = await startBackend(t, () => {})
    const backend = await startBackend(t, (_, res) => void res.end('ok'))
    const servers = [
      { name: 'a', url: silent.url },
      { name: 'b', url: backend.url },
    ]
    const { url } = await startGateway(t, { servers, affinity: 'round-robin', headersTimeout: 50 })
    assert.equal(String((await send(url)).body), 'ok')
    const alone = await startGateway(t, { servers: servers.slice(0, 1), headersTimeout: 50 })
    assert.equal((await send(alone.url)).status, 504)
  })

  test('does not even accept within connectTimeout: the next is tried, with the body', async (t) => {
    const full = await startFullServer(t)
    const backend = await startBackend(t, (req, res) => void req.pipe(res))
    const servers = [
      { name: 'a', url: full },
      { name: 'b', url: backend.url },
    ]
    const { url } = await startGateway(t, { servers, affinity: 'round-robin', connectTimeout: 50 })
    assert.equal(String((await send(url, { method: 'POST', body: 'hello' })).body), 'hello')
  })
})

/** A real process that answers with its pid. */
async function startProcess(t: TestContext): Promise<{ child: ChildProcess; url: string }> {
  const source = `
    const server = require('node:http').createServer((_, res) => res.end(String(process.pid)))
    server.listen(0, '127.0.0.1', () => process.send(server.address().port))`
  const child = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  t.after(() => child.kill('SIGKILL'))
  const [port] = await once(child, 'message')
  return { child, url: `http://127.0.0.1:${port}` }
}

/** A listener whose queue is full, so that Linux leaves further connections unanswered. */
async function startFullServer(t: TestContext): Promise<string> {
  const source = `
    const server = require('node:net').createServer()
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => process.send(server.address().port))`
  const child = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  t.after(() => child.kill('SIGKILL'))
  const [port] = await once(child, 'message')
  child.kill('SIGSTOP')
  for (let index = 0; index < 4; index += 1) {
    const filler = connect(Number(port), '127.0.0.1').on('error', () => {})
    t.after(() => filler.destroy())
    if (index < 2) await once(filler, 'connect')
  }
  return `http://127.0.0.1:${port}`
}
