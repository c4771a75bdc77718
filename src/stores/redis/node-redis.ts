/** What the store uses of the package `redis`, version 6, which is not imported here. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { Client, ClientEvent, ClientState, Duplicate } from './client.ts'
import { CONNECT_PAUSE_MS } from './limits.ts'
import { slotOf } from './slot.ts'

interface NodeRedisBase {
  readonly isOpen: boolean
  readonly isReady: boolean
  on(event: string, listener: (error: Error) => void): unknown
  off(event: string, listener: (error: Error) => void): unknown
  connect(): Promise<unknown>
  destroy(): unknown
}

/** A client made by `createClient` of the package `redis`. */
export interface NodeRedisLike extends NodeRedisBase {
  sendCommand(args: string[], options?: object): Promise<unknown>
  duplicate(options?: object): NodeRedisLike
}

/** A client made by `createCluster` of the package `redis`. */
export interface NodeRedisClusterLike extends NodeRedisBase {
  readonly masters: readonly unknown[]
  readonly slots: readonly { readonly master: { readonly address: string } }[]
  sendCommand(
    key: string | undefined,
    isReadonly: boolean | undefined,
    args: string[],
    options?: object,
  ): Promise<unknown>
  readonly nodeByAddress: ReadonlyMap<string, unknown>
  getNodeClientForKey(key: string): Promise<Pick<NodeRedisLike, 'sendCommand'>>
  nodeClient(node: never): Promise<Pick<NodeRedisLike, 'sendCommand'>>
  duplicate(options?: object): NodeRedisClusterLike
}

/** A client made by `createSentinel` of the package `redis`. */
export interface NodeRedisSentinelLike extends NodeRedisBase {
  getMasterNode(): object | undefined
  sendCommand(isReadonly: boolean | undefined, args: string[], options?: object): Promise<unknown>
  duplicate(options?: object): NodeRedisSentinelLike
}

// Its default timeout makes an AbortSignal for each command and bounds only its wait in the queue, and a type mapping of
// the application's own would give Buffers.
export const COMMAND_OPTIONS = { timeout: undefined, typeMapping: undefined }

const HOW_TO_OPEN = 'call await client.connect() before the sessions are used, or give redisStore a url'

export function fromNodeRedis(client: NodeRedisLike): Client {
  const send = (args: string[]): Promise<unknown> => client.sendCommand(args, COMMAND_OPTIONS)
  return {
    ...common(client, { ready: ['ready'], error: ['error'], end: ['end'] }),
    kind: 'server',
    get state() {
      return stateOf(client)
    },
    send: (_, args) => send(args),
    sendInRow: (_, commands) => Promise.allSettled(commands.map(send)),
    duplicate: (options) => connecting(client.duplicate(options), fromNodeRedis),
  }
}

export function fromNodeRedisCluster(cluster: NodeRedisClusterLike): Client {
  const events = { ready: ['connect', 'node-ready'], error: ['error', 'node-error'], end: ['disconnect'] }
  return {
    ...common(cluster, events),
    kind: 'cluster',
    get state() {
      return stateOf(cluster)
    },
    masterOf: (key) => cluster.slots[slotOf(key)]?.master.address,
    async send(key, args) {
      if (key !== undefined) return cluster.sendCommand(key, false, args, COMMAND_OPTIONS)
      // It would ask every master, and fail where one of them is away.
      const node = await cluster.getNodeClientForKey(`${Math.random()}`)
      return node.sendCommand(args, COMMAND_OPTIONS)
    },
    async sendInRow(key, commands, server) {
      const node = server === undefined ? await cluster.getNodeClientForKey(key) : await clientAt(cluster, server)
      return Promise.allSettled(commands.map((args) => node.sendCommand(args, COMMAND_OPTIONS)))
    },
    duplicate(options) {
      const { _options: own } = cluster as { _options?: { defaults?: object } }
      const overrides = options === undefined ? {} : { defaults: { ...own?.defaults, ...options } }
      // A cache of the library's, which is of no use here, would hear of changes in our place.
      return connecting(cluster.duplicate({ clientSideCache: undefined, ...overrides }), fromNodeRedisCluster)
    },
  }
}

function clientAt(cluster: NodeRedisClusterLike, address: string): ReturnType<NodeRedisClusterLike['nodeClient']> {
  const node = cluster.nodeByAddress.get(address)
  if (node === undefined) throw new Error(`the client knows no node ${address}`)
  return cluster.nodeClient(node as never)
}

export function fromNodeRedisSentinel(sentinel: NodeRedisSentinelLike): Client {
  const send = (args: string[]): Promise<unknown> => sentinel.sendCommand(false, args, COMMAND_OPTIONS)
  return {
    ...common(sentinel, { ready: ['ready'], error: ['error'], end: ['end'] }),
    kind: 'sentinel',
    get state() {
      return stateOf(sentinel)
    },
    send: (_, args) => send(args),
    sendInRow: (_, commands) => Promise.allSettled(commands.map(send)),
    // Without a client reserved for it, commands of one moment wait for each other.
    duplicate: (options) => connecting(sentinel.duplicate({ reserveClient: true, ...options }), fromNodeRedisSentinel),
  }
}

/**
 * Lets a client of our own connect, for as long as it takes: clients of a Cluster or Sentinel give up when they find no
 * server at first, and those that are made like a given one when its `reconnectStrategy` says so.
 */
export function connecting<T extends NodeRedisBase & Duplicate['native']>(
  native: T,
  toClient: (native: T) => Client,
): Duplicate {
  const closing = new AbortController()
  const { signal } = closing
  const client = toClient(native)
  let isOpening = false
  async function open(): Promise<void> {
    if (isOpening || signal.aborted) return
    isOpening = true
    for (;;) {
      const isConnected = await native.connect().then(
        () => true,
        () => false,
      )
      if (signal.aborted) return isConnected ? void (await native.destroy()) : undefined
      if (isConnected && native.isOpen) break
      await sleep(CONNECT_PAUSE_MS, undefined, { signal })
    }
    isOpening = false
  }
  const keepOpen = (): void => void open().catch(() => {}) // it was closed meanwhile
  // The store's link listens, too; an error after it has gone must not end the process.
  native.on('error', () => native.isOpen || keepOpen())
  keepOpen()
  return {
    native,
    client: Object.create(client, {
      state: { get: (): ClientState => (signal.aborted ? 'closed' : native.isReady ? 'ready' : 'away') },
    }) as Client,
    close() {
      closing.abort()
      Promise.resolve(native.destroy()).catch(() => {})
    },
  }
}

function stateOf({ isOpen, isReady }: NodeRedisBase): ClientState {
  if (isReady) return 'ready'
  return isOpen ? 'away' : 'closed'
}

function common(
  native: NodeRedisBase,
  names: Readonly<Record<ClientEvent, readonly string[]>>,
): Pick<Client, 'on' | 'off' | 'howToOpen'> {
  return {
    on: (event, listener) => names[event].forEach((name) => native.on(name, listener)),
    off: (event, listener) => names[event].forEach((name) => native.off(name, listener)),
    howToOpen: HOW_TO_OPEN,
  }
}
