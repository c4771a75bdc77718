/** One server, a Cluster and Sentinels for the laws, with a proxy before each server for each node of a fleet. */

import assert from 'node:assert/strict'
import { createClient, RESP_TYPES } from 'redis'
import { startRedisCluster } from '../support/redis-cluster.ts'
import { startRedisSentinel } from '../support/redis-sentinel.ts'
import { type Redis, startRedis } from '../support/redis.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import type { RedisPlace } from './stores.ts'

export type DeploymentName = 'redis' | 'cluster' | 'sentinel'

/** A running deployment. */
export interface Deployment {
  /** Where a node finds it: for one server its URL, else {@link RedisPlace} as JSON. */
  place(node: number): string

  /** Arms the loss of the next answer to a script of a node; resolves with its proxy when it was lost. */
  loseNextAnswer(node: number): Promise<unknown>

  /** All that it holds at rest. */
  contents(): Promise<(string | Uint8Array)[]>

  end(): Promise<void>
}

/** @param count nodes of the fleet */
export async function startDeployment(name: DeploymentName, count: number): Promise<Deployment> {
  switch (name) {
    case 'redis': {
      const redis = await startRedis()
      return deployment({
        count,
        servers: [redis],
        stop: () => redis.stop(),
        toPlace: ([port]) => `redis://127.0.0.1:${port}`,
      })
    }
    case 'cluster': {
      const cluster = await startRedisCluster()
      const { masters } = cluster
      const nodes = masters.map(({ port }) => `127.0.0.1:${port}`)
      return deployment({
        count,
        servers: masters,
        stop: () => cluster.stop(),
        toPlace: (ports) => toJson({ name: '', nodes, ports: mapped(masters, ports) }),
      })
    }
    case 'sentinel': {
      const sentinel = await startRedisSentinel({ replicas: 1 })
      const { servers, name, nodes } = sentinel
      return deployment({
        count,
        servers,
        stop: () => sentinel.stop(),
        toPlace: (ports) => toJson({ name, nodes, ports: mapped(servers, ports) }),
      })
    }
  }
}

interface Parts {
  readonly count: number
  readonly servers: readonly Redis[]
  stop(): Promise<void>
  /** @param ports of the proxies, in the order of the servers */
  toPlace(ports: readonly number[]): string
}

async function deployment({ count, servers, ...parts }: Parts): Promise<Deployment> {
  const proxies = await Promise.all(
    Array.from({ length: count }, () => Promise.all(servers.map(({ port }) => startTcpProxy({ to: { port } })))),
  )
  return {
    place: (node) => parts.toPlace(proxiesOf(node).map(({ port }) => port)),
    async loseNextAnswer(node) {
      let isFound = false
      const next = (chunk: Buffer): boolean => !isFound && (isFound = chunk.includes('EVALSHA'))
      await Promise.any(proxiesOf(node).map((proxy) => proxy.dropNextAnswer(next)))
    },
    async contents() {
      const contents = await Promise.all(servers.map(({ url }) => contentsOf(url)))
      assert.ok(contents.flat().length > 0)
      return contents.flat()
    },
    async end() {
      await Promise.all(proxies.flat().map((proxy) => proxy.close()))
      await parts.stop()
    },
  }

  function proxiesOf(node: number): readonly TcpProxy[] {
    return proxies[node] ?? []
  }
}

function toJson(place: RedisPlace): string {
  return JSON.stringify(place)
}

function mapped(servers: readonly Redis[], ports: readonly number[]): Record<string, number> {
  return Object.fromEntries(servers.map(({ port }, index) => [`127.0.0.1:${port}`, ports[index] ?? 0]))
}

/** Every key, its value, and what Redis would write of it into a file. */
async function contentsOf(url: string): Promise<(string | Uint8Array)[]> {
  const client = createClient({ url })
  await client.connect()
  const contents: (string | Uint8Array)[] = []
  const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
  const read: Record<string, (key: string) => Promise<unknown>> = {
    hash: (key) => client.hGetAll(key),
    zset: (key) => client.zRange(key, 0, -1),
    string: (key) => client.get(key),
  }
  for await (const keys of client.scanIterator()) {
    for (const key of keys) {
      const dump: unknown = await binary.dump(key)
      contents.push(key, JSON.stringify(await read[await client.type(key)]?.(key)))
      if (Buffer.isBuffer(dump)) contents.push(dump)
    }
  }
  client.destroy()
  return contents
}
