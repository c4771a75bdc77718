/** Where a fleet keeps its sessions: made for one run, and removed after it. */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Child, startChild, toSibling } from './child.ts'
import type { RedisKeeperSettings } from './redis-keeper.ts'

export const FLEET_STORES = ['sqlite', 'redis', 'memory'] as const

/** Which store a fleet runs on. */
export type FleetStoreName = (typeof FLEET_STORES)[number]

/** What the demo's node is told of its store. */
export type FleetStore =
  | { readonly name: 'memory' }
  | { readonly name: 'sqlite'; readonly path: string }
  | { readonly name: 'redis'; readonly url: string; readonly keyPrefix: string }

/** Options of {@link openFleetStore}. */
export interface FleetStoreOptions {
  readonly name: FleetStoreName
  /** Folder of the SQLite file, which stays. Default: a temporary one. */
  readonly folder?: string | undefined
  /** A Redis that is there already. Default: a redis-server of the fleet's own. */
  readonly redisUrl?: string | undefined
}

/** A place for sessions. */
export interface OpenFleetStore {
  readonly store: FleetStore
  /** Where it is, in words that may be printed. */
  readonly where: string
  /** Ends what was started and removes what was made for it. */
  close(): Promise<void>
}

const REDIS_STARTS_MAX = 5

/** Makes a place for the sessions of one run. Rejects with what to install, or to give, where it cannot. */
export async function openFleetStore({ name, folder, redisUrl }: FleetStoreOptions): Promise<OpenFleetStore> {
  switch (name) {
    case 'memory':
      return { store: { name }, where: "in each node's own memory", close: async () => {} }
    case 'sqlite': {
      if (folder !== undefined) await mkdir(folder, { recursive: true })
      const place = folder ?? (await makeFolder())
      const path = join(place, 'sessions.db')
      const close = async (): Promise<void> => (folder === undefined ? removeFolder(place) : undefined)
      return { store: { name, path }, where: `in the SQLite file ${path}`, close }
    }
    case 'redis': {
      const keyPrefix = `sojourn-demo-${randomBytes(4).toString('hex')}:`
      if (redisUrl !== undefined) {
        const where = `in the Redis at ${new URL(redisUrl).host}`
        return { store: { name, url: redisUrl, keyPrefix }, where, close: async () => {} }
      }
      const own = await startOwnRedis()
      return { store: { name, url: own.url, keyPrefix }, where: `in a redis-server of its own (${own.host})`, close: own.close }
    }
  }
}

async function startOwnRedis(): Promise<{ url: string; host: string; close(): Promise<void> }> {
  const folder = await makeFolder()
  const password = randomBytes(24).toString('hex')
  try {
    const keeper = await startKeeper({ folder, password })
    const host = `127.0.0.1:${keeper.port}`
    const close = async (): Promise<void> => {
      await keeper.stop()
      await removeFolder(folder)
    }
    return { url: `redis://:${password}@${host}`, host, close }
  } catch (error) {
    await removeFolder(folder)
    throw error
  }
}

/** redis-server cannot pick a port by itself and say which, so it is given one that was free a moment ago. */
async function startKeeper(settings: RedisKeeperSettings): Promise<Child> {
  for (let starts = 1; ; starts += 1) {
    const place = { name: 'redis-server', port: await freePort(), settings }
    try {
      return await startChild({ program: toSibling('redis-keeper'), place })
    } catch (error) {
      if (starts === REDIS_STARTS_MAX || !/Address already in use/.test(String(error))) throw error
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await once(server.close(), 'close')
  return typeof address === 'object' && address ? address.port : 0
}

function makeFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'sojourn-demo-'))
}

function removeFolder(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true, maxRetries: 3 })
}
