/** One interface for every Redis client, so that the store knows neither the library nor the kind of deployment. */

import { fromIoredis, type IoredisClusterLike, type IoredisLike } from './ioredis.ts'
import {
  fromNodeRedis,
  fromNodeRedisCluster,
  fromNodeRedisSentinel,
  type NodeRedisClusterLike,
  type NodeRedisLike,
  type NodeRedisSentinelLike,
} from './node-redis.ts'

export type RedisClientLike =
  | NodeRedisLike
  | NodeRedisClusterLike
  | NodeRedisSentinelLike
  | IoredisLike
  | IoredisClusterLike

/** Whether a command would be sent now (`ready`), perhaps soon (`away`), or never (`closed`). */
export type ClientState = 'ready' | 'away' | 'closed'

/** One client, whichever library it is of. */
export interface Client {
  /** Behind `cluster` and `sentinel` another server may take over, so that a failed command is worth another attempt. */
  readonly kind: 'server' | 'cluster' | 'sentinel'
  readonly state: ClientState

  /** Sends a command to the master that has this key; without one, to any master. MOVED and ASK are followed. */
  send(key: string | undefined, args: string[]): Promise<unknown>

  /** The address of the master that has this key, as the client knows it now. Default: there is one master. */
  masterOf?(key: string): string | undefined

  /**
   * Sends commands one after another over the connection to the master that has this key, with no other wait in between.
   * Each is answered or fails by itself; a library may still send one of them again over another connection. A MOVED or
   * ASK may stand among the answers, and `server` takes the address that it names.
   */
  sendInRow(
    key: string,
    commands: readonly string[][],
    server?: string,
  ): Promise<readonly PromiseSettledResult<unknown>[]>

  /**
   * Another client of the same kind with the same options, which connects by itself, for what needs a connection of its
   * own. `native` is the library's, for what this interface does not offer.
   *
   * @param options of the library, over those of the client; in a Cluster, for the connection to each node
   */
  duplicate(options?: object): Duplicate

  on(event: ClientEvent, listener: (error?: Error) => void): void
  off(event: ClientEvent, listener: (error?: Error) => void): void

  /** What the user is to do where `state` is `closed`. */
  readonly howToOpen: string
}

/** `ready`: some server can be reached now; `error`: some connection failed; `end`: closed for good. */
export type ClientEvent = 'ready' | 'error' | 'end'

/** A client of the store's own. */
export interface Duplicate {
  readonly client: Client
  readonly native: RedisClientLike
  close(): void
}

const FITTING =
  'give a client made by createClient(), createCluster() or createSentinel() of redis, or by new Redis() or new Cluster() of ioredis, or a url'

/** Their constructors have no names to tell them by. */
export function isOfIoredis(client: RedisClientLike | undefined): client is IoredisLike | IoredisClusterLike {
  return typeof client === 'object' && client !== null && 'call' in client && 'status' in client
}

/** @throws TypeError for what is none */
export function toClient(client: RedisClientLike): Client {
  if (typeof client !== 'object' || client === null) throw new TypeError(`client is not a Redis client; ${FITTING}`)
  if (isOfIoredis(client)) return fromIoredis(client)
  if (!('sendCommand' in client && 'isReady' in client)) {
    throw new TypeError(`client is not a Redis client that is known here; ${FITTING}`)
  }
  if ('masters' in client) return fromNodeRedisCluster(client)
  if ('getMasterNode' in client) return fromNodeRedisSentinel(client)
  return fromNodeRedis(client)
}
