import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { suite, test } from 'node:test'
import { connect as connectTls, createServer as createTlsServer, getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls' // prettier-ignore
import { PROTOCOL_MINOR } from '../../../../src/stores/mesh/wire/limits.ts'
import { encodeMessage } from '../../../../src/stores/mesh/wire/message-codec.ts'
import { presharedSecurity } from '../../../../src/stores/mesh/wire/security.ts'
import { createKeyRing } from '../../../../src/token/index.ts'
import { portOf } from '../../../support/ports.ts'
import { makeCertificate, withoutOpenssl } from './certificates.ts'
import { connectRawPeer, helloOf, rawFrame, toRawPeer } from './raw-peer.ts'
import {
  isConnected,
  newSecret,
  oldSecret,
  reaches,
  startNode,
  type TestNode,
  untilConnected,
} from './transport-support.ts'

const heartbeat = {
  type: 'heartbeat',
  view: { number: 1, id: 'n' },
  sentAt: 0,
  hears: [],
  isLeaving: false,
  isSettled: true,
  isFull: false,
} as const

suite('who has no secret', () => {
  test('a peer with another secret is refused on both sides, and neither reaches the other', async () => {
    await using a = await startNode({ secrets: oldSecret })
    await using b = await startNode({ secrets: newSecret })
    a.transport.connectTo([b.address])
    await logged(a, /shares no secret/)
    await logged(b, /shares no secret/)
    assert.deepEqual([a.events, b.events], [[], []])
    for (const node of [a, b]) assert.equal(node.refusals[0]?.code, 'secret')
  })

  test('a client with the identity of a key but not the key is refused', async () => {
    await using node = await startNode()
    const [right] = presharedSecurity(createKeyRing(oldSecret)).clients
    const { identity } = right?.pskCallback?.(null) ?? {}
    assert.ok(identity)
    const wrong = { ...right, pskCallback: () => ({ psk: Buffer.alloc(32), identity }) }
    await refused(connectTls({ ...wrong, host: '127.0.0.1', port: node.port }))
    await logged(node, /shares no secret/)
  })

  test('a client without a pre-shared key, of TLS 1.2, and one that speaks plain HTTP get a TLS alert at most', async () => {
    await using node = await startNode()
    const target = { host: '127.0.0.1', port: node.port, rejectUnauthorized: false }
    await refused(connectTls(target))
    await logged(node, /shares no secret/)
    await refused(connectTls({ ...target, maxVersion: 'TLSv1.2' }))
    const plain = connect(node.port, '127.0.0.1')
    plain.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.ok((await bytesUntilClosed(plain)).length <= 7)
    await logged(node, /did not speak TLS/)
  })

  test('a handshake that is held open is cut, while others connect', async () => {
    await using node = await startNode({ limits: { handshakeMs: 300 } })
    await using other = await startNode()
    const held = connect(node.port, '127.0.0.1')
    held.write(Buffer.from('1603010200010001fc0303', 'hex')) // the begin of a ClientHello
    other.transport.connectTo([node.address])
    await untilConnected(node, other)
    assert.equal((await bytesUntilClosed(held)).length, 0)
    await logged(node, /did not finish the handshake/)
  })

  test('a flood of connections pushes out its own oldest, and a peer gets in', async () => {
    await using node = await startNode({ limits: { pendingMax: 8 } })
    await using peer = await startNode()
    await using other = await startNode()
    peer.transport.connectTo([node.address])
    await untilConnected(node, peer)
    const flood = Array.from({ length: 100 }, () => connect(node.port, '127.0.0.1').on('error', () => {}))
    let open = flood.length
    const cut = Promise.withResolvers<void>()
    for (const socket of flood) socket.resume().once('close', () => --open === 8 && cut.resolve())
    await cut.promise
    other.transport.connectTo([node.address])
    await untilConnected(node, other)
    assert.deepEqual(node.events, [`connected ${peer.id}`, `connected ${other.id}`])
    assert.equal(node.log.filter(({ reason }) => /more than 8 handshakes/.test(reason ?? '')).length, 1)
    for (const socket of flood) socket.destroy()
  })

  test('a flood from one address pushes out its own, and not the slow handshake of another', async () => {
    await using node = await startNode({ limits: { pendingMax: 8 } })
    const slow = connect({ port: node.port, host: '127.0.0.1' }).on('error', () => {})
    await once(slow, 'connect')
    const flood = Array.from({ length: 50 }, () =>
      connect({ port: node.port, host: '127.0.0.1', localAddress: '127.0.0.2' }).on('error', () => {}),
    )
    await node.until(() => node.refusals.filter(({ code }) => code === 'full').length === 43)
    assert.ok(node.refusals.every(({ address }) => address.startsWith('127.0.0.2:')))
    for (const socket of flood) socket.destroy()
    // The slow one goes on, on the connection that stood all the time.
    const [client] = presharedSecurity(createKeyRing(oldSecret)).clients
    const secured = connectTls({ ...client, socket: slow })
    await once(secured, 'secureConnect')
    secured.destroy()
  })

  test('a handshake that comes byte for byte is cut at its deadline, and the node serves its peers meanwhile', async () => {
    await using node = await startNode({ limits: { handshakeMs: 500 } })
    await using other = await startNode()
    other.transport.connectTo([node.address])
    await untilConnected(node, other)
    const hello = await recordClientHello()
    const slow = Array.from({ length: 10 }, () => connect(node.port, '127.0.0.1'))
    const answers = slow.map(bytesUntilClosed)
    for (let at = 0; slow.some(({ destroyed }) => !destroyed); at++) {
      assert.ok(at < hello.length - 1, 'the whole of it came')
      for (const socket of slow) if (!socket.destroyed) socket.write(hello.subarray(at, at + 1))
      assert.equal(await reaches(other, node), true)
      assert.equal(await reaches(node, other), true)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    for (const answer of answers) assert.equal((await answer).length, 0)
    assert.deepEqual(new Set(node.refusals.map(({ code }) => code)), new Set(['silence']))
    assert.equal(node.refusals.length, slow.length)
  })

  test('a hello that comes byte for byte, from one who has the secret, is cut as well', async () => {
    await using node = await startNode({ limits: { handshakeMs: 300 } })
    await using other = await startNode()
    other.transport.connectTo([node.address])
    await untilConnected(node, other)
    await using peer = await connectRawPeer(node.port)
    const hello = encodeMessage(helloOf('x'.repeat(60)))
    for (let at = 0; peer.received.length < 2; at++) {
      assert.ok(at < hello.length - 1, 'the whole of it came')
      peer.write(hello.subarray(at, at + 1))
      assert.equal(await reaches(other, node), true)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.equal((await peer.next('close')).code, 'silence')
    assert.deepEqual(node.events, [`connected ${other.id}`])
  })

  test('one that has the secret and says nothing is cut', async () => {
    await using node = await startNode({ limits: { handshakeMs: 300 } })
    await using peer = await connectRawPeer(node.port)
    const { code } = await peer.next('close')
    assert.equal(code, 'silence')
    await peer.closed()
    assert.deepEqual(node.events, [])
  })
})

suite('a server that is not of the fleet', () => {
  test('whose certificate the machine trusts gets no hello', { skip: withoutOpenssl }, async () => {
    const certificate = makeCertificate()
    const trusted = getCACertificates('default')
    setDefaultCACertificates([certificate.cert])
    const server = createTlsServer(certificate)
    server.on('secureConnection', (socket) =>
      socket.on('data', () => assert.fail('it was told something')).on('error', () => {}),
    )
    server.on('tlsClientError', () => {})
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    {
      // An ordinary client trusts it; else the test would show nothing.
      const ordinary = connectTls({ host: '127.0.0.1', port: portOf(server) })
      await once(ordinary, 'secureConnect')
      assert.equal(ordinary.authorized, true)
      ordinary.destroy()
      await using node = await startNode()
      node.transport.connectTo([`127.0.0.1:${portOf(server)}`])
      await logged(node, /shares no secret|did not show the secret/)
      assert.deepEqual(node.events, [])
    }
    server.close()
    setDefaultCACertificates(trusted)
  })

  test('that takes connections and says nothing is given up, and others are reached', async () => {
    const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    await using node = await startNode({ limits: { handshakeMs: 300 } })
    await using other = await startNode()
    node.transport.connectTo([`127.0.0.1:${portOf(silent)}`, other.address, 'no address', '127.0.0.1:1'])
    await untilConnected(node, other)
    await logged(node, /no handshake within 300 ms/)
    silent.close()
  })
})

suite('a peer that knows the secret', () => {
  const wrongs: Record<string, [write: Buffer, reason: RegExp]> = {
    garbage: [Buffer.from('GET / HTTP/1.1\r\n'.repeat(10)), /type 69, which there is not/],
    'a message before its hello': [encodeMessage(heartbeat), /heartbeat before a hello/],
    'a welcome before its hello': [encodeMessage({ type: 'welcome' }), /a welcome that nobody waits for/],
    'a large hello': [Buffer.concat([Buffer.of(0x80, 0x10), Buffer.alloc(100)]), /2048 bytes, where 1024/],
    'a frame of 4 GiB': [Buffer.of(0xff, 0xff, 0xff, 0xff, 0xff), /no length/],
    'an empty frame': [Buffer.of(0), /empty/],
    'another major version': [encodeMessage(helloOf('x')).fill(9, 2, 3), /speaks version 9\.0 .* this node 1\.1/],
    'a hello that is cut off': [rawFrame(1, Buffer.of(1, 0, 22, 65)), /cut off/],
    'two hellos': [Buffer.concat([encodeMessage(helloOf('x')), encodeMessage(helloOf('x'))]), /a second hello/],
    'an unknown type at its own minor version': [
      Buffer.concat([encodeMessage(helloOf('x')), rawFrame(200)]),
      /type 200, which there is not/,
    ],
    'a frame too large for any': [
      Buffer.concat([encodeMessage(helloOf('x')), Buffer.from('81808001', 'hex')]),
      /2097153 bytes, where 2097152/,
    ],
    'a truncated message': [Buffer.concat([encodeMessage(helloOf('x')), rawFrame(26, Buffer.of(1))]), /cut off/],
  }
  for (const [name, [write, reason]] of Object.entries(wrongs)) {
    test(`after ${name} its connection ends, for both to know why, and nothing else`, async () => {
      await using node = await startNode()
      await using other = await startNode()
      other.transport.connectTo([node.address])
      await untilConnected(node, other)
      await using peer = await connectRawPeer(node.port)
      peer.write(write)
      assert.match((await peer.next('close')).reason, reason)
      await peer.closed()
      await logged(node, reason)
      assert.deepEqual(
        node.refusals.map(({ code }) => code),
        [name === 'another major version' ? 'version' : 'format'],
      )
      assert.deepEqual(
        node.events.filter((event) => event.includes(other.id)),
        [`connected ${other.id}`],
      )
      assert.equal(await reaches(other, node), true)
    })
  }

  test('a higher minor version: its unknown types and fields are skipped', async () => {
    await using node = await startNode()
    await using peer = await connectRawPeer(node.port)
    const section = Buffer.concat([Buffer.of(9, 5), Buffer.from('later')])
    peer.write(
      rawFrame(1, Buffer.concat([encodeMessage(helloOf('later', { minor: PROTOCOL_MINOR + 1 })).subarray(2), section])),
    )
    await peer.next('welcome')
    peer.write(rawFrame(200, Buffer.from('what a later one says')))
    peer.write(rawFrame(16, Buffer.concat([encodeMessage(heartbeat).subarray(2), section])))
    await node.until(() => node.received.length === 1)
    assert.deepEqual(node.received, [{ from: 'later', message: heartbeat }])
  })

  test('one that does not read is dropped when too much waits for it', async () => {
    await using node = await startNode({ limits: { queueBytesMax: 256 * 1024 } })
    await using other = await startNode()
    other.transport.connectTo([node.address])
    await untilConnected(node, other)
    await using peer = await connectRawPeer(node.port)
    peer.send(helloOf('slow'))
    await peer.next('welcome')
    peer.socket.pause()
    const large = { ...heartbeat, hears: Array.from({ length: 200 }, () => 'x'.repeat(60)) }
    while (node.transport.send('slow', large)) await new Promise((resolve) => setImmediate(resolve))
    await logged(node, /bytes wait for it/)
    assert.ok(isConnected(node, other))
    assert.equal(await reaches(node, other), true)
  })

  test('what it says as its reason cannot forge a line of the log', async () => {
    await using node = await startNode()
    await using peer = await connectRawPeer(node.port)
    peer.send({ type: 'close', code: 'clock', reason: 'x\nINFO all is well\u001B[2J' })
    await logged(node, /^x\?INFO all is well\?\[2J$/)
  })

  test('one that dials again, since it has lost its connection, takes the place of the old', async () => {
    await using node = await startNode()
    await using lost = await connectRawPeer(node.port)
    lost.send(helloOf('twice'))
    await lost.next('welcome')
    await using again = await connectRawPeer(node.port)
    again.send(helloOf('twice'))
    await again.next('welcome')
    assert.equal((await lost.next('close')).code, 'duplicate')
    node.transport.send('twice', heartbeat)
    assert.deepEqual(await again.next('heartbeat'), heartbeat)
    assert.deepEqual(node.events, ['connected twice'])
  })

  test('a node that has a connection does not go on with another that it dialed', async () => {
    await using node = await startNode()
    await using first = await connectRawPeer(node.port)
    first.send(helloOf('peer'))
    await first.next('welcome')
    const server = createTlsServer(presharedSecurity(createKeyRing(oldSecret)).server).listen(0, '127.0.0.1')
    await once(server, 'listening')
    node.transport.connectTo([`127.0.0.1:${portOf(server)}`])
    const [socket] = (await once(server, 'secureConnection')) as [TLSSocket]
    await using second = toRawPeer(socket)
    second.send(helloOf('peer'))
    assert.equal((await second.next('close')).code, 'duplicate')
    assert.deepEqual(
      second.received.map(({ type }) => type),
      ['close'],
    )
    node.transport.send('peer', heartbeat)
    await first.next('heartbeat')
    assert.deepEqual(node.events, ['connected peer'])
    server.close()
  })

  test('where both dial at once, the connection that the lower id dialed stays', async () => {
    for (const [id, stays] of [
      ['0', 'its own'],
      ['z', 'the peer’s'],
    ] as const) {
      await using node = await startNode({ id })
      const server = createTlsServer(presharedSecurity(createKeyRing(oldSecret)).server).listen(0, '127.0.0.1')
      await once(server, 'listening')
      node.transport.connectTo([`127.0.0.1:${portOf(server)}`])
      const [socket] = (await once(server, 'secureConnection')) as [TLSSocket]
      await using dialed = toRawPeer(socket)
      dialed.send(helloOf('5'))
      await dialed.next('hello')
      // The node has dialed the peer and waits for its welcome; the peer, which has not seen that yet, dials too.
      await using dialing = await connectRawPeer(node.port)
      dialing.send(helloOf('5'))
      if (stays === 'its own') {
        assert.equal((await dialing.next('close')).code, 'duplicate')
        dialed.send({ type: 'welcome' })
      } else {
        await dialing.next('welcome')
        dialed.send({ type: 'close', code: 'duplicate', reason: '' })
      }
      await node.until(() => node.events.length === 1)
      node.transport.send('5', heartbeat)
      await (stays === 'its own' ? dialed : dialing).next('heartbeat')
      assert.deepEqual(node.events, ['connected 5'])
      server.close()
    }
  })
})

async function logged(node: TestNode, reason: RegExp): Promise<void> {
  await node.until(() => node.log.some((line) => reason.test(line.reason ?? '')))
}

/** It must not come to a secured connection, nor to a byte for the application. */
async function refused(socket: TLSSocket): Promise<void> {
  socket.on('secureConnect', () => assert.fail('it was taken'))
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  assert.match(error.code ?? '', /^ERR_SSL_.*ALERT/)
  socket.destroy()
}

/** What a node says first when it dials. */
async function recordClientHello(): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  await using node = await startNode()
  node.transport.connectTo([`127.0.0.1:${portOf(server)}`])
  const [socket] = (await once(server, 'connection')) as [Socket]
  socket.on('error', () => {})
  const [hello] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  server.close()
  return hello
}

async function bytesUntilClosed(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => {})
  // `once` would reject where the node closed with bytes unread, which resets the connection.
  await new Promise((resolve) => socket.on('close', resolve))
  return Buffer.concat(chunks)
}
