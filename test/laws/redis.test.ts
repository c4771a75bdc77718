import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { createClient, RESP_TYPES } from 'redis'
import { type LawFleet, proveLaws, storeExcuses } from '../../src/laws/index.ts'
import { needs } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { type OwnedFleet, startLocalFleet, startProcessFleet } from './fleets.ts'
import { openStoreOf, type StoreKind, type StoreOfKind } from './stores.ts'

const skip = needs('redis-server')
const excuses = storeExcuses.redis

for (const kind of ['redis by node-redis', 'redis by ioredis'] as const) {
  describe(`${kind}, two nodes in one process,`, { skip }, async () => {
    if (skip !== false) return
    const { url, proxies, end } = await startRedisBehind(2)
    const opened = await Promise.all(proxies.map((proxy) => openStoreOf(kind, addressOf(proxy))))
    const fleet = await startLocalFleet(2, (node) => definitionOf(opened[node]))
    after(() => fleet[Symbol.asyncDispose]())
    after(() => Promise.all(opened.map((store) => store.close())))
    after(end)
    prove(fleet, url, proxies, { partial: true })
  })
}

describe('redis by url, three processes,', { skip }, async () => {
  if (skip !== false) return
  const { url, proxies, end } = await startRedisBehind(3)
  const kind: StoreKind = 'redis by url'
  const fleet = await startProcessFleet(3, kind, (node) => addressOf(proxies[node]))
  after(() => fleet[Symbol.asyncDispose]())
  after(end)
  prove(fleet, url, proxies, { partial: false })
})

/** The laws, with answers that a proxy cuts off after the server has done what was asked. */
function prove(fleet: OwnedFleet, url: string, proxies: readonly TcpProxy[], { partial }: { partial: boolean }): void {
  const losses: Promise<void>[] = []
  const nodes = fleet.nodes.map((node, index) => {
    const losing = Object.create(node, {
      loseNextAnswer: {
        async value() {
          const loss = proxies[index]?.dropNextAnswer('EVALSHA')
          if (loss) losses.push(loss)
        },
      },
    }) as LawFleet['nodes'][number]
    return losing
  })
  const proven: LawFleet = { ...fleet, nodes, contents: () => contentsOf(url) }
  proveLaws({ fleet: proven, excuses, partial, test: (title, body) => test(`keeps ${title}`, body) })
  test('lost answers on the way', async () => {
    assert.equal(losses.length, 6)
    await Promise.all(losses)
  })
}

/** A Redis with a proxy for each node. */
async function startRedisBehind(
  count: number,
): Promise<{ url: string; proxies: TcpProxy[]; end: () => Promise<void> }> {
  const redis = await startRedis()
  const proxies = await Promise.all(Array.from({ length: count }, () => startTcpProxy({ to: { port: redis.port } })))
  const end = async (): Promise<void> => {
    await Promise.all(proxies.map((proxy) => proxy.close()))
    await redis.stop()
  }
  return { url: redis.url, proxies, end }
}

function addressOf(proxy: TcpProxy | undefined): string {
  assert.ok(proxy)
  return `redis://127.0.0.1:${proxy.port}`
}

function definitionOf(store: StoreOfKind | undefined): StoreOfKind['definition'] {
  assert.ok(store)
  return store.definition
}

/** Every key, its value, and what Redis would write of it into a file. */
async function contentsOf(url: string): Promise<(string | Uint8Array)[]> {
  const client = createClient({ url })
  await client.connect()
  const contents: (string | Uint8Array)[] = []
  async function valueOf(key: string): Promise<unknown> {
    const type = await client.type(key)
    if (type === 'zset') return client.zRangeWithScores(key, 0, -1)
    return type === 'string' ? client.get(key) : client.hGetAll(key)
  }
  const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
  for await (const keys of client.scanIterator()) {
    for (const key of keys) {
      const dump: unknown = await binary.dump(key)
      contents.push(key, JSON.stringify(await valueOf(key)))
      if (Buffer.isBuffer(dump)) contents.push(dump)
    }
  }
  client.destroy()
  assert.ok(contents.length > 0)
  return contents
}
