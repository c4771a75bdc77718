/** Sockets on one node, and ends on another. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { createSessions, type SessionEvents, type Sessions, StoreUnavailableError } from '../../src/index.ts'
import { issue } from '../../src/testing/index.ts'
import { openStoreOf, type StoreKind } from '../laws/stores.ts'
import { temporaryFolder } from '../support/folders.ts'
import { startOnFreePorts } from '../support/ports.ts'
import { needs } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { type Connected, connect, NEVER, OFTEN, serveSockets, type SocketServer } from './support/sockets.ts'

interface Data {
  views: number
}
type Node = Sessions<Data>

const logger = { info() {}, warn() {}, error() {} }

/** Nodes of one fleet on these places of a store; they end with the test. */
async function startNodes(t: TestContext, kind: StoreKind, places: readonly string[]): Promise<Node[]> {
  const secret = randomBytes(32).toString('base64url')
  const nodes = await Promise.all(
    places.map(async (place) => {
      const store = await openStoreOf(kind, place)
      const node = createSessions({ store: store.definition, secret, logger, initial: (): Data => ({ views: 0 }) })
      t.after(async () => {
        await node.close({ deadline: 100 })
        await store.close()
      })
      return node
    }),
  )
  await Promise.all(nodes.map((node) => node.ready()))
  return nodes
}

const fleets: Partial<Record<StoreKind, (t: TestContext) => Promise<Node[]>>> = {
  sqlite: (t) => onFile(t, 'sqlite'),
  'cookie on sqlite': (t) => onFile(t, 'cookie on sqlite'),
  mesh: (t) => onMesh(t, 'mesh'),
  'redis by url': (t) => onRedis(t, 'redis by url'),
  'redis by ioredis': (t) => onRedis(t, 'redis by ioredis'),
}

function onFile(t: TestContext, kind: StoreKind): Promise<Node[]> {
  const path = join(temporaryFolder(), 'sessions.db')
  return startNodes(t, kind, [path, path])
}

async function onRedis(t: TestContext, kind: StoreKind): Promise<Node[]> {
  const redis = await startRedis()
  t.after(() => redis.stop())
  return startNodes(t, kind, [redis.url, redis.url])
}

async function onMesh(t: TestContext, kind: StoreKind): Promise<Node[]> {
  const { started } = await startOnFreePorts(2, (ports) => {
    const peers = ports.map((port) => `127.0.0.1:${port}`)
    const places = ports.map((port) => JSON.stringify({ listen: { host: '127.0.0.1', port }, peers }))
    return startNodes(t, kind, places)
  })
  return started
}

/** A mesh answers 503 while its view changes. */
async function untilServed<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof StoreUnavailableError) || tries === 10) throw error
    }
  }
}

interface Visitor extends Connected {
  readonly key: string
  /** A request with the visitor's cookies at another node. */
  readonly visit: (node: Node, act: (session: Awaited<ReturnType<Node['open']>>) => Promise<void>) => Promise<void>
  readonly ended: Promise<SessionEvents['ended']>
}

/** A user with a socket at this node. */
async function visitor(t: TestContext, node: Node, { port }: SocketServer<Data>): Promise<Visitor> {
  const { key, cookie } = await untilServed(() => issue(node, { user: 'ada' }))
  const ended = new Promise<SessionEvents['ended']>((resolve) => {
    node.on('ended', (event) => {
      if (event.key === key) resolve(event)
    })
  })
  const connected = await connect(t, port, { cookie })
  assert.equal(await connected.ask('hello'), 'hello')
  return {
    ...connected,
    key,
    ended,
    visit: (node, act) =>
      untilServed(async () => {
        await act(await node.open({ headers: { cookie } }))
      }),
  }
}

/** Stores that tell every node that holds a session of its end, why it came, and of logins. The others are asked again. */
const TELLING: readonly StoreKind[] = ['redis by url', 'redis by ioredis']

function reasonOn(kind: StoreKind, reason: string): string {
  return TELLING.includes(kind) ? reason : 'elsewhere'
}

for (const [kind, start] of Object.entries(fleets) as [StoreKind, (t: TestContext) => Promise<Node[]>][]) {
  const skip = kind.includes('redis') && needs('redis-server')
  test(
    `${kind}: what ends or supersedes a session on one node closes its sockets on the other`,
    { skip },
    async (t) => {
      const [here, there] = await start(t)
      assert.ok(here && there)
      const server = await serveSockets(t, here, { every: TELLING.includes(kind) ? NEVER : OFTEN })

      const out = await visitor(t, here, server)
      const stays = await visitor(t, here, server)
      await out.visit(there, (session) => session.logout())
      assert.deepEqual(await out.closed, { code: 4401, reason: reasonOn(kind, 'logout') })
      assert.deepEqual(await out.ended, { key: out.key, user: 'ada', reason: reasonOn(kind, 'logout') })

      const revoked = await visitor(t, here, server)
      await untilServed(() => there.revoke(revoked.key))
      assert.deepEqual(await revoked.closed, { code: 4401, reason: reasonOn(kind, 'revoked') })

      const login = await visitor(t, here, server)
      await login.visit(there, (session) => session.login('bob'))
      assert.deepEqual(await login.closed, { code: 4401, reason: 'superseded' })
      assert.equal(await stays.ask('still here'), 'still here')
    },
  )
}

suite(
  'redis: a node that is cut off while a session ends elsewhere hears of it',
  { skip: needs('redis-server') },
  () => {
    test('when its connections are reset and refused, and taken again', async (t) => {
      await using redis = await startRedis()
      await using proxy = await startTcpProxy({ to: { port: redis.port } })
      const [here, there] = await startNodes(t, 'redis by url', [`redis://127.0.0.1:${proxy.port}`, redis.url])
      assert.ok(here && there)
      const [asking, told] = [
        await serveSockets(t, here, { every: OFTEN }),
        await serveSockets(t, here, { every: NEVER }),
      ]
      const stays = await visitor(t, here, told)
      for (const server of [told, asking]) {
        const { visit, closed, ended, ask } = await visitor(t, here, server)
        await proxy.refuse(true)
        proxy.cut()
        await visit(there, (session) => session.logout())
        assert.equal(await ask('the node knows no better'), 'the node knows no better')
        await proxy.refuse(false)
        const { code, reason } = await closed
        assert.equal(code, 4401)
        if (server === told) assert.equal(reason, 'logout')
        assert.equal((await ended).user, 'ada')
      }
      assert.equal(await stays.ask('still here'), 'still here')
    })

    test('when nothing passes for a while, and its connections stay', async (t) => {
      await using redis = await startRedis()
      await using proxy = await startTcpProxy({ to: { port: redis.port } })
      const [here, there] = await startNodes(t, 'redis by url', [`redis://127.0.0.1:${proxy.port}`, redis.url])
      assert.ok(here && there)
      const server = await serveSockets(t, here, { every: NEVER })
      const { visit, closed, ended } = await visitor(t, here, server)
      proxy.blackHole('both')
      await visit(there, (session) => session.logout())
      proxy.blackHole('none')
      assert.deepEqual(await closed, { code: 4401, reason: 'logout' })
      assert.equal((await ended).user, 'ada')
    })
  },
)
