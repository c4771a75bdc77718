/** A real Redis Cluster of the test's own: three masters, each with a replica where wanted. */

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts } from './ports.ts'
import { askRedis, type Redis, startRedis, untilAnswer } from './redis.ts'

const SLOTS = 16_384

/** What {@link startRedisCluster} starts. */
export interface RedisClusterOptions {
  /** Default: `false`. */
  withReplicas?: boolean

  /** A master that is silent for so long is failed over, in milliseconds. Default: 1,000. */
  nodeTimeoutMs?: number

  /** More of redis-server's options, for every node. */
  args?: readonly string[]
}

/** A running Cluster on 127.0.0.1. Leaving an `await using` block stops it. */
export interface RedisCluster extends AsyncDisposable {
  /** The three that were masters at first, with a third of the slots each. */
  readonly masters: readonly Redis[]

  /** The replica of each, in the same order; none without `withReplicas`. */
  readonly replicas: readonly Redis[]

  /** Of the masters. */
  readonly urls: string[]

  /** The slot of a key. */
  slotOf(key: string): Promise<number>

  /** Resolves the node that serves this slot now, as the first node that runs says. */
  masterOf(slot: number): Promise<Redis>

  /**
   * Moves a slot with its keys to another master, as `redis-cli --cluster reshard` does. Between each two of its steps it
   * awaits `between`, in which the slot is served by both: one answers ASK for the keys that have gone.
   */
  moveSlot(slot: number, from: Redis, to: Redis, between?: () => Promise<void>): Promise<void>

  /** Resolves when every node that runs sees all slots served, and none by this one. */
  untilFailedOver(old: Redis): Promise<void>

  stop(): Promise<void>
}

/** Starts a Cluster; resolves when it serves all slots and its replicas follow. */
export async function startRedisCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const { withReplicas = false } = options
  const nodes = await Promise.all(Array.from({ length: withReplicas ? 6 : 3 }, () => startNode(options)))
  const redises = nodes.map(({ redis }) => redis)
  const masters = redises.slice(0, 3)
  const replicas = redises.slice(3)

  async function stop(): Promise<void> {
    await Promise.all(redises.map((redis) => redis.stop()))
  }

  async function untilServing(old?: Redis): Promise<void> {
    for (const redis of redises) {
      for (;;) {
        const info = await askRedis(redis.port, 'CLUSTER', 'INFO').catch(() => undefined)
        // It was killed.
        if (info === undefined) break
        const serves = new RegExp(`cluster_state:ok[^]*cluster_slots_ok:${SLOTS}`).test(JSON.stringify(info))
        if (serves && !(await slotsOf(redis))?.some(([, , [, port]]) => port === old?.port)) break
        await sleep(20)
      }
    }
  }

  async function masterOf(slot: number): Promise<Redis> {
    for (const redis of redises) {
      const table = await slotsOf(redis)
      const range = table?.find(([from, to]) => from <= slot && slot <= to)
      const found = redises.find(({ port }) => port === range?.[2][1])
      if (found) return found
    }
    throw new Error(`nobody serves slot ${slot}`)
  }

  async function moveSlot(
    slot: number,
    from: Redis,
    to: Redis,
    between = async (): Promise<void> => {},
  ): Promise<void> {
    const [fromId, toId] = [await idOf(from), await idOf(to)]
    await askRedis(to.port, 'CLUSTER', 'SETSLOT', `${slot}`, 'IMPORTING', fromId)
    await askRedis(from.port, 'CLUSTER', 'SETSLOT', `${slot}`, 'MIGRATING', toId)
    await between()
    for (;;) {
      const keys = await askRedis(from.port, 'CLUSTER', 'GETKEYSINSLOT', `${slot}`, '1')
      if (!Array.isArray(keys) || keys.length === 0) break
      await askRedis(from.port, 'MIGRATE', '127.0.0.1', `${to.port}`, '', '0', '5000', 'KEYS', ...keys.map(String))
      await between()
    }
    for (const redis of [to, from, ...masters]) {
      await askRedis(redis.port, 'CLUSTER', 'SETSLOT', `${slot}`, 'NODE', toId)
      await between()
    }
  }

  await Promise.all(
    masters.map(async ({ port }, index) => {
      await askRedis(port, 'CLUSTER', 'SET-CONFIG-EPOCH', `${index + 1}`)
      const [first, last] = [Math.floor((SLOTS * index) / 3), Math.floor((SLOTS * (index + 1)) / 3) - 1]
      await askRedis(port, 'CLUSTER', 'ADDSLOTSRANGE', `${first}`, `${last}`)
    }),
  )
  for (const { redis } of nodes) {
    for (const { redis: other, busPort } of nodes) {
      if (redis !== other) await askRedis(redis.port, 'CLUSTER', 'MEET', '127.0.0.1', `${other.port}`, `${busPort}`)
    }
  }
  await untilServing()
  await Promise.all(replicas.map((replica, index) => follow(replica, masters[index])))
  return {
    masters,
    replicas,
    urls: masters.map(({ url }) => url),
    slotOf: async (key) => Number(await askRedis(masters[0]?.port ?? 0, 'CLUSTER', 'KEYSLOT', key)),
    masterOf,
    moveSlot,
    untilFailedOver: untilServing,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

async function startNode({
  args = [],
  nodeTimeoutMs = 1_000,
}: RedisClusterOptions): Promise<{ redis: Redis; busPort: number }> {
  const [busPort = 0] = await freePorts(1)
  const cluster = [
    '--cluster-enabled',
    'yes',
    '--cluster-port',
    `${busPort}`,
    '--cluster-node-timeout',
    `${nodeTimeoutMs}`,
  ]
  // A replica follows at once, and may take over however long its link was away.
  const quick = ['--repl-diskless-sync-delay', '0', '--cluster-replica-validity-factor', '0']
  return { redis: await startRedis({ args: [...cluster, ...quick, ...args] }), busPort }
}

/** A replica must have heard of its master. */
async function follow(replica: Redis, master: Redis | undefined): Promise<void> {
  assert.ok(master)
  const id = await idOf(master)
  await untilAnswer(replica.port, ['CLUSTER', 'NODES'], new RegExp(id))
  await askRedis(replica.port, 'CLUSTER', 'REPLICATE', id)
  await untilAnswer(replica.port, ['INFO', 'replication'], /master_link_status:up/)
}

async function idOf({ port }: Redis): Promise<string> {
  return String(await askRedis(port, 'CLUSTER', 'MYID'))
}

/** `undefined` where the node does not run. */
async function slotsOf({ port }: Redis): Promise<[from: number, to: number, master: [string, number]][] | undefined> {
  return askRedis(port, 'CLUSTER', 'SLOTS').catch(() => undefined) as never
}
