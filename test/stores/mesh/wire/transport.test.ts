import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { suite, test } from 'node:test'
import { portOf } from '../../../support/ports.ts'
import { startTcpProxy } from '../../../support/tcp-proxy.ts'
import { sampleMessages, typicalReplication } from './message-support.ts'
import { connectRawPeer, helloOf } from './raw-peer.ts'
import { newSecret, oldSecret, reaches, startNode, untilConnected } from './transport-support.ts'

suite('nodes that are connected', () => {
  test('exchange every kind of message, in order, both ways', async () => {
    await using a = await startNode()
    await using b = await startNode()
    a.transport.connectTo([b.address])
    await untilConnected(a, b)
    const messages = sampleMessages(5, 1)
    for (const message of messages) {
      assert.equal(a.transport.send(b.id, message), true)
      assert.equal(b.transport.send(a.id, message), true)
    }
    for (const [to, from] of [
      [a, b],
      [b, a],
    ] as const) {
      await to.until(() => to.received.length === messages.length)
      assert.deepEqual(
        to.received,
        messages.map((message) => ({ from: from.id, message })),
      )
    }
  })

  test('are three, each with both others, though each knows only itself and one', async () => {
    await using a = await startNode()
    await using b = await startNode()
    await using c = await startNode()
    a.transport.connectTo([a.address, b.address])
    b.transport.connectTo([b.address, c.address])
    c.transport.connectTo([c.address, a.address])
    await untilConnected(a, b, c)
    for (const [from, to] of [
      [a, b],
      [b, c],
      [c, a],
      [b, a],
    ] as const)
      assert.equal(await reaches(from, to), true)
    for (const node of [a, b, c]) {
      assert.equal(node.events.length, 2)
      assert.ok(!node.log.some(({ level }) => level !== 'info'), JSON.stringify(node.log))
    }
  })

  test('find each other where each knows one of them alone, and that one knows nobody', async () => {
    await using a = await startNode()
    await using b = await startNode()
    await using c = await startNode()
    for (const node of [b, c]) node.transport.connectTo([a.address])
    await untilConnected(a, b, c)
    assert.equal(await reaches(b, c), true)
  })

  test('have one connection, whoever dials first and both at once, and no message is lost by it', async () => {
    for (let round = 0; round < 20; round++) {
      await using a = await startNode()
      await using b = await startNode()
      await using toA = await startTcpProxy({ to: { port: a.port } })
      await using toB = await startTcpProxy({ to: { port: b.port } })
      a.transport.connectTo([`127.0.0.1:${toB.port}`])
      b.transport.connectTo([`127.0.0.1:${toA.port}`])
      await untilConnected(a, b)
      for (let count = 0; count < 5; count++) {
        assert.equal(await reaches(a, b), true)
        assert.equal(await reaches(b, a), true)
      }
      await Promise.all([a, b].map((node) => node.until(() => toA.connections + toB.connections === 1 || tick(node))))
      assert.deepEqual([a.events, b.events], [[`connected ${b.id}`], [`connected ${a.id}`]])
    }
  })

  test('are not reached by a node that does not know them', async () => {
    await using a = await startNode()
    assert.equal(a.transport.send('nobody', { type: 'offered', request: 1 }), false)
  })

  test('a message that no node may send is not sent, and harms nobody', async () => {
    await using a = await startNode()
    await using b = await startNode()
    a.transport.connectTo([b.address])
    await untilConnected(a, b)
    assert.equal(a.transport.send(b.id, { type: 'offered', request: -1 }), false)
    assert.equal(await reaches(a, b), true)
    assert.equal(a.log.filter(({ level }) => level === 'error').length, 1)
  })

  test('a node that fails on a message loses that connection alone, and connects again', async () => {
    let isFailing = true
    await using a = await startNode({
      onMessage: (_, message) => {
        if (message.type === 'offered' && message.request === 13 && isFailing) throw new Error('on purpose')
      },
    })
    await using b = await startNode()
    await using c = await startNode()
    a.transport.connectTo([b.address, c.address])
    await a.until(() => a.transport.peers().length === 2)
    b.transport.send(a.id, { type: 'offered', request: 13 })
    await a.until(() => a.events.includes(`disconnected ${b.id}`))
    isFailing = false
    await untilConnected(a, b)
    assert.ok(!a.events.includes(`disconnected ${c.id}`))
    assert.equal(a.log.filter(({ level }) => level === 'error').length, 1)
  })
})

test('one field of 200 bytes and its acknowledgement take at most 360 bytes on the network, TLS included', async (context) => {
  await using a = await startNode()
  await using b = await startNode({
    onMessage: (from, message) => {
      if (message.type === 'replicate')
        b.transport.send(from, { type: 'replicated', request: message.request, state: 'kept' })
    },
  })
  await using proxy = await startTcpProxy({ to: { port: b.port } })
  a.transport.connectTo([`127.0.0.1:${proxy.port}`])
  await untilConnected(a, b)
  assert.equal(await reaches(a, b), true) // what follows the handshake has come
  const before = { ...proxy.bytes }
  const count = 200
  for (let sent = 1; sent <= count; sent++) {
    a.transport.send(b.id, typicalReplication())
    await a.until(() => a.received.length === sent)
  }
  const [up, down] = [(proxy.bytes.up - before.up) / count, (proxy.bytes.down - before.down) / count]
  context.diagnostic(`${up} bytes to the backup, ${down} bytes back`)
  assert.ok(up + down <= 360, `${up} + ${down} bytes`)
})

suite('a connection that is lost', () => {
  test('is made anew after a cut', async () => {
    await using a = await startNode()
    await using b = await startNode()
    await using proxy = await startTcpProxy({ to: { port: b.port } })
    a.transport.connectTo([`127.0.0.1:${proxy.port}`])
    await untilConnected(a, b)
    proxy.cut()
    await a.until(() => a.events.length === 3)
    await untilConnected(a, b)
    assert.deepEqual(a.events, [`connected ${b.id}`, `disconnected ${b.id}`, `connected ${b.id}`])
    assert.equal(await reaches(a, b), true)
  })

  test('the address of a closed peer refuses, so the peer is dead; one that takes its place is another', async () => {
    await using a = await startNode()
    const b = await startNode()
    a.transport.connectTo([b.address])
    await untilConnected(a, b)
    await b.transport.close()
    await a.until(() => a.events.includes(`dead ${b.id}`))
    assert.deepEqual(a.events, [`connected ${b.id}`, `disconnected ${b.id}`, `dead ${b.id}`])
  })

  test('a peer that is not in the list is dialed by its own address', async () => {
    await using a = await startNode()
    const b = await startNode()
    b.transport.connectTo([a.address])
    await untilConnected(a, b)
    await b.transport.close()
    await a.until(() => a.events.includes(`dead ${b.id}`))
  })

  test('a peer that answers under another id at its address has taken its place', async () => {
    // It takes connections, so that dialing it does not tell that somebody is dead.
    const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const address = `127.0.0.1:${portOf(silent)}`
    await using a = await startNode()
    const b = await startNode({ address })
    await using c = await startNode({ address })
    b.transport.connectTo([a.address])
    await untilConnected(a, b)
    await b.transport.close()
    await a.until(() => a.events.includes(`disconnected ${b.id}`))
    c.transport.connectTo([a.address])
    await untilConnected(a, c)
    assert.deepEqual(a.events.slice(1), [`disconnected ${b.id}`, `dead ${b.id}`, `connected ${c.id}`])
    silent.close()
  })

  test('silence ends it on both sides', async () => {
    const limits = { silenceMs: 500 }
    await using a = await startNode({ limits })
    await using b = await startNode({ limits })
    await using proxy = await startTcpProxy({ to: { port: b.port } })
    a.transport.connectTo([`127.0.0.1:${proxy.port}`])
    await untilConnected(a, b)
    proxy.blackHole('both')
    for (const [node, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      await node.until(() => node.events.includes(`disconnected ${peer.id}`))
      assert.ok(node.log.some(({ code, reason }) => code === 'silence' && reason === 'it has said nothing'))
    }
    proxy.blackHole('none')
    await untilConnected(a, b)
  })
})

suite('a secret that rolls', () => {
  const stages = [[oldSecret], [oldSecret, newSecret], [newSecret, oldSecret], [newSecret]]
  for (const [index, secrets] of stages.entries()) {
    for (const other of stages.slice(index, index + 2)) {
      test(`stage ${index + 1} and stage ${stages.indexOf(other) + 1} connect, whoever dials`, async () => {
        for (const [dialing, listening] of [
          [secrets, other],
          [other, secrets],
        ] as const) {
          await using a = await startNode({ secrets: dialing })
          await using b = await startNode({ secrets: listening })
          a.transport.connectTo([b.address])
          await untilConnected(a, b)
          assert.equal(await reaches(b, a), true)
        }
      })
    }
  }

  test('a node reaches one that is two stages behind, though that does not know its signing secret', async () => {
    await using a = await startNode({ secrets: [newSecret, oldSecret] })
    await using b = await startNode({ secrets: [oldSecret] })
    a.transport.connectTo([b.address])
    await untilConnected(a, b)
  })

  test('a node takes each of its secrets', async () => {
    await using node = await startNode({ secrets: [newSecret, oldSecret] })
    for (const secret of [newSecret, oldSecret]) {
      await using peer = await connectRawPeer(node.port, secret)
      peer.send(helloOf('peer'))
      await peer.next('welcome')
    }
  })

  test('a fleet is never split while each node goes through the stages in its turn', async () => {
    const nodes = await Promise.all([0, 1, 2].map(() => startNode({ secrets: oldSecret })))
    const connect = (): void => {
      const addresses = nodes.map(({ address }) => address)
      for (const node of nodes) node.transport.connectTo(addresses)
    }
    connect()
    await untilConnected(...nodes)
    for (const stage of stages.slice(1)) {
      for (const index of nodes.keys()) {
        await nodes[index]?.transport.close()
        nodes[index] = await startNode({ secrets: stage })
        connect()
        await untilConnected(...nodes)
      }
    }
    await Promise.all(nodes.map((node) => node.transport.close()))
  })
})

suite('a peer that is refused', () => {
  test('with a clock 6 s off, in either direction: both say why, in the log and as an event', async () => {
    for (const clockAheadMs of [6_000, -6_000]) {
      await using a = await startNode()
      await using b = await startNode({ clockAheadMs })
      a.transport.connectTo([b.address])
      for (const node of [a, b]) {
        await node.until(() => node.log.some(({ reason }) => /clocks are (5.9|6)\d*\.?\d* s apart/.test(reason ?? '')))
        assert.deepEqual(node.events, [])
        const [refusal] = node.refusals
        assert.equal(refusal?.code, 'clock')
        assert.match(refusal.reason, /synchronise them/)
      }
      assert.notEqual(a.refusals[0]?.isByPeer, b.refusals[0]?.isByPeer)
    }
  })

  test('again and again: each time is an event, and the log says it once', async () => {
    await using a = await startNode()
    await using b = await startNode({ clockAheadMs: 6_000 })
    a.transport.connectTo([b.address])
    await a.until(() => a.refusals.length === 3)
    assert.equal(a.log.filter(({ code }) => code === 'clock').length, 1)
  })

  test('not with one 4 s off', async () => {
    await using a = await startNode()
    await using b = await startNode({ clockAheadMs: 4_000 })
    a.transport.connectTo([b.address])
    await untilConnected(a, b)
  })

  test('itself: it is not dialed again, and nothing is logged', async () => {
    await using a = await startNode()
    await using proxy = await startTcpProxy({ to: { port: a.port } })
    await using b = await startNode()
    a.transport.connectTo([`127.0.0.1:${proxy.port}`, b.address])
    await untilConnected(a, b)
    while (proxy.bytes.up === 0 || proxy.connections > 0) await new Promise((resolve) => setImmediate(resolve))
    const bytes = proxy.bytes.up
    proxy.cut()
    // b's connection is lost and made again, which takes as long as dialing itself again would.
    await b.transport.close()
    await a.until(() => a.events.includes(`dead ${b.id}`))
    assert.equal(proxy.bytes.up, bytes)
    assert.ok(!a.log.some(({ code }) => code === 'self'))
  })
})

suite('closing', () => {
  test('ends every connection, calls back no more, and succeeds twice', async () => {
    const a = await startNode()
    await using b = await startNode()
    a.transport.connectTo([b.address, '127.0.0.1:1'])
    await untilConnected(a, b)
    await a.transport.close()
    await a.transport.close()
    assert.deepEqual(a.events, [`connected ${b.id}`])
    await b.until(() => b.log.some(({ reason, isByPeer }) => reason === 'the node is closing' && isByPeer === true))
  })

  test('a port that is taken is the reason why it does not listen', async () => {
    await using a = await startNode()
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { createTransport } = await import('../../../../src/stores/mesh/wire/transport.ts')
    const { presharedSecurity } = await import('../../../../src/stores/mesh/wire/security.ts')
    const { createKeyRing } = await import('../../../../src/token/index.ts')
    const taken = createTransport({
      self: () => ({ id: 'n', address: a.address, zone: '' }),
      listen: { host: '127.0.0.1', port: portOf(server) },
      security: presharedSecurity(createKeyRing(oldSecret)),
      clock: { now: Date.now },
      logger: { info() {}, warn() {}, error() {} },
      onConnected() {},
      onDisconnected() {},
      onMessage() {},
    })
    await assert.rejects(taken.listen(), { code: 'EADDRINUSE' })
    await taken.close()
    server.close()
  })
})

/** Lets the event loop turn until the condition that it stands beside holds. */
function tick(node: { log: readonly unknown[] }): false {
  assert.ok(node.log.length < 1_000)
  return false
}
