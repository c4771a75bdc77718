import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { connect, type ConnectionOptions } from 'node:tls'
import { toMeshPolicy } from '../../../../src/stores/mesh/policy.ts'
import { certificateSecurity, presharedSecurity } from '../../../../src/stores/mesh/wire/security.ts'
import { createKeyRing } from '../../../../src/token/index.ts'
import { freePorts } from '../../../support/ports.ts'
import { makeCertificate, makeFleetCertificates, withoutOpenssl } from './certificates.ts'
import { openMesh, read, write } from './mesh-sessions.ts'
import { oldSecret, reaches, startNode, type TestNode, untilConnected } from './transport-support.ts'

suite('mutual certificates', { skip: withoutOpenssl }, () => {
  const [first, second] = withoutOpenssl ? [] : makeFleetCertificates(2)
  const [stranger] = withoutOpenssl ? [] : makeFleetCertificates(1)
  assert.ok(withoutOpenssl || (first && second && stranger))
  if (!first || !second || !stranger) return

  test('of one authority connect two nodes, whoever dials and wherever they listen', async () => {
    for (const [dialing, listening] of [
      [first, second],
      [second, first],
    ] as const) {
      await using a = await startNode({ security: certificateSecurity(dialing) })
      await using b = await startNode({ security: certificateSecurity(listening) })
      a.transport.connectTo([b.address])
      await untilConnected(a, b)
      assert.equal(await reaches(a, b), true)
      assert.equal(await reaches(b, a), true)
    }
  })

  test('of another authority are refused, for both to know why', async () => {
    await using a = await startNode({ security: certificateSecurity(first) })
    await using b = await startNode({ security: certificateSecurity(stranger) })
    a.transport.connectTo([b.address])
    await refusedSecret(a)
    await b.until(() => b.refusals.length > 0) // it may not have come to looking at the certificate of a
    assert.deepEqual([a.events, b.events], [[], []])
  })

  test('another authority on one side alone is refused', async () => {
    await using node = await startNode({ security: certificateSecurity(first) })
    await using peer = await startNode({ security: certificateSecurity({ ...stranger, ca: first.ca }) })
    peer.transport.connectTo([node.address])
    await refusedSecret(node)
    assert.deepEqual([node.events, peer.events], [[], []])
  })

  test('a client without one, with one that it signed itself, and one with the secret instead get no byte', async () => {
    await using node = await startNode({ security: certificateSecurity(first) })
    const target = { host: '127.0.0.1', port: node.port, rejectUnauthorized: false }
    await getsNothing(target)
    await getsNothing({ ...target, ...makeCertificate() })
    const [preshared] = presharedSecurity(createKeyRing(oldSecret)).clients
    await getsNothing({ ...preshared, ...target })
    await node.until(() => node.refusals.length === 3)
    assert.deepEqual(node.events, [])
  })

  test('are all that a mesh needs: a session written at one node is read at the other', async () => {
    const ports = await freePorts(2)
    const peers = ports.map((port) => `127.0.0.1:${port}`)
    const nodes = [first, second].map((tls, index) => openMesh(ports[index], peers, { tls }))
    const [a, b] = nodes
    assert.ok(a && b)
    await Promise.all(nodes.map((node) => node.ready()))
    assert.equal(await read(b, await write(a, 'x')), 'x')
    await Promise.all(nodes.map((node) => node.close()))
  })

  test('that do not fit together are an error at once', () => {
    const peers = ['127.0.0.1:1']
    for (const tls of [
      { ...first, key: second.key },
      { ...first, cert: 'none' },
      { ...first, ca: 'none' },
    ]) {
      assert.throws(() => toMeshPolicy({ peers, tls }), { name: 'TypeError', message: /cert, key and ca/ })
    }
    toMeshPolicy({ peers, tls: { ...first, ca: [stranger.ca as string, first.ca as string] } })
  })
})

async function refusedSecret(node: TestNode): Promise<void> {
  await node.until(() => node.refusals.some(({ code }) => code === 'secret'))
}

/** Nor a ticket to come back with: a resumed session counts as verified in Node. */
async function getsNothing(options: ConnectionOptions): Promise<void> {
  const socket = connect(options)
  for (const event of ['session', 'data']) socket.on(event, () => assert.fail('it was given something'))
  socket.on('error', () => {})
  await once(socket, 'close')
}
