/** The stores to be proven, by name, so that a node in another process opens the same. */

import { once } from 'node:events'
import { Cluster, Redis as Ioredis } from 'ioredis'
import { createClient, createCluster, createSentinel } from 'redis'
import type { StoreDefinition } from '../../src/core/index.ts'
import { cookieStore } from '../../src/stores/cookie/index.ts'
import { memoryStore } from '../../src/stores/memory/index.ts'
import { meshStore, type MeshStoreOptions } from '../../src/stores/mesh/index.ts'
import { redisStore, type RedisStoreOptions } from '../../src/stores/redis/index.ts'
import { sqliteStore } from '../../src/stores/sqlite/index.ts'
import { writeBehind } from './write-behind.ts'

export type StoreKind = (typeof storeKinds)[number]

export const storeKinds = [
  'memory',
  'sqlite',
  'redis by url',
  'redis by node-redis',
  'redis by ioredis',
  'cluster by address',
  'cluster by node-redis',
  'cluster by ioredis',
  'sentinel by address',
  'sentinel by node-redis',
  'sentinel by ioredis',
  'sqlite behind',
  'mesh',
  'cookie',
  'cookie on sqlite',
  'cookie on redis',
  'cookie on mesh',
] as const

export function isStoreKind(text: string): text is StoreKind {
  return storeKinds.some((kind) => kind === text)
}

/** Where a Cluster or Sentinels are. */
export interface RedisPlace {
  /** Of the master, for Sentinels. */
  readonly name: string
  /** `host:port` of the nodes of the Cluster, or of the Sentinels. */
  readonly nodes: readonly string[]
  /** The port of 127.0.0.1 by which a client is to reach each server, by the server's `host:port`. */
  readonly ports: Readonly<Record<string, number>>
}

/** A store's definition, and what ends the client that it was given. */
export interface StoreOfKind {
  definition: StoreDefinition
  close(): Promise<void>
}

async function close(): Promise<void> {}

/** With `REDIS_COPIES=none` no node has a near cache. */
function ofRedis(options: RedisStoreOptions): StoreDefinition {
  return redisStore({ nearCache: process.env['REDIS_COPIES'] !== 'none', ...options })
}

/** Sealed sessions whose ends this store remembers; a short lease, so that the many logins of the laws take not too long. */
export function revocable(revocations: StoreDefinition): StoreDefinition {
  return cookieStore({ chunks: 2, revocations, lease: '30ms' })
}

/** @param place path of the file, address of the Redis, or {@link RedisPlace} or the options of the mesh as JSON */
export async function openStoreOf(kind: StoreKind, place: string): Promise<StoreOfKind> {
  switch (kind) {
    case 'memory':
      return { definition: memoryStore(), close }
    case 'sqlite':
      return { definition: sqliteStore({ path: place }), close }
    case 'sqlite behind':
      return { definition: writeBehind(sqliteStore({ path: place })), close }
    case 'mesh':
      return { definition: meshStore(JSON.parse(place) as MeshStoreOptions), close }
    case 'cookie':
      return { definition: cookieStore(), close }
    case 'cookie on sqlite':
      return { definition: revocable(sqliteStore({ path: place })), close }
    case 'cookie on redis':
      return { definition: revocable(ofRedis({ url: place })), close }
    case 'cookie on mesh':
      return { definition: revocable(meshStore(JSON.parse(place) as MeshStoreOptions)), close }
    case 'redis by url':
      return { definition: ofRedis({ url: place }), close }
    case 'redis by node-redis': {
      const client = createClient({ url: place })
      await client.on('error', () => {}).connect()
      return { definition: ofRedis({ client }), close: async () => client.destroy() }
    }
    case 'redis by ioredis': {
      const client = new Ioredis(place)
      client.on('error', () => {})
      await once(client, 'ready')
      return { definition: ofRedis({ client }), close: async () => client.disconnect() }
    }
    case 'cluster by address':
    case 'cluster by node-redis':
    case 'cluster by ioredis':
      return openOnCluster(kind, JSON.parse(place) as RedisPlace)
    case 'sentinel by address':
    case 'sentinel by node-redis':
    case 'sentinel by ioredis':
      return openBehindSentinels(kind, JSON.parse(place) as RedisPlace)
  }
}

async function openOnCluster(kind: `cluster by ${string}`, place: RedisPlace): Promise<StoreOfKind> {
  const { nodes } = place
  const urls = nodes.map((node) => `redis://${node}`)
  if (kind === 'cluster by address') return { definition: ofRedis({ cluster: { nodes: urls } }), close }
  if (kind === 'cluster by node-redis') {
    const client = createCluster({ rootNodes: urls.map((url) => ({ url })), nodeAddressMap: mapOf(place) })
    await client.on('error', () => {}).connect()
    return { definition: ofRedis({ client }), close: async () => client.destroy() }
  }
  const client = new Cluster(urls, { natMap: mapOf(place) })
  client.on('error', () => {})
  await once(client, 'ready')
  return { definition: ofRedis({ client }), close: async () => client.disconnect() }
}

async function openBehindSentinels(kind: `sentinel by ${string}`, place: RedisPlace): Promise<StoreOfKind> {
  const { name, nodes } = place
  if (kind === 'sentinel by address') return { definition: ofRedis({ sentinel: { name, nodes } }), close }
  const sentinels = nodes.map(toNode)
  if (kind === 'sentinel by node-redis') {
    const client = createSentinel({
      name,
      sentinelRootNodes: sentinels,
      nodeAddressMap: mapOf(place),
      reserveClient: true,
    })
    await client.on('error', () => {}).connect()
    return { definition: ofRedis({ client }), close: () => client.destroy() }
  }
  const client = new Ioredis({ name, sentinels, natMap: mapOf(place) })
  client.on('error', () => {})
  await once(client, 'ready')
  return { definition: ofRedis({ client }), close: async () => client.disconnect() }
}

interface Node {
  host: string
  port: number
}

function mapOf({ ports }: RedisPlace): Record<string, Node> {
  return Object.fromEntries(Object.entries(ports).map(([node, port]) => [node, { host: '127.0.0.1', port }]))
}

function toNode(node: string): Node {
  const [host = '', port] = node.split(':')
  return { host, port: Number(port) }
}
