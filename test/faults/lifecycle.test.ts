/** Starts and ends that go wrong: each says what to do, leaves nothing behind, and can be tried again. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { describe, test } from 'node:test'
import { createSessions, type Sessions, SojournError } from '../../src/index.ts'
import { meshStore, type MeshStoreOptions } from '../../src/stores/mesh/index.ts'
import { freePorts } from '../support/ports.ts'
import { startFaultFleet } from './fleet.ts'
import { Load } from './load.ts'

const SECRET = 'q7Tz2KcW9vRn4XyB6mLp8JdH3sFg5AeU'

describe('a node of the mesh', { concurrency: true }, () => {
  test('whose port is taken says which and what to do, and starts when it is free', async () => {
    const [port = 0] = await freePorts(1)
    const other = await listen(port)
    await using sessions = open({ listen: { host: '127.0.0.1', port }, peers: [] })
    const error = await rejection(sessions.ready())
    assert.equal(error.code, 'store_unavailable')
    assert.match(error.message, new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}: another process has this port`))
    assert.match(error.message, /listen: \{ port \}/)
    await once(other.close(), 'close')
    // A machine so busy that it stops a node again and again keeps it from beginning: it is asked until it has.
    while (!(await sessions.ready().then(() => true, () => false))); // prettier-ignore
    assert.deepEqual(await sessions.health(), { ok: true, store: 'mesh' })
  })

  test('whose address is not of this machine says so', async () => {
    await using sessions = open({ listen: { host: '192.0.2.1', port: 7373 }, peers: [] })
    const error = await rejection(sessions.ready())
    assert.match(
      error.message,
      /192\.0\.2\.1:7373: this machine has no such address; give meshStore a `listen: \{ host \}`/,
    )
  })

  test('that reaches no peer begins alone with serve; with majority it says what it needs, and goes on when they come', async () => {
    const ports = await freePorts(4)
    const peers = ports.map((port) => `127.0.0.1:${port}`)
    const place = (index: number): MeshStoreOptions => ({
      listen: { host: '127.0.0.1', port: ports[index] ?? 0 },
      peers,
    })
    await using alone = open({ ...place(3), peers: peers.slice(2) })
    await using first = open({ ...place(0), peers: peers.slice(0, 3), onPartition: 'majority' })
    const waiting = rejection(first.ready())
    await alone.ready()
    assert.equal((await alone.health()).ok, true)

    const early = await first.health()
    assert.deepEqual([early.ok, early.error?.code], [false, 'store_unavailable'])
    const error = await waiting
    assert.equal(error.code, 'store_unavailable')
    assert.match(error.message, /are the peers reachable.*same secret.*more than half of 3 nodes must run/)
    await using second = open({ ...place(1), peers: peers.slice(0, 3), onPartition: 'majority' })
    await Promise.all([first.ready(), second.ready()])
    assert.equal((await first.health()).ok, true)
  })

  test('that is closed while it starts ends, refuses what comes later by name, and frees its port', async () => {
    const [port = 0] = await freePorts(1)
    const sessions = open({ listen: { host: '127.0.0.1', port }, peers: [], onPartition: 'majority', expectedNodes: 3 })
    const starting = rejection(sessions.ready())
    const [closed, again] = [sessions.close({ deadline: 200 }), sessions.close()]
    await Promise.all([closed, again])
    assert.equal((await starting).status, 503)
    assert.equal((await rejection(sessions.ready())).code, 'closed')
    assert.equal(
      (await rejection(sessions.open({ headers: { cookie: '' } }).then((session) => session.login('a')))).code,
      'closed',
    )
    assert.deepEqual((await sessions.health()).error?.code, 'closed')
    await once((await listen(port)).close(), 'close')
  })

  test('that is killed with another one of three comes back with it, under majority, and the third begins anew', async () => {
    await using fleet = await startFaultFleet({ mesh: { onPartition: 'majority' } })
    const [first, second] = fleet.nodes
    assert.ok(first && second)
    await Promise.all([first.kill(), second.kill()])
    await Promise.all([first.start(), second.start()])
    await fleet.inOneView()
  })

  test('that is alone warns once that its changes have one copy', async () => {
    const warned: string[] = []
    const [port = 0] = await freePorts(1)
    await using sessions = open({ listen: { host: '127.0.0.1', port }, peers: [] }, (message) => warned.push(message))
    for (const user of ['ann', 'bob']) await (await sessions.open({ headers: {} })).login(user)
    assert.equal(warned.length, 1)
    assert.match(warned[0] ?? '', /one copy alone/)
  })

  test('that was never started closes', async () => {
    await open({ peers: [] }).close()
  })
})

test('SIGTERM while a node starts ends it cleanly, and so does a second one while it hands over', async () => {
  await using fleet = await startFaultFleet({ starting: 2 })
  const [first, second, third] = fleet.nodes
  assert.ok(first && second && third)
  third.begin({ listenFirst: true })
  await third.told('listening')
  assert.deepEqual((await third.stop()).exit, { code: 0, signal: null }, third.output)

  const load = new Load({ customers: 200, ports: [first.port, second.port] })
  await load.open()
  first.signal('SIGTERM')
  first.signal('SIGTERM')
  const { exit } = await first.stop()
  assert.deepEqual(exit, { code: 0, signal: null }, first.output)
  await load.verify([second.port])
  assert.deepEqual(load.tally.violations, [])
})

test('close() with a deadline that is too short for the others says so, and ends', async () => {
  await using fleet = await startFaultFleet({ nodes: 2, starting: 0 })
  const [first, second] = fleet.nodes
  assert.ok(first && second)
  await Promise.all([first.start({ closeMs: 300 }), second.start()])
  await fleet.inOneView()
  second.signal('SIGSTOP') // it takes over nothing
  const { exit } = await first.stop()
  assert.deepEqual(exit, { code: 0, signal: null })
  assert.match(first.output, /closes before the others have taken over.*give close\(\) a longer deadline/)
})

test('health() says that a node without a lease does not serve, and that it serves again', async () => {
  await using fleet = await startFaultFleet({ nodes: 2, mesh: { onPartition: 'majority' } })
  const [first, second] = fleet.nodes
  assert.ok(first && second)
  second.signal('SIGSTOP')
  let health = await first.health()
  while (health.ok) health = await first.health()
  assert.equal(health.error?.code, 'store_unavailable')
  assert.match(health.error.message, /holds no lease/)
  second.signal('SIGCONT')
  while (!health.ok) health = await first.health()
})

function open(mesh: MeshStoreOptions, warn: (message: string) => void = () => {}): Sessions<Record<string, unknown>> {
  const logger = { info() {}, warn: (_: object, message: string) => warn(message), error() {} }
  return createSessions({ store: meshStore(mesh), secret: SECRET, deadline: '20s', logger })
}

async function listen(port: number): Promise<Server> {
  const server = createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

async function rejection(promise: Promise<unknown>): Promise<SojournError> {
  const error: unknown = await promise.then(
    () => assert.fail('it did not reject'),
    (error: unknown) => error,
  )
  assert.ok(error instanceof SojournError, String(error))
  return error
}
