import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { createClient, RESP_TYPES } from 'redis'
import { proveLaws, storeExcuses } from '../../src/laws/index.ts'
import { needs } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { type OwnedFleet, startLocalFleet, startProcessFleet } from './fleets.ts'
import { openStoreOf, type StoreKind, type StoreOfKind } from './stores.ts'

const skip = needs('redis-server')

for (const kind of ['redis by node-redis', 'redis by ioredis'] as const) {
  describe(`${kind}, two nodes in one process,`, { skip }, async () => {
    if (skip !== false) return
    const { fleet, end } = await startLocal(kind)
    after(end)
    proveLaws({ fleet, partial: true, test: keeps })
  })
}

describe('redis by url, three processes,', { skip }, async () => {
  if (skip !== false) return
  const redis = await startRedis()
  const proxies = await startProxies(3, redis.port)
  const fleet = await startProcessFleet(3, 'redis by url', (node) => addressOf(proxies[node]))
  after(async () => {
    await fleet[Symbol.asyncDispose]()
    await Promise.all(proxies.map((proxy) => proxy.close()))
    await redis.stop()
  })
  const { nodes, expectLost } = losing(fleet, proxies)
  after(expectLost)
  const proven = { ...fleet, nodes, contents: () => contentsOf(redis.url) }
  proveLaws({ fleet: proven, excuses: storeExcuses.redis, test: keeps })
})

function keeps(title: string, body: () => Promise<void>): void {
  void test(`keeps ${title}`, body)
}

async function startLocal(kind: StoreKind): Promise<{ fleet: OwnedFleet; end: () => Promise<void> }> {
  const redis = await startRedis()
  const proxies = await startProxies(2, redis.port)
  const opened: StoreOfKind[] = await Promise.all(proxies.map((proxy) => openStoreOf(kind, addressOf(proxy))))
  const fleet = await startLocalFleet(2, (node) => {
    const store = opened[node]
    assert.ok(store)
    return store.definition
  })
  const { nodes, expectLost } = losing(fleet, proxies)
  const end = async (): Promise<void> => {
    await expectLost()
    await fleet[Symbol.asyncDispose]()
    await Promise.all(opened.map((store) => store.close()))
    await Promise.all(proxies.map((proxy) => proxy.close()))
    await redis.stop()
  }
  return { fleet: { ...fleet, nodes, contents: () => contentsOf(redis.url) }, end }
}

function startProxies(count: number, port: number): Promise<TcpProxy[]> {
  return Promise.all(Array.from({ length: count }, () => startTcpProxy({ to: { port } })))
}

function addressOf(proxy: TcpProxy | undefined): string {
  assert.ok(proxy)
  return `redis://127.0.0.1:${proxy.port}`
}

/** The nodes of the fleet, whose next script call is done by the server and its answer cut off when a law asks for that. */
function losing(
  fleet: OwnedFleet,
  proxies: readonly TcpProxy[],
): { nodes: OwnedFleet['nodes']; expectLost: () => Promise<void> } {
  const losses: Promise<void>[] = []
  const nodes = fleet.nodes.map((node, index) => ({
    get url() {
      return node.url
    },
    stop: () => node.stop(),
    start: () => node.start(),
    ...(node.kill ? { kill: () => node.kill?.() ?? Promise.resolve() } : {}),
    async loseNextAnswer() {
      const loss = proxies[index]?.dropNextAnswer('EVALSHA')
      if (loss) losses.push(loss)
    },
  }))
  const expectLost = async (): Promise<void> => {
    assert.equal(losses.length, 6, 'answers that were to be lost')
    await Promise.all(losses)
  }
  return { nodes, expectLost }
}

/** Every key, what Redis would write of its value into a file, and the value as it is. */
async function contentsOf(url: string): Promise<(string | Uint8Array)[]> {
  const client = createClient({ url })
  await client.connect()
  const contents: (string | Uint8Array)[] = []
  const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
  for await (const keys of client.scanIterator()) {
    for (const key of keys) {
      const dump: unknown = await binary.dump(key)
      contents.push(key, JSON.stringify(await client.hGetAll(key)))
      if (Buffer.isBuffer(dump)) contents.push(dump)
    }
  }
  client.destroy()
  assert.ok(contents.length > 0)
  return contents
}
