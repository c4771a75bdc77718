import type { Client, Duplicate } from './client.ts'
import { inTime } from './ear.ts'
import { isReply, toCause, toStoreError } from './failure.ts'
import { TRACKED_KEYS_MAX, TRACKED_KEYS_MIN, TRACKED_KEYS_PART } from './limits.ts'

/** The connections that carry all commands, and on which the servers tell of changes to what was read over them. */
export interface Tracked {
  readonly client: Client
  /** Rises with each new connection; `undefined` while nothing is told. */
  readonly epoch: number | undefined
  /**
   * Resolves when everything that the servers told before this call has been heard, and what they may have failed to tell
   * was made good.
   */
  barrier(): Promise<void>
  close(): void
}

export interface TrackingOptions {
  /** Longest time for the connection to open. */
  readonly deadlineMs: number
  /** A key was changed by another connection, or is gone; `null`: all keys are. */
  invalidated(key: string | null): void
  /** A new connection: nobody tells any more of what was read over the one before. */
  renewed(): void
  /** The server may have kept something to itself. */
  doubted(): void
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
  try {
    const keysMax = await tryOut(native as unknown as NodeRedisTracked)
    if (typeof keysMax !== 'string') {
      const { promise: opened, resolve } = Promise.withResolvers<void>()
      const tracked = track(own, keysMax, { ...options, renewed: () => (resolve(), options.renewed()) })
      await inTime(opened, options.deadlineMs)
      return tracked
    }
    own.close()
    return keysMax
  } catch (error) {
    own.close()
    throw error
  }
}

function track(own: Duplicate, keysMax: number, options: TrackingOptions): Tracked {
  const native = own.native as unknown as NodeRedisTracked
  const isSure = watchOmissions(keysMax)
  let connections = 0
  let epoch: number | undefined
  const onReady = (): void => {
    const mine = (connections += 1)
    epoch = undefined
    options.renewed()
    // The library has turned tracking on. Of its own writes a node needs not be told: its copies follow them.
    native.sendCommand(['CLIENT', 'TRACKING', 'ON', 'NOLOOP']).then(
      () => void (epoch = mine === connections ? mine : epoch),
      () => {}, // the connection broke, and the next one comes here again
    )
  }
  own.client.on('ready', onReady)
  if (own.client.state === 'ready') onReady()
  native.on('invalidate', (key) => options.invalidated(key === null ? null : key.toString()))
  return {
    client: own.client,
    get epoch() {
      return own.client.state === 'ready' ? epoch : undefined
    },
    async barrier() {
      if (!isSure(String(await native.sendCommand(['INFO', 'stats'])))) options.doubted()
    },
    close: () => own.close(),
  }
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

/** Where it is refused, a client that asks for it never becomes ready. Resolves how many keys are tracked at most, or why none. */
async function tryOut(native: NodeRedisTracked): Promise<number | string> {
  try {
    await native.sendCommand(['CLIENT', 'TRACKING', 'ON'])
    await native.sendCommand(['CLIENT', 'TRACKING', 'OFF'])
  } catch (error) {
    if (isReply(error)) return `Redis refuses CLIENT TRACKING: ${toCause(error).message}`
    throw toStoreError(error)
  }
  const setting = await native.sendCommand(['CONFIG', 'GET', 'tracking-table-max-keys']).catch(() => '')
  const [digits = TRACKED_KEYS_MAX] = /\d+/.exec(JSON.stringify(setting)) ?? []
  const keysMax = Number(digits) || Infinity // 0 is no limit
  if (keysMax >= TRACKED_KEYS_MIN) return keysMax
  return `tracking-table-max-keys of Redis is ${keysMax}; copies need at least ${TRACKED_KEYS_MIN}`
}
