/** What the store uses of the package `ioredis`, version 6, which is not imported here. */

import type { Client, ClientEvent, ClientState } from './client.ts'
import { CONNECT_PAUSE_MAX_MS, CONNECT_PAUSE_MS } from './limits.ts'
import { slotOf } from './slot.ts'

interface IoredisBase {
  readonly status: string
  call(command: string, ...args: string[]): Promise<unknown>
  pipeline(commands: string[][]): { exec(): Promise<[Error | null, unknown][] | null> }
  on(event: string, listener: (error: Error) => void): unknown
  off(event: string, listener: (error: Error) => void): unknown
  disconnect(): void
}

/** A client made by `new Redis()` of the package `ioredis`, for one server or, with `sentinels`, for a master that may change. */
export interface IoredisLike extends IoredisBase {
  readonly options: { readonly host?: string | undefined; readonly port?: number | undefined }
  duplicate(options?: object): IoredisLike
}

/** A client made by `new Cluster()` of the package `ioredis`. */
export interface IoredisClusterLike extends IoredisBase {
  readonly isCluster: boolean
  nodes(role: 'master'): IoredisLike[]
  readonly slots: readonly (readonly string[])[]
  duplicate(startupNodes?: never[], options?: object): IoredisClusterLike
}

const EVENTS: Readonly<Record<ClientEvent, readonly string[]>> = {
  ready: ['ready'],
  error: ['error'],
  end: ['end'],
}

const CLUSTER_EVENTS = { ...EVENTS, ready: ['ready', '+node'], error: ['error', 'node error'] }

export function fromIoredis(client: IoredisLike | IoredisClusterLike): Client {
  const names = isCluster(client) ? CLUSTER_EVENTS : EVENTS
  return {
    kind: kindOf(client),
    get state() {
      return stateOf(client.status)
    },
    ...(isCluster(client) ? { masterOf: (key: string) => client.slots[slotOf(key)]?.[0] } : {}),
    // It finds the key among the arguments by itself.
    send: (_, [command = '', ...args]) => client.call(command, ...args),
    async sendInRow(_, commands, server) {
      const node = server !== undefined && isCluster(client) ? nodeAt(client, server) : client
      const answers = await node.pipeline(commands.map((args) => ['call', ...args])).exec()
      return (answers ?? []).map(([reason, value]) =>
        reason === null ? { status: 'fulfilled', value } : { status: 'rejected', reason },
      )
    },
    duplicate(options) {
      // One that gives up would stay away for good, and nobody else could open it again.
      const native = isCluster(client)
        ? client.duplicate([], { clusterRetryStrategy: pauseBefore, ...(options && { redisOptions: options }) })
        : client.duplicate({ retryStrategy: pauseBefore, ...options })
      native.on('error', () => {}) // an error after its user has gone must not end the process
      return { native, client: fromIoredis(native), close: () => native.disconnect() }
    },
    on: (event, listener) => names[event].forEach((name) => client.on(name, listener)),
    off: (event, listener) => names[event].forEach((name) => client.off(name, listener)),
    howToOpen: 'it gave up or was closed, so make a new one (its retryStrategy says when it gives up), or give a url',
  }
}

function nodeAt(cluster: IoredisClusterLike, address: string): IoredisLike {
  const node = cluster.nodes('master').find(({ options: { host, port } }) => `${host}:${port}` === address)
  if (!node) throw new Error(`the client knows no node ${address}`)
  return node
}

function pauseBefore(attempt: number): number {
  return Math.min(attempt * CONNECT_PAUSE_MS, CONNECT_PAUSE_MAX_MS)
}

function isCluster(client: IoredisLike | IoredisClusterLike): client is IoredisClusterLike {
  return 'isCluster' in client && client.isCluster
}

function kindOf(client: IoredisLike | IoredisClusterLike): Client['kind'] {
  if (isCluster(client)) return 'cluster'
  return 'sentinels' in client.options && client.options.sentinels ? 'sentinel' : 'server'
}

function stateOf(status: string): ClientState {
  // A lazy client connects with its first command.
  if (status === 'ready' || status === 'wait') return 'ready'
  return status === 'end' ? 'closed' : 'away'
}
