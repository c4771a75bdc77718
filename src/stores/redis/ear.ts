import { StoreUnavailableError } from '../../core/index.ts'
import type { Duplicate } from './client.ts'
import { isReply, toCause } from './failure.ts'

/** A connection of its own on which this node hears channels. */
export interface Ear {
  /** Resolves when the channels are heard for the first time, or why they never will be. */
  readonly opened: Promise<string | undefined>
  /** Whether messages of this moment would be heard. */
  readonly isListening: boolean
  close(): void
}

export interface EarOptions {
  readonly channels: readonly string[]
  heard(channel: string, text: string): void
  /** The channels are heard from now on, for the first time or again: what was said before may have been missed. */
  listening(): void
}

interface NodeRedisEar {
  /** In a Cluster, the connection that hears. */
  readonly pubSubNode?: { readonly client: { readonly isReady: boolean } } | undefined
  subscribe(channels: readonly string[], listener: (message: string, channel: string) => void): Promise<unknown>
}

interface IoredisEar {
  subscribe(...channels: string[]): Promise<unknown>
  on(event: 'message', listener: (channel: string, message: string) => void): unknown
}

/** Listens through a client that it has for itself. Libraries subscribe again by themselves; it is done again all the same. */
export function openEar(own: Duplicate, options: EarOptions): Ear {
  const { client } = own
  const opened = Promise.withResolvers<string | undefined>()
  let hasSubscribed = false
  const subscribe = subscriber(own.native, options)
  const onReady = (): void => {
    subscribe().then(
      () => {
        hasSubscribed = true
        opened.resolve(undefined)
        options.listening()
      },
      (error: unknown) => isReply(error) && opened.resolve(`Redis refuses its channels: ${toCause(error).message}`),
    )
  }
  client.on('ready', onReady)
  if (client.state === 'ready') onReady()
  return {
    opened: opened.promise,
    get isListening() {
      const { pubSubNode } = own.native as unknown as NodeRedisEar
      return hasSubscribed && client.state === 'ready' && pubSubNode?.client.isReady !== false
    },
    close: () => own.close(),
  }
}

function subscriber(native: Duplicate['native'], options: EarOptions): () => Promise<unknown> {
  const { channels } = options
  if ('call' in native) {
    const ear = native as unknown as IoredisEar
    ear.on('message', (channel, text) => options.heard(channel, text))
    return () => ear.subscribe(...channels)
  }
  const ear = native as unknown as NodeRedisEar
  const listener = (text: string, channel: string): void => options.heard(channel, text)
  return () => ear.subscribe(channels, listener)
}

/** @throws StoreUnavailableError when it takes longer */
export async function inTime<T>(work: Promise<T>, deadlineMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const error = new StoreUnavailableError('another connection to Redis could not be opened in time')
    timer = setTimeout(() => reject(error), deadlineMs)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}
