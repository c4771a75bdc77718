import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { suite, test, type TestContext } from 'node:test'
import {
  type Backend,
  openSocket,
  readAll,
  readUntil,
  REFUSING_URL,
  send,
  startBackend,
  startGateway,
} from './support/servers.ts'

const ASK =
  'GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: abc\r\n\r\n'

suite('upgrades', () => {
  test('bytes pass both ways, those sent early too, and the server knows who asked', async (t) => {
    const { backend } = await startEcho(t)
    const { port } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }], trustProxy: ['127.0.0.1'] })
    const socket = await openSocket(t, port, ASK.replace('Host', 'X-Forwarded-For: 10.1.1.1\r\nHost') + 'early')
    const text = await readUntil(socket, 'early')
    assert.match(text, /^HTTP\/1.1 101 Switching Protocols\r\n/)
    assert.match(text, /\r\nConnection: Upgrade\r\n/i)
    assert.match(text, /\r\nUpgrade: websocket\r\n/i)
    assert.match(text, /\r\nX-Key: abc\r\n/)
    assert.match(text, /hello 10.1.1.1, 127.0.0.1/)
    for (let index = 0; index < 50; index += 1) {
      socket.write(`<${index}>`)
      await readUntil(socket, `<${index}>`)
    }
  })

  test('a refused connection: the next server is tried', async (t) => {
    const { backend } = await startEcho(t)
    const servers = [
      { name: 'a', url: REFUSING_URL },
      { name: 'b', url: backend.url },
    ]
    const { port } = await startGateway(t, { servers, affinity: 'round-robin' })
    const socket = await openSocket(t, port, ASK + 'early')
    assert.match(await readUntil(socket, 'early'), /^HTTP\/1.1 101 /)
  })

  test('a server that answers 401 instead: the client gets that answer, however long', async (t) => {
    const body = Buffer.alloc(4 << 20, 'x')
    const backend = await startBackend(t, () => {})
    backend.server.on('upgrade', (_, socket: Socket) => {
      socket.end(`HTTP/1.1 401 Unauthorized\r\nContent-Length: ${body.length}\r\n\r\n${body.toString()}`)
    })
    const { port } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    const text = await readAll(await openSocket(t, port, ASK))
    assert.match(text, /^HTTP\/1.1 401 Unauthorized\r\n/)
    assert.match(text, /Connection: close/i)
    assert.ok(text.endsWith(body.toString()))
  })

  test('a server that ignores the upgrade answers as to any request', async (t) => {
    const backend = await startBackend(t, (_, res) => void res.end('plain'))
    const { port } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    assert.match(await readAll(await openSocket(t, port, ASK)), /^HTTP\/1.1 200 OK[^]*plain/)
  })

  test('no server left: 502; an upgrade with a body: 400', async (t) => {
    const { port } = await startGateway(t, { servers: [{ name: 'a', url: REFUSING_URL }] })
    assert.match(await readAll(await openSocket(t, port, ASK)), /^HTTP\/1.1 502 /)
    const withBody = ASK.replace('Host', 'Content-Length: 3\r\nHost') + 'abc'
    assert.match(await readAll(await openSocket(t, port, withBody)), /^HTTP\/1.1 400 /)
  })

  test('a client that leaves closes the connection to the server', async (t) => {
    const { backend, sockets } = await startEcho(t)
    const { port } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    const socket = await openSocket(t, port, ASK + 'early')
    await readUntil(socket, 'early')
    const [atServer] = sockets
    assert.ok(atServer)
    const closed = once(atServer, 'close')
    socket.destroy()
    await closed
  })

  test('a server that dies closes the connection to the client, and the gateway serves on', async (t) => {
    const { backend, sockets } = await startEcho(t)
    const { port, url } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    const socket = await openSocket(t, port, ASK + 'early')
    await readUntil(socket, 'early')
    const closed = once(socket.on('error', () => {}).resume(), 'close')
    sockets[0]?.resetAndDestroy()
    await closed
    assert.equal((await send(url)).status, 200)
  })

  test('close() ends upgraded connections at its deadline', async (t) => {
    const { backend } = await startEcho(t)
    const { port, gateway } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }] })
    const socket = await openSocket(t, port, ASK + 'early')
    await readUntil(socket, 'early')
    const closed = once(socket.on('error', () => {}).resume(), 'close')
    await gateway.close({ deadline: 0 })
    await closed
  })
})

async function startEcho(t: TestContext): Promise<{ backend: Backend; sockets: Socket[] }> {
  const sockets: Socket[] = []
  const backend = await startBackend(t, (_, res) => void res.end('ok'))
  backend.server.on('upgrade', (req, socket: Socket, head: Buffer) => {
    sockets.push(socket)
    t.after(() => socket.destroy())
    socket.on('error', () => {})
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n')
    socket.write(`X-Key: ${req.headers['sec-websocket-key']}\r\n\r\nhello ${String(req.headers['x-forwarded-for'])}`)
    socket.write(head)
    socket.pipe(socket)
  })
  return { backend, sockets }
}
