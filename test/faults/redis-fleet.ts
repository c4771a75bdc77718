/** A fleet of real processes on one real Redis, each with a proxy of its own in between, and what may befall them. */

import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import type { Health } from '../../src/core/index.ts'
import { freePorts } from '../support/ports.ts'
import { type NodeProcess, startNode } from '../support/processes.ts'
import { type Redis, startRedis } from '../support/redis.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import type { RedisClientKind, RedisWorkerSettings, RedisWorkerStats } from './redis-worker.ts'

export interface RedisFleetOptions {
  /** One node for each. */
  readonly clients: readonly RedisClientKind[]
  readonly deadlineMs: number
  /** Of each node's store. */
  readonly options?: RedisWorkerSettings['options']
}

/** Leaving an `await using` block ends all of it. */
export interface RedisFleet extends AsyncDisposable {
  /** It keeps all that it acknowledges. */
  readonly redis: Redis
  readonly nodes: readonly RedisNode[]
  /** Ports for visitors. */
  readonly ports: readonly number[]
  /** Resolves once every node says that it is well. */
  healthy(): Promise<void>
}

export interface RedisNode {
  readonly client: RedisClientKind
  readonly port: number
  readonly process: NodeProcess
  /** Between the node and Redis. */
  readonly proxy: TcpProxy
  stats(): Promise<RedisWorkerStats>
}

/** Starts Redis, the proxies and the nodes; resolves when all nodes are ready. */
export async function startRedisFleet({ clients, deadlineMs, options = {} }: RedisFleetOptions): Promise<RedisFleet> {
  await using stack = new AsyncDisposableStack()
  const redis = stack.use(await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] }))
  const ports = await freePorts(clients.length)
  const nodes = await Promise.all(
    clients.map(async (client, index): Promise<RedisNode> => {
      const proxy = stack.use(await startTcpProxy({ to: { port: redis.port } }))
      const http = ports[index] ?? 0
      const settings: RedisWorkerSettings = {
        http,
        client,
        url: `redis://127.0.0.1:${proxy.port}`,
        deadlineMs,
        options,
      }
      const file = new URL('redis-worker.ts', import.meta.url)
      const process = stack.use(startNode(file, { args: [JSON.stringify(settings)], execArgv: ['--expose-gc'] }))
      await process.receive()
      return { client, port: http, process, proxy, stats: () => get<RedisWorkerStats>(http, '/stats') }
    }),
  )
  const owned = stack.move()
  return {
    redis,
    nodes,
    ports,
    async healthy() {
      for (const { port } of nodes) while (!(await get<Health>(port, '/health')).ok) await sleep(20)
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/**
 * What may befall a fleet. Each holds as long as `until` takes, then heals.
 *
 * @param pauseMs how long Redis itself pauses its clients, which nobody can end before
 */
export const redisFaults: Readonly<
  Record<string, (fleet: RedisFleet, until: () => Promise<void>, pauseMs: number) => Promise<void>>
> = {
  async 'kill and restart'({ redis }, until) {
    await redis.kill()
    await until()
    await redis.restart()
  },
  async 'restart at once'({ redis }) {
    await redis.restart()
  },
  async 'CLIENT PAUSE'({ redis }, until, pauseMs) {
    const admin = createClient({ url: redis.url })
    await admin.connect()
    await admin.sendCommand(['CLIENT', 'PAUSE', `${pauseMs}`, 'ALL'])
    await until()
    admin.destroy()
  },
  async SIGSTOP({ redis }, until) {
    redis.pause()
    await until()
    redis.resume()
  },
  async latency({ nodes }, until) {
    for (const { proxy } of nodes) proxy.latency(1_000)
    await until()
    for (const { proxy } of nodes) proxy.latency(0)
  },
  async 'cut connections'({ nodes }) {
    for (const { proxy } of nodes) proxy.cut()
  },
  async 'refused connections'({ nodes }, until) {
    for (const { proxy } of nodes) {
      await proxy.refuse(true)
      proxy.cut()
    }
    await until()
    for (const { proxy } of nodes) await proxy.refuse(false)
  },
  'black hole to Redis': blackHole('up'),
  'black hole from Redis': blackHole('down'),
  'black hole both ways': blackHole('both'),
}

function blackHole(direction: 'up' | 'down' | 'both') {
  return async ({ nodes }: RedisFleet, until: () => Promise<void>): Promise<void> => {
    for (const { proxy } of nodes) proxy.blackHole(direction)
    await until()
    for (const { proxy } of nodes) proxy.blackHole('none')
  }
}

async function get<T>(port: number, path: string): Promise<T> {
  return (await (await fetch(`http://127.0.0.1:${port}${path}`)).json()) as T
}
