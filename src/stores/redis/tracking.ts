import type { Client, Duplicate } from './client.ts'
import { inTime } from './ear.ts'
import { isReply, toCause, toStoreError } from './failure.ts'

/** The connections that carry all commands, and on which the servers tell of changes to what was read over them. */
export interface Tracked {
  readonly client: Client
  /** Rises with each new connection; `undefined` while nothing is told. */
  readonly epoch: number | undefined
  /** Resolves when everything that the servers told before this call has been heard. */
  barrier(): Promise<unknown>
  close(): void
}

export interface TrackingOptions {
  /** Longest time for the connection to open. */
  readonly deadlineMs: number
  /** A key was changed by another connection, or is gone; `null`: all keys are. */
  invalidated(key: string | null): void
  /** A new connection: nobody tells any more of what was read over the one before. */
  renewed(): void
}

interface NodeRedisTracked {
  sendCommand(args: string[]): Promise<unknown>
  on(event: 'invalidate', listener: (key: string | Buffer | null) => void): unknown
}

/**
 * Opens a client like this one that is told of changes, by the invalidations of RESP3.
 *
 * @param base a client that can be used, whose connection may be tried out on
 * @returns why it cannot be, where it cannot
 */
export async function openTracked(base: Duplicate, options: TrackingOptions): Promise<Tracked | string> {
  const { client, native } = base
  if ('call' in native) return 'ioredis does not show what Redis tells of changes; give a client of redis, or a url'
  if (client.kind !== 'server') return `a ${client.kind} client is not tracked yet`
  let own: Duplicate
  try {
    own = client.duplicate({ emitInvalidate: true, clientSideCache: undefined })
  } catch (error) {
    return `this client cannot be told of changes: ${toCause(error).message}`
  }
  const { promise: opened, resolve } = Promise.withResolvers<void>()
  const tracked = track(own, { ...options, renewed: () => (resolve(), options.renewed()) })
  try {
    const refusal = await tryOut(native as unknown as NodeRedisTracked)
    if (refusal === undefined) await inTime(opened, options.deadlineMs)
    else own.close()
    return refusal ?? tracked
  } catch (error) {
    own.close()
    throw error
  }
}

function track(own: Duplicate, options: TrackingOptions): Tracked {
  const native = own.native as unknown as NodeRedisTracked
  let connections = 0
  let epoch: number | undefined
  own.client.on('ready', () => {
    const mine = (connections += 1)
    epoch = undefined
    options.renewed()
    // The library has turned tracking on. Of its own writes a node needs not be told: its copies follow them.
    native.sendCommand(['CLIENT', 'TRACKING', 'ON', 'NOLOOP']).then(
      () => void (epoch = mine === connections ? mine : epoch),
      () => {}, // the connection broke, and the next one comes here again
    )
  })
  native.on('invalidate', (key) => options.invalidated(key === null ? null : key.toString()))
  return {
    client: own.client,
    get epoch() {
      return own.client.state === 'ready' ? epoch : undefined
    },
    barrier: () => native.sendCommand(['PING']),
    close: () => own.close(),
  }
}

/** Where it is refused, a client that asks for it never becomes ready. */
async function tryOut(native: NodeRedisTracked): Promise<string | undefined> {
  try {
    await native.sendCommand(['CLIENT', 'TRACKING', 'ON'])
    await native.sendCommand(['CLIENT', 'TRACKING', 'OFF'])
    return undefined
  } catch (error) {
    if (isReply(error)) return `Redis refuses CLIENT TRACKING: ${toCause(error).message}`
    throw toStoreError(error)
  }
}
