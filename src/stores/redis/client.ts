/** What the store uses of a Redis client, so that node-redis and ioredis fit without being imported. */

/** A client of the package `redis`, version 6, made by `createClient`. */
export interface NodeRedisLike {
  readonly isOpen: boolean
  readonly isReady: boolean
  sendCommand(args: string[], options?: object): Promise<unknown>
  on(event: string, listener: (error: Error) => void): unknown
  off(event: string, listener: (error: Error) => void): unknown
}

/** A client of the package `ioredis`, version 6. */
export interface IoredisLike {
  readonly status: string
  call(command: string, ...args: string[]): Promise<unknown>
  on(event: string, listener: (error: Error) => void): unknown
  off(event: string, listener: (error: Error) => void): unknown
}

export type RedisClientLike = NodeRedisLike | IoredisLike

/** Whether a command would be sent now (`ready`), perhaps soon (`away`), or never (`closed`). */
export type ClientState = 'ready' | 'away' | 'closed'

/** One client, whichever library it is of. */
export interface Client {
  readonly state: ClientState
  send(args: string[]): Promise<unknown>
  on(event: 'ready' | 'error' | 'end', listener: (error?: Error) => void): void
  off(event: 'ready' | 'error' | 'end', listener: (error?: Error) => void): void
  /** What the user is to do where `state` is `closed`. */
  readonly howToOpen: string
}

/** @throws TypeError for what is neither, and for the kinds of client that do not fit */
export function toClient(client: RedisClientLike): Client {
  if (typeof client !== 'object' || client === null) throw new TypeError(`client is not a Redis client; ${FITTING}`)
  if ('getMasterNode' in client || 'masters' in client || ('isCluster' in client && client.isCluster === true)) {
    throw new TypeError(`a Cluster or Sentinel client of node-redis or ioredis does not fit yet; ${FITTING}`)
  }
  if ('call' in client && 'status' in client) return fromIoredis(client)
  if ('sendCommand' in client && 'isReady' in client) return fromNodeRedis(client)
  throw new TypeError(`client is not a Redis client that is known here; ${FITTING}`)
}

const FITTING = 'give a client made by createClient() of redis or by new Redis() of ioredis, or a url'

// Its default timeout makes an AbortSignal for each command and bounds only its wait in the queue, and a type mapping of
// the application's own would give Buffers.
const COMMAND_OPTIONS = { timeout: undefined, typeMapping: undefined }

function fromNodeRedis(client: NodeRedisLike): Client {
  return {
    get state() {
      if (client.isReady) return 'ready'
      return client.isOpen ? 'away' : 'closed'
    },
    send: (args) => client.sendCommand(args, COMMAND_OPTIONS),
    on: (event, listener) => void client.on(event, listener),
    off: (event, listener) => void client.off(event, listener),
    howToOpen: 'call await client.connect() before the sessions are used, or give redisStore a url',
  }
}

function fromIoredis(client: IoredisLike): Client {
  return {
    get state() {
      // A lazy client connects with its first command.
      if (client.status === 'ready' || client.status === 'wait') return 'ready'
      return client.status === 'end' ? 'closed' : 'away'
    },
    send: ([command = '', ...args]) => client.call(command, ...args),
    on: (event, listener) => void client.on(event, listener),
    off: (event, listener) => void client.off(event, listener),
    howToOpen: 'it gave up or was closed, so make a new one (its retryStrategy says when it gives up), or give a url',
  }
}
