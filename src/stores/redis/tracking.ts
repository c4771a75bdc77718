import type { Client, Duplicate } from './client.ts'
import { type Connection, Connections } from './connections.ts'
import { inTime } from './ear.ts'
import { isReply, toCause, toStoreError } from './failure.ts'
import { TRACKED_KEYS_MAX, TRACKED_KEYS_MIN, TRACKED_KEYS_PART } from './limits.ts'
import { COMMAND_OPTIONS } from './node-redis.ts'
import { standingOf } from './standing.ts'

/** The connections that carry all commands, and on which the servers tell of changes to what was read over them. */
export interface Tracked {
  readonly client: Client
  /** Rises whenever nobody tells any more of what was read before; `undefined` while nothing is told. */
  readonly epoch: number | undefined
  /**
   * Resolves when everything that the servers told before this call has been heard, and what they may have failed to tell
   * was made good.
   */
  barrier(): Promise<void>
  close(): void
}

export interface TrackingOptions {
  /** Longest time for the connections to open. */
  readonly deadlineMs: number
  /** A key was changed by another connection, or is gone; `null`: all keys are. */
  invalidated(key: string | null): void
  /** Nobody tells any more of what was read before. */
  renewed(): void
  /** A server may have kept something to itself. */
  doubted(): void
}

interface ClusterNatives {
  readonly masters: readonly object[]
  readonly nodeByAddress: ReadonlyMap<string, { readonly client?: Connection }>
  nodeClient(node: object | undefined): Promise<Connection>
  on(event: 'node-connect' | 'node-ready', listener: () => void): unknown
}

interface SentinelNatives {
  readonly clientSideCache?: { on(event: 'invalidate', listener: (key: string | Buffer | null) => void): unknown }
  /** Lends the connection to the master of this moment. */
  _execute<T>(isReadonly: boolean, use: (connection: Connection) => Promise<T>): Promise<T>
}

const TOLD = { emitInvalidate: true, clientSideCache: undefined }

/**
 * Opens a client like this one that is told of changes, by the invalidations of RESP3.
 *
 * @param base a client that can be used, whose connections may be tried out on
 * @returns why it cannot be, where it cannot
 */
export async function openTracked(base: Duplicate, options: TrackingOptions): Promise<Tracked | string> {
  const { client, native } = base
  if ('call' in native) return 'ioredis does not show what Redis tells of changes; give a client of redis, or a url'
  if (client.kind === 'sentinel' && !('_execute' in native)) {
    return 'this client of Sentinels does not show its connection; use redis 6, or the option sentinel'
  }
  let own: Duplicate
  try {
    // A sentinel client offers no other way to be told.
    own = client.duplicate(client.kind === 'sentinel' ? { clientSideCache: { maxEntries: 1 } } : TOLD)
  } catch (error) {
    return `this client cannot be told of changes: ${toCause(error).message}`
  }
  try {
    const keysMax = await inTime(tryOut(base), options.deadlineMs)
    if (typeof keysMax === 'string') {
      own.close()
      return keysMax
    }
    const tracked = track(own, keysMax, options)
    await inTime(whenOpen(own.client), options.deadlineMs)
    return tracked
  } catch (error) {
    own.close()
    throw error
  }
}

function track(own: Duplicate, keysMax: number, options: TrackingOptions): Tracked {
  const { client } = own
  const told = (key: string | Buffer | null): void => options.invalidated(key === null ? null : key.toString())
  const watches = new WeakMap<Connection, ReturnType<typeof watchOmissions>>()
  const inspect = async (connection: Connection): Promise<string> => {
    const [stats, standing] = await Promise.all([
      connection.sendCommand(['INFO', 'stats']),
      client.kind === 'cluster' ? standingOf(connection) : '',
    ])
    const isSure = watches.get(connection) ?? watchOmissions(keysMax)
    watches.set(connection, isSure)
    if (!isSure(String(stats))) options.doubted()
    return standing
  }
  const connections = new Connections({ invalidated: told, renewed: () => options.renewed(), inspect })
  const takeIn = { server: takeInServer, cluster: takeInCluster, sentinel: takeInSentinel }[client.kind]
  const carrying = takeIn(own, connections, told)
  return {
    client: carrying,
    get epoch() {
      return client.state === 'ready' ? connections.epoch : undefined
    },
    barrier: () => connections.barrier(),
    close: () => own.close(),
  }
}

function takeInServer({ client, native }: Duplicate, connections: Connections): Client {
  connections.adopt(native as unknown as Connection)
  return client
}

/** Its connections come and go with what the Cluster is like. */
function takeInCluster({ client, native }: Duplicate, connections: Connections): Client {
  const cluster = native as unknown as ClusterNatives
  const look = (): void => {
    for (const { client: connection } of cluster.nodeByAddress.values()) if (connection) connections.adopt(connection)
  }
  cluster.on('node-connect', look)
  cluster.on('node-ready', look)
  look()
  return client
}

/** Its connection is another after each failover, so it is looked at with each command. */
function takeInSentinel(
  { client, native }: Duplicate,
  connections: Connections,
  told: (key: string | Buffer | null) => void,
): Client {
  const sentinel = native as unknown as SentinelNatives
  sentinel.clientSideCache?.on('invalidate', told)
  const send: Client['send'] = (_, args) =>
    sentinel._execute(false, (connection) => {
      connections.adopt(connection)
      return connection.sendCommand(args, COMMAND_OPTIONS)
    })
  return Object.create(client, { send: { value: send } }) as Client
}

/**
 * With NOLOOP Redis keeps to itself not only what a client has written: also what it drops *while it serves a command of
 * that client*, from its table of tracked keys where that is full, and from its memory where it evicts. Its counters tell
 * that it may have.
 */
function watchOmissions(keysMax: number): (stats: string) => boolean {
  let evicted: string | undefined
  return (stats) => {
    const [, keys] = /^tracking_total_keys:(\d+)/m.exec(stats) ?? []
    const [, evictedNow = ''] = /^evicted_keys:(\d+)/m.exec(stats) ?? []
    const isFull = keys === undefined || Number(keys) > keysMax * TRACKED_KEYS_PART
    const hasEvicted = evicted !== undefined && evicted !== evictedNow
    evicted = evictedNow
    return !isFull && !hasEvicted
  }
}

async function whenOpen(client: Client): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const look = (): void => void (client.state === 'ready' && resolve())
  client.on('ready', look)
  look()
  await promise.finally(() => client.off('ready', look))
}

async function connectionsOf({ client, native }: Duplicate): Promise<Connection[]> {
  if (client.kind === 'server') return [native as unknown as Connection]
  if (client.kind === 'sentinel')
    return [await (native as unknown as SentinelNatives)._execute(false, async (own) => own)]
  const cluster = native as unknown as ClusterNatives
  return Promise.all(cluster.masters.map((master) => cluster.nodeClient(master)))
}

/** Resolves how many keys are tracked at most, by the server that tracks the fewest, or why none are. */
async function tryOut(base: Duplicate): Promise<number | string> {
  let keysMax = Infinity
  for (const connection of await connectionsOf(base)) {
    const refusal = await tryOutOn(connection, base.client.kind)
    if (refusal !== undefined) return refusal
    const setting = await connection.sendCommand(['CONFIG', 'GET', 'tracking-table-max-keys']).catch(() => '')
    const [digits = TRACKED_KEYS_MAX] = /\d+/.exec(JSON.stringify(setting)) ?? []
    keysMax = Math.min(keysMax, Number(digits) || Infinity) // 0 is no limit
  }
  if (keysMax >= TRACKED_KEYS_MIN) return keysMax
  return `tracking-table-max-keys of Redis is ${keysMax}; copies need at least ${TRACKED_KEYS_MIN}`
}

/** Where it is refused, a client that asks for it never becomes ready. */
async function tryOutOn(connection: Connection, kind: Client['kind']): Promise<string | undefined> {
  try {
    await connection.sendCommand(['CLIENT', 'TRACKING', 'ON'])
    await connection.sendCommand(['CLIENT', 'TRACKING', 'OFF'])
    if (kind === 'cluster') await standingOf(connection)
    const hello = JSON.stringify(await connection.sendCommand(['HELLO']))
    return /"proto"[:,]"?3/.test(hello)
      ? undefined
      : 'this client does not speak RESP3; make it without the option RESP'
  } catch (error) {
    const needed = kind === 'cluster' ? 'CLIENT TRACKING, CLUSTER INFO or CLUSTER NODES' : 'CLIENT TRACKING'
    if (isReply(error)) return `Redis refuses ${needed}: ${toCause(error).message}`
    throw toStoreError(error)
  }
}
