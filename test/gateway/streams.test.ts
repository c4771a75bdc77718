import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate } from 'node:timers/promises'
import { suite, test } from 'node:test'
import { openSocket, readAll, readUntil, startBackend, startGateway } from './support/servers.ts'

const MIB = 1 << 20
const BODY_BYTES = 64 * MIB
/** What sockets of the kernel and streams of Node may hold on the way; a gateway that buffers would hold all. */
const LAG_BYTES_MAX = 24 * MIB

/** Counts what was made and what arrived, and remembers how far the reader was behind. */
class Flow {
  made = 0
  arrived = 0
  lagMax = 0
  readonly #sent = createHash('sha256')
  readonly #got = createHash('sha256')

  /** Reads much slower than the other side writes. */
  async drain(stream: Readable): Promise<void> {
    for await (const chunk of stream) {
      this.arrived += chunk.length
      this.#got.update(chunk)
      for (let turn = 0; turn < 3; turn += 1) await setImmediate()
    }
  }

  *make(): Generator<Buffer> {
    for (let index = 0; this.made < BODY_BYTES; index += 1) {
      const chunk = Buffer.alloc(64 << 10, `chunk ${index} `)
      this.#sent.update(chunk)
      this.made += chunk.length
      this.lagMax = Math.max(this.lagMax, this.made - this.arrived)
      yield chunk
    }
  }

  assertWhole(): void {
    assert.equal(this.arrived, BODY_BYTES)
    assert.equal(this.#got.digest('hex'), this.#sent.digest('hex'))
    assert.ok(this.lagMax < LAG_BYTES_MAX, `the reader was ${this.lagMax / MIB} MiB behind`)
  }
}

suite('64 MiB stream through with little on the way', () => {
  for (const length of [String(BODY_BYTES), undefined]) {
    const kind = length ? 'with content-length' : 'chunked'

    test(`a response ${kind} to a slow client`, async (t) => {
      const flow = new Flow()
      const backend = await startBackend(t, (_, res) => {
        res.writeHead(200, length ? { 'content-length': length } : {})
        void pipeline(Readable.from(flow.make()), res)
      })
      const { url } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
      const [response] = await once(request(url, { agent: false }).end(), 'response')
      assert.equal(response.headers['content-length'], length)
      await flow.drain(response)
      flow.assertWhole()
    })

    test(`a request ${kind} to a slow server`, async (t) => {
      const flow = new Flow()
      const backend = await startBackend(t, (req, res) => {
        void flow.drain(req).then(() => res.end(req.headers['content-length'] ?? 'none'))
      })
      const { url } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
      const outgoing = request(url, {
        agent: false,
        method: 'PUT',
        headers: length ? { 'content-length': length } : {},
      })
      const answered = once(outgoing, 'response')
      await pipeline(Readable.from(flow.make()), outgoing)
      const [response] = await answered
      assert.equal(String(await once(response, 'data')), length ?? 'none')
      flow.assertWhole()
    })
  }
})

suite('one side goes away', () => {
  test('a client that leaves during a download ends the request to the server', async (t) => {
    const { promise: left, resolve: leave } = Promise.withResolvers<void>()
    const backend = await startBackend(t, (_, res) => {
      res.on('close', leave)
      res.write('first')
    })
    const { url } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    const outgoing = request(url, { agent: false }).end()
    const [response] = await once(outgoing, 'response')
    await once(response, 'data')
    outgoing.destroy()
    await left
  })

  test('a client that leaves before the answer ends the request to the server', async (t) => {
    const { promise: asked, resolve: ask } = Promise.withResolvers<IncomingMessage>()
    const backend = await startBackend(t, (req) => ask(req))
    const { url } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    const outgoing = request(url, { agent: false })
      .on('error', () => {})
      .end()
    const incoming = await asked
    outgoing.destroy()
    await once(incoming.socket, 'close')
  })

  test('a client that leaves during an upload: the server sees it aborted, never whole', async (t) => {
    const { promise: asked, resolve: ask } = Promise.withResolvers<IncomingMessage>()
    const backend = await startBackend(t, (req) => ask(req))
    const { url } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    const outgoing = request(url, { agent: false, method: 'POST' }).on('error', () => {})
    outgoing.write('half')
    const incoming = await asked
    const failure = assert.rejects(readAllOf(incoming), { code: 'ECONNRESET' })
    outgoing.destroy()
    await failure
    assert.equal(incoming.complete, false)
  })

  test('the gateway serves on after clients that left, and no server counts as failed', async (t) => {
    let isSilent = true
    const backend = await startBackend(t, (_, res) => {
      if (!isSilent) res.end('ok')
    })
    const tried: string[] = []
    const servers = [
      { name: 'a', url: backend.url },
      { name: 'b', url: backend.url },
    ]
    const onChoice = ({ server }: { server: string }): number => tried.push(server)
    const { url } = await startGateway(t, { servers, onChoice })
    const outgoing = request(url, { agent: false })
      .on('error', () => {})
      .end()
    const [incoming] = await once(backend.server, 'request')
    outgoing.destroy()
    await once(incoming.socket, 'close')
    isSilent = false
    const [response] = await once(request(url, { agent: false }).end(), 'response')
    assert.equal(response.statusCode, 200)
    response.resume()
    assert.equal(tried.length, 2)
    assert.equal(tried[0], tried[1])
  })

  for (const headers of [{}, { 'content-length': '100' }]) {
    test(`a server that dies in a ${'content-length' in headers ? 'counted' : 'chunked'} body: the client sees it broken off`, async (t) => {
      const backend = await startBackend(t, (_, res) => {
        res.writeHead(200, headers).write('half')
        void setImmediate().then(() => res.destroy())
      })
      const { url } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
      const [response] = await once(request(url, { agent: false }).end(), 'response')
      await assert.rejects(readAllOf(response), { code: 'ECONNRESET' })
    })
  }

  test('a server that dies in a body for HTTP/1.0: reset, since an orderly end would look whole', async (t) => {
    const backend = await startBackend(t, (req, res) => {
      res.write('half')
      req.socket.once('data', () => {})
      t.after(() => res.destroy())
      backendResponses.push(res)
    })
    const backendResponses: { destroy(): unknown }[] = []
    const { port } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    const socket = await openSocket(t, port, 'GET / HTTP/1.0\r\n\r\n')
    await readUntil(socket, 'half')
    const failure = assert.rejects(readAll(socket), { code: 'ECONNRESET' })
    backendResponses[0]?.destroy()
    await failure
  })
})

async function readAllOf(stream: IncomingMessage): Promise<number> {
  let bytes = 0
  for await (const chunk of stream) bytes += chunk.length
  return bytes
}
