import assert from 'node:assert/strict'
import { Resolver } from 'node:dns/promises'
import { suite, test } from 'node:test'
import { type PeersWatch, watchPeers } from '../../../../src/stores/mesh/wire/peers.ts'
import { startDnsServer } from '../../../support/dns-server.ts'
import { freePorts } from '../../../support/ports.ts'
import { openMesh, read, write } from './mesh-sessions.ts'
import { isConnected, reaches, startNode, type TestNode, untilConnected } from './transport-support.ts'

suite('nodes of a name, each at an address of its own and on one port, as in a headless service', () => {
  test('come and go with what a DNS server answers, and stay while it fails, is silent, or answers garbage', async () => {
    await using dns = await startDnsServer(['127.0.0.2', '127.0.0.3'])
    const [port = 0] = await freePorts(1)
    const start = (host: string): Promise<TestNode> => startNode({ listen: { host, port } })
    await using first = await start('127.0.0.2')
    await using second = await start('127.0.0.3')
    await using third = await start('127.0.0.4')
    const watch = (node: TestNode): PeersWatch => {
      const resolver = new Resolver({ timeout: 100, tries: 1 })
      resolver.setServers([dns.address])
      return watchPeers({
        peers: { dns: 'web-headless.default.svc', port },
        logger: { info() {}, warn() {}, error() {} },
        onPeers: (addresses) => node.transport.connectTo(addresses),
        resolve: (name) => resolver.resolve4(name),
        deadlineMs: 1_000,
      })
    }
    const watches = [first, second, third].map(watch)
    const refresh = (): Promise<unknown> => Promise.all(watches.map((watch) => watch.refresh()))

    await watches[0]?.refresh()
    await untilConnected(first, second)
    assert.ok(!isConnected(first, third))

    for (const answer of ['failure', 'garbage', 'silence'] as const) {
      dns.answer = answer
      await refresh()
      assert.equal(await reaches(first, second), true)
    }

    dns.answer = ['127.0.0.4', '127.0.0.3', '127.0.0.2']
    await refresh()
    await untilConnected(first, second, third)

    // One that is no longer named goes on as long as its connection stands: a name's answer is no proof of death.
    dns.answer = ['127.0.0.2', '127.0.0.3']
    await refresh()
    assert.equal(await reaches(first, third), true)
    await third.transport.close()
    for (const node of [first, second]) await node.until(() => node.events.includes(`dead ${third.id}`))
    await using again = await start('127.0.0.4')
    dns.answer = ['127.0.0.2', '127.0.0.3', '127.0.0.4']
    await refresh()
    await untilConnected(first, second, again)
    for (const node of [first, second, again]) {
      assert.ok(!node.log.some(({ code }) => code === 'self'), 'the own address among them is no event')
      assert.deepEqual(node.refusals, [])
    }
    for (const watch of watches) watch.close()
    assert.ok(dns.questions > 10)
  })
})

// Most of the time they wait for what a node waits for at most.
suite('a mesh', { concurrency: true }, () => {
  test('nodes whose function throws or never answers harm nobody: who knows them serves meanwhile, and takes them in', async () => {
    const ports = await freePorts(3)
    const [known, ...others] = [
      openMesh(ports[0], async () => ports.map((port) => `127.0.0.1:${port}`)),
      openMesh(ports[1], () => Promise.reject(new Error('on purpose'))),
      openMesh(ports[2], () => new Promise<string[]>(() => {})),
    ] as const
    await known.ready()
    const ready = new AbortController()
    void Promise.all(others.map((other) => other.ready())).then(() => ready.abort())
    // They ask for their peers for 10 s before they can be reached, so that nobody waits for them meanwhile.
    let requests = 0
    for (; !ready.signal.aborted; requests++) {
      await write(known, String(requests))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.ok(requests > 50)
    const cookie = await write(known, 'seven')
    for (const other of others) assert.equal(await read(other, cookie), 'seven')
    await Promise.all([known, ...others].map((node) => node.close()))
  })

  test('nodes that listen on every interface, and were not told their address, have one each', async () => {
    const ports = await freePorts(2)
    const peers = ports.map((port) => `127.0.0.1:${port}`)
    const whole = Promise.withResolvers<readonly string[]>()
    const onView = (members: readonly string[]): void => {
      if (members.length === 2) whole.resolve(members)
    }
    const nodes = ports.map((port) => openMesh(port, peers, { listen: { port } }, onView))
    await Promise.all(nodes.map((node) => node.ready()))
    assert.deepEqual(new Set(await whole.promise), new Set(peers))
    await Promise.all(nodes.map((node) => node.close()))
  })

  test('a node that could not be ready, since no majority was there, is ready with the same port when it is', async () => {
    const ports = await freePorts(2)
    const peers = ports.map((port) => `127.0.0.1:${port}`)
    const [first, second] = ports.map((port) => openMesh(port, peers, { onPartition: 'majority' }))
    assert.ok(first && second)
    await assert.rejects(first.ready(), { code: 'store_unavailable', message: /found no view/ })
    await Promise.all([first.ready(), second.ready()])
    assert.equal(await read(second, await write(first, 'x')), 'x')
    await Promise.all([first.close(), second.close()])
  })
})
