import type * as Redis from 'redis'
import { StoreUnavailableError } from '../../core/index.ts'
import { type Client, toClient } from './client.ts'
import { CALLS_MAX, OWN_COMMANDS_MAX } from './limits.ts'

/** Longest pause between two attempts to connect, so that a server that is back is noticed soon. */
const RECONNECT_PAUSE_MAX_MS = 500

/** A connection whose server is silent for so long is given up, however short the deadline: servers pause to fork. */
const SILENCE_MIN_MS = 1_000

/** A client of our own, made with the package `redis`. */
export interface OwnClient {
  readonly client: Client
  close(): void
}

/** @throws TypeError for what is not the URL of a Redis; its text, which may hold a password, is not told */
export function checkUrl(url: unknown): string {
  if (typeof url === 'string' && URL.canParse(url) && ['redis:', 'rediss:'].includes(new URL(url).protocol)) return url
  throw new TypeError(
    'url is not the URL of a Redis server; give redis://user:password@host:port/database, or rediss: for TLS',
  )
}

/** Makes a client that connects, and connects again, by itself. */
export async function openOwnClient(url: string, deadlineMs: number): Promise<OwnClient> {
  const { createClient } = await importRedis()
  const silenceMs = Math.max(deadlineMs, SILENCE_MIN_MS)
  const own = createClient({
    url,
    // Calls that wait for a connection wait in the store, within their deadline.
    disableOfflineQueue: true,
    // The store lets no more be under way; the client's own PING and HELLO come on top.
    commandsQueueMaxLength: CALLS_MAX + OWN_COMMANDS_MAX,
    // Together they notice a connection that is dead without having been closed.
    pingInterval: silenceMs / 2,
    socket: {
      socketTimeout: silenceMs,
      connectTimeout: silenceMs,
      reconnectStrategy: (retries) => Math.min(2 ** retries * 25, RECONNECT_PAUSE_MAX_MS) * (0.5 + Math.random() / 2),
    },
  })
  own.on('error', () => {}) // the store's link listens; an error after it has gone must not end the process
  own.connect().catch(() => {}) // it rejects only when it was closed meanwhile
  return { client: toClient(own), close: () => own.destroy() }
}

async function importRedis(): Promise<typeof Redis> {
  try {
    return await import('redis')
  } catch (error) {
    const message = 'redisStore({ url }) needs the package redis: npm install redis; or give it a connected client'
    throw new StoreUnavailableError(message, { cause: error })
  }
}
