import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { describe, test } from 'node:test'
import { portOf } from './ports.ts'
import { needs } from './programs.ts'
import { startRedis } from './redis.ts'
import { queueBytesMax } from './tcp-flow.ts'
import { startTcpProxy } from './tcp-proxy.ts'
import type { TcpProxy } from './tcp-proxy.ts'

describe('the TCP proxy', () => {
  test('carries bytes and the end both ways, and counts them', async () => {
    await using setup = await proxied()
    const client = await open(setup.proxy)
    // Ten times more than the queue holds.
    const sent = Buffer.alloc(10 * 1024 * 1024, 'Sojourn ')
    client.end(sent)
    const received = Buffer.concat(await client.toArray())
    assert.equal(received.equals(sent), true)
    assert.deepEqual(setup.proxy.bytes, { up: sent.length, down: sent.length })
  })

  test('delays each way by its latency, without carrying fewer bytes', async () => {
    await using setup = await proxied()
    setup.proxy.latency(40)
    const client = await open(setup.proxy)
    const startMs = performance.now()
    for (const text of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j']) {
      client.write(text)
      await setup.proxy.received('up', text)
    }
    await reads(client, 'abcdefghij')
    // A lower bound alone, which no slow machine breaks; timers may be a millisecond early.
    assert.ok(performance.now() - startMs >= 78)
  })

  test('holds one direction in a black hole until it is lifted, and the connection lives', async () => {
    await using setup = await proxied()
    const client = await open(setup.proxy)
    setup.proxy.blackHole('down')
    client.write('question')
    await setup.proxy.received('down', 'question')
    // Another connection's bytes go up meanwhile, and none come down.
    setup.proxy.blackHole('both')
    const other = await open(setup.proxy)
    other.write('other')
    await setup.proxy.received('up', 'other')
    assert.equal(client.readableLength + other.readableLength, 0)
    assert.equal(setup.received(), 'question')
    setup.proxy.blackHole('none')
    await Promise.all([reads(client, 'question'), reads(other, 'other')])
  })

  test('stops reading where a black hole is full', async () => {
    await using setup = await proxied()
    const client = await open(setup.proxy)
    setup.proxy.blackHole('up')
    const sent = Buffer.alloc(64 * 1024 * 1024)
    client.end(sent)
    while (setup.proxy.bytes.up < queueBytesMax) await setup.proxy.received('up', () => true)
    const other = await open(setup.proxy)
    other.write('other')
    await setup.proxy.received('up', 'other')
    // One chunk may have come before the queue was full.
    assert.ok(setup.proxy.bytes.up <= queueBytesMax + 64 * 1024 + 'other'.length)
    setup.proxy.blackHole('none')
    assert.equal(Buffer.concat(await client.toArray()).length, sent.length)
  })

  test('cuts every connection on both sides and takes new ones', async () => {
    await using setup = await proxied()
    const clients = [await open(setup.proxy), await open(setup.proxy)]
    await Promise.all(clients.map((client) => (client.write('x'), reads(client, 'x'))))
    assert.equal(setup.proxy.connections, 2)
    const errors = clients.map((client) => once(client, 'error'))
    const broken = setup.broken()
    assert.equal(setup.proxy.cut(), 2)
    for (const [error] of await Promise.all(errors)) assert.equal(error.code, 'ECONNRESET')
    await broken
    const client = await open(setup.proxy)
    client.write('again')
    await reads(client, 'again')
  })

  test('resets the client where the server breaks, and where there is none', async () => {
    await using setup = await proxied()
    const client = await open(setup.proxy)
    client.write('reset')
    const [error] = await once(client, 'error')
    assert.equal(error.code, 'ECONNRESET')

    await using nowhere = await startTcpProxy({ to: { port: setup.proxy.port } })
    await setup.proxy.refuse(true)
    const [refused] = await once(connect(nowhere.port, '127.0.0.1'), 'error')
    assert.equal(refused.code, 'ECONNRESET')
  })

  test('refuses new connections while the open ones stay', async () => {
    await using setup = await proxied()
    const client = await open(setup.proxy)
    client.write('before')
    await reads(client, 'before')
    await setup.proxy.refuse(true)
    await assert.rejects(open(setup.proxy), { code: 'ECONNREFUSED' })
    client.write('still')
    await reads(client, 'still')
    await setup.proxy.refuse(false)
    const next = await open(setup.proxy)
    next.write('after')
    await reads(next, 'after')
  })

  test('rejects what waits when it closes, and closes twice', async () => {
    await using setup = await proxied()
    const waiting = [setup.proxy.received('up', 'never'), setup.proxy.dropNextAnswer('never')]
    await setup.proxy.close()
    await setup.proxy.close()
    for (const promise of waiting) await assert.rejects(promise, /the proxy was closed/)
  })

  test('swallows the whole of a lost answer, and lets the server come to its end', async () => {
    await using setup = await proxied()
    const client = await open(setup.proxy)
    const dropped = setup.proxy.dropNextAnswer('long')
    client.write('long')
    await dropped
    assert.equal(client.readableLength, 0)
    assert.ok(setup.proxy.bytes.down >= longAnswerBytes)
    assert.equal(setup.received(), 'long and its end')
  })

  test('says so where the server ends before it has answered', async () => {
    await using setup = await proxied()
    const client = await open(setup.proxy)
    const dropped = setup.proxy.dropNextAnswer('reset')
    client.write('reset')
    await assert.rejects(dropped, /before the server had answered/)
  })
})

describe('the TCP proxy before a redis-server', { skip: needs('redis-server') }, () => {
  test('loses the answer of the command it waits for, which is carried out once', async () => {
    await using redis = await startRedis()
    await using proxy = await startTcpProxy({ to: { port: redis.port } })
    const client = await open(proxy)
    client.write('SET visits 1\r\n')
    await reads(client, '+OK\r\n')

    const dropped = proxy.dropNextAnswer('INCR')
    const failed = once(client, 'error')
    // The text arrives in two pieces, and one more command before the server can have answered.
    client.write('IN')
    await proxy.received('up', 'IN')
    client.write('CR visits\r\nSET later done\r\n')
    await dropped
    const [error] = await failed
    assert.equal(error.code, 'ECONNRESET')
    assert.equal(client.readableLength, 0)

    const next = await open(proxy)
    next.write('MGET visits later\r\n')
    await reads(next, '*2\r\n$1\r\n2\r\n$4\r\ndone\r\n')
  })
})

interface Setup extends AsyncDisposable {
  proxy: TcpProxy

  /** What the server received on its first connection. */
  received(): string

  /** Resolves when every connection of the server has broken. */
  broken(): Promise<unknown>
}

const longAnswerBytes = 4 * queueBytesMax

/** A proxy before a server that sends back what it receives, and more at `long`, and resets the connection at `reset`. */
async function proxied(): Promise<Setup> {
  const sockets: Socket[] = []
  const texts: string[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const index = sockets.push(socket) - 1
    texts[index] = ''
    socket.on('error', () => undefined)
    socket.on('end', () => (texts[index] += ' and its end'))
    socket.on('data', (chunk) => {
      if (chunk.toString('latin1') === 'long') socket.write(Buffer.alloc(longAnswerBytes))
      if (chunk.toString('latin1') === 'reset') socket.resetAndDestroy()
      texts[index] += chunk.toString('latin1', 0, 100)
    })
    socket.pipe(socket)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const proxy = await startTcpProxy({ to: { port: portOf(server) } })
  return {
    proxy,
    received: () => texts[0] ?? '',
    broken: () => Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)))),
    async [Symbol.asyncDispose]() {
      await proxy.close()
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

async function open({ port }: { port: number }): Promise<Socket> {
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  await once(client, 'connect')
  // The proxy's close resets what a test leaves open.
  client.on('error', () => undefined)
  return client
}

/** Reads until the text is complete, and leaves the socket readable. */
async function reads(client: Socket, text: string): Promise<void> {
  let read = ''
  while (read.length < text.length) {
    const chunk: Buffer | null = client.read()
    if (chunk === null) await once(client, 'readable')
    else read += chunk.toString()
  }
  assert.equal(read, text)
}
