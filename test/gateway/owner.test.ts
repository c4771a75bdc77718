import assert from 'node:assert/strict'
import { after, before, suite, test, type TestContext } from 'node:test'
import { ownerAffinity, type OwnerServer } from '../../src/affinity/index.ts'
import type { ShopAnswer } from '../../src/fleet/shop.ts'
import type { Visitor } from '../../src/fleet/visitor.ts'
import type { GatewayServer } from '../../src/gateway/index.ts'
import { askWith, hopsOf, type MeshFleet, settle, startMeshFleet } from './support/mesh-fleet.ts'
import { openSocket, readAll, REFUSING_URL, startGateway } from './support/servers.ts'

type Servers = readonly (OwnerServer & GatewayServer)[]

const VISITORS = 20
/** So many that each of three nodes owns a session of theirs: one has none once in four million runs. */
const MANY_VISITORS = 40
/** Any port serves: only the letters count. */
const GHOST = { name: 'ghost', url: REFUSING_URL, mesh: '127.0.0.1:1' }

suite('owner affinity before a fleet on the mesh', () => {
  const ends: (() => unknown)[] = []
  let mesh: MeshFleet
  before(async () => {
    mesh = await startMeshFleet({
      after: (end) => void ends.push(() => Reflect.apply(end ?? (() => {}), undefined, [])),
    })
  })
  after(() => Promise.all(ends.map((end) => end())))

  test('every session is served by its owner, and no node asks another, for reads and for writes', async (t) => {
    const { url } = await startOwnerGateway(t, mesh.servers)
    const visitors = await settle(url, MANY_VISITORS)
    const hops = await hopsOf(mesh.fleet)
    const answers = await useAll(visitors, url)
    for (const { node, session } of answers) assert.equal(session.holders[0], node.name)
    assert.equal(await hopsOf(mesh.fleet), hops)
    assert.equal(new Set(answers.map(({ node }) => node.name)).size, 3, 'each node owns some')
  })

  test('round robin makes them ask', async (t) => {
    const { url } = await startGateway(t, { servers: mesh.servers, affinity: 'round-robin' })
    const visitors = await settle(url, VISITORS)
    const hops = await hopsOf(mesh.fleet)
    await useAll(visitors, url)
    assert.ok((await hopsOf(mesh.fleet)) > hops)
  })

  const wrongs: [string, (servers: Servers) => Servers][] = [
    [
      'each server is taken for its neighbour',
      (servers) => servers.map((server, index) => ({ ...server, mesh: servers[(index + 1) % 3]?.mesh ?? '' })),
    ],
    [
      'the addresses are none of the mesh',
      (servers) => servers.map((s, index) => ({ ...s, mesh: `nowhere:${index}` })),
    ],
    ['a node is missing', (servers) => servers.slice(1)],
    ['a node is listed that the mesh does not have', (servers) => [...servers, GHOST]],
    ['the zones differ', (servers) => servers.map((server, index) => ({ ...server, zone: `z${index % 2}` }))],
  ]
  for (const [title, toWrong] of wrongs) {
    test(`a wrong route costs a hop and nothing else: ${title}`, async (t) => {
      const { url } = await startOwnerGateway(t, toWrong(mesh.servers))
      const visitors = await settle(url, VISITORS)
      const answers = await useAll(visitors, url)
      for (const { session } of answers) assert.equal(session.views, 2)
    })
  }

  test('a client keeps its node while its address changes, where ip-hash moves it', async (t) => {
    const trustProxy = ['127.0.0.1']
    const owner = await startOwnerGateway(t, mesh.servers, { trustProxy })
    const ipHash = await startGateway(t, { servers: mesh.servers, trustProxy })
    const [visitor] = await settle(owner.url, 1)
    const { cookie } = visitor ?? { cookie: '' }
    const nodesBehind = async (url: string): Promise<Set<string>> => {
      const nodes = new Set<string>()
      for (let index = 0; index < 20; index += 1) {
        const { status, answer } = await askWith(url, { cookie, 'x-forwarded-for': `203.0.${index}.9` })
        assert.deepEqual([status, answer.session.views], [200, 1])
        nodes.add(answer.node.name)
      }
      return nodes
    }
    assert.equal((await nodesBehind(owner.url)).size, 1)
    assert.ok((await nodesBehind(ipHash.url)).size > 1)
  })

  test('clients behind one address are spread over the nodes, where ip-hash has them all at one', async (t) => {
    const { url } = await startOwnerGateway(t, mesh.servers)
    const answers = await useAll(await settle(url, MANY_VISITORS), url)
    assert.equal(new Set(answers.map(({ node }) => node.name)).size, 3)
  })

  test('of several cookies of one name, gateway and node take the same one', async (t) => {
    const { url } = await startOwnerGateway(t, mesh.servers)
    const [one, two] = await settle(url, 2)
    assert.ok(one && two)
    const seen = await one.look(url)
    const { answer } = await askWith(url, { cookie: `${one.cookie}; ${two.cookie}` })
    assert.deepEqual([answer.session.key, answer.node.name], [seen.session.key, seen.session.holders[0]])
  })

  test('what is no token is served, and is not the fault of a server', async (t) => {
    const { url } = await startOwnerGateway(t, mesh.servers)
    const [visitor] = await settle(url, 1)
    const token = /__Host-sid=([^;]+)/.exec(visitor?.cookie ?? '')?.[1] ?? ''
    assert.ok(token.length > 40)
    const forged = `${token.slice(0, -4)}AAAA`
    for (const value of ['', 'garbage', forged, token.slice(1), `${token}=`, '%E0%A4%A', '\u00e9']) {
      const { status, answer } = await askWith(url, { cookie: `__Host-sid=${value}` })
      assert.deepEqual([status, answer.session.key], [200, null], value)
    }
    const many = Array.from({ length: 1500 }, (_, index) => `c${index}=1`).join('; ')
    const { answer } = await askWith(url, { cookie: `${many}; ${visitor?.cookie}` })
    assert.equal(answer.session.views, 1, 'a session among 1,500 other cookies')
    assert.equal((await useAll(await settle(url, 6), url)).length, 6)
  })

  test('a header that is too large is refused by the gateway itself, and the next request served', async (t) => {
    const { url, port } = await startOwnerGateway(t, mesh.servers)
    const huge = `GET /api/session HTTP/1.1\r\nHost: x\r\nCookie: __Host-sid=${'A'.repeat(100_000)}\r\n\r\n`
    const socket = await openSocket(t, port, huge)
    socket.on('error', () => {}) // the rest of what was sent may be answered with a reset
    assert.match(await readAll(socket).catch(() => 'HTTP/1.1 431 '), /^HTTP\/1.1 431 /)
    assert.equal((await askWith(url, {})).status, 200)
  })
})

suite('owner affinity while nodes come and go', () => {
  test('SIGKILL of an owner: its sessions are served by their backups, whole, and again without a hop', async (t) => {
    const { fleet, servers } = await startMeshFleet(t)
    const { url } = await startOwnerGateway(t, servers)
    const visitors = await settle(url, VISITORS)
    const before = await useAll(visitors, url)
    await fleet.kill('node-1')
    const answers = await Promise.all(visitors.map((visitor) => visitor.look(url)))
    for (const [index, { session, node }] of answers.entries()) {
      assert.equal(session.views, 2)
      const [owner, backup] = before[index]?.session.holders ?? []
      assert.equal(node.name, owner === 'node-1' ? backup : owner)
    }
    const hops = await hopsOf(fleet)
    for (const { session } of await useAll(visitors, url)) assert.equal(session.views, 3)
    assert.equal(await hopsOf(fleet), hops)
  })

  test('a rolling restart of every node under load: every request is answered, POST too, and no view is lost', async (t) => {
    const { fleet, servers } = await startMeshFleet(t)
    const { url } = fleet // its own gateway is told before a node is stopped
    const load = new Load(await settle(url, 6), url)
    for (const { name } of servers) await fleet.restart(name)
    await load.stop()
    t.diagnostic(`${load.reads} reads, ${load.views} views; refused views: ${load.refusedViews.join('; ') || 'none'}`)
    assert.deepEqual([load.refusedReads, load.refusedViews], [[], []])
    assert.ok(load.reads > 0 && load.views > 0)
    await load.verify(fleet.nodes)
  })

  test('SIGKILL and restart of one node after the other under load: every GET is answered, nothing acknowledged is lost', async (t) => {
    const { fleet, servers } = await startMeshFleet(t)
    const { url } = await startOwnerGateway(t, servers)
    const load = new Load(await settle(url, 6), url)
    for (const { name } of servers) {
      await fleet.kill(name)
      await fleet.restart(name)
      await load.more(60) // what the restarted node keeps is copied meanwhile
    }
    await load.stop()
    t.diagnostic(`${load.reads} reads, ${load.views} views; refused views: ${load.refusedViews.join('; ') || 'none'}`)
    assert.deepEqual(load.refusedReads, [])
    await load.verify(fleet.nodes)
  })
})

async function startOwnerGateway(
  t: TestContext,
  servers: Servers,
  options: { trustProxy?: readonly string[] } = {},
): Promise<{ url: string; port: number }> {
  return startGateway(t, { servers, affinity: ownerAffinity(servers), ...options })
}

/** A view and a read of each. */
async function useAll(visitors: readonly Visitor[], url: string): Promise<ShopAnswer[]> {
  await Promise.all(visitors.map((visitor) => visitor.act(url, 'view')))
  return Promise.all(visitors.map((visitor) => visitor.look(url)))
}

/** Visitors who read and count by turns until they are told to stop. */
class Load {
  reads = 0
  views = 0
  readonly refusedReads: string[] = []
  readonly refusedViews: string[] = []
  readonly #counts: { readonly visitor: Visitor; views: number; refused: number }[]
  readonly #url: string
  readonly #visits: Promise<unknown>
  readonly #waiting = new Set<() => void>()
  #isOver = false

  /** @param visitors with one view each */
  constructor(visitors: readonly Visitor[], url: string) {
    this.#url = url
    this.#counts = visitors.map((visitor) => ({ visitor, views: 1, refused: 0 }))
    this.#visits = Promise.all(this.#counts.map((count) => this.#visit(count)))
  }

  /** Resolves after so many more requests. */
  async more(requests: number): Promise<void> {
    const wanted = this.reads + this.views + requests
    await new Promise<void>((resolve) => this.#waiting.add(() => this.reads + this.views >= wanted && resolve()))
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#visits
  }

  /** Looks at every node for every view that was acknowledged. */
  async verify(nodes: readonly { readonly url: string }[]): Promise<void> {
    for (const node of nodes) {
      for (const { visitor, views, refused } of this.#counts) {
        const { session } = await visitor.look(node.url)
        assert.ok(session.views >= views && session.views <= views + refused, `${session.views}, not ${views}`)
      }
    }
  }

  async #visit(count: { readonly visitor: Visitor; views: number; refused: number }): Promise<void> {
    while (!this.#isOver) {
      try {
        await count.visitor.look(this.#url)
        this.reads += 1
      } catch (error) {
        this.refusedReads.push(String(error))
      }
      try {
        await count.visitor.act(this.#url, 'view')
        count.views += 1
        this.views += 1
      } catch (error) {
        count.refused += 1
        this.refusedViews.push(String(error))
      }
      for (const look of this.#waiting) look()
    }
  }
}
