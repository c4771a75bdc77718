/** Where a fleet keeps its sessions: made for one run, and removed after it. */

import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Child, startChild, toSibling } from './child.ts'
import type { RedisKeeperSettings } from './redis-keeper.ts'

export const FLEET_STORES = ['mesh', 'sqlite', 'redis', 'cookie', 'memory'] as const

/** Which store a fleet runs on. */
export type FleetStoreName = (typeof FLEET_STORES)[number]

/** What the demo's node is told of its store. */
export type FleetStore =
  | { readonly name: 'memory' }
  /** `temporary` is a folder that the last process to go removes. */
  | { readonly name: 'sqlite'; readonly path: string; readonly temporary?: string }
  /** The client has the session; the file remembers which have ended. */
  | { readonly name: 'cookie'; readonly path: string; readonly temporary?: string }
  | { readonly name: 'redis'; readonly url: string; readonly keyPrefix: string }
  /** The port on which each node listens for the others, by the node's name. */
  | { readonly name: 'mesh'; readonly ports: Readonly<Record<string, number>> }

/** Options of {@link openFleetStore}. */
export interface FleetStoreOptions {
  readonly name: FleetStoreName
  /** Names of the fleet's nodes. */
  readonly nodes: readonly string[]
  /** Folder of the SQLite file, which stays. Default: a temporary one. */
  readonly folder?: string | undefined
  /** A Redis that is there already. Default: a redis-server of the fleet's own. */
  readonly redisUrl?: string | undefined
  /** Called with what a redis-server of the fleet's own complains of. */
  readonly onOutput?: ((program: string, text: string) => void) | undefined
}

/** A place for sessions. Leaving an `await using` block ends what was started and removes what was made for it. */
export interface OpenFleetStore extends AsyncDisposable {
  readonly store: FleetStore
  /** Where it is, in words that may be printed. */
  readonly where: string
}

const REDIS_STARTS_MAX = 5
const PORT_MIN = 20_000
const PORT_MAX = 32_000
const PORTS_TRIED_MAX = 50

/** Makes a place for the sessions of one run. Rejects with what to install, or to give, where it cannot. */
export async function openFleetStore(options: FleetStoreOptions): Promise<OpenFleetStore> {
  switch (options.name) {
    case 'memory':
      return toOpen({ name: 'memory' }, "in each node's own memory")
    case 'mesh': {
      const ports: Record<string, number> = {}
      for (const name of options.nodes) {
        do ports[name] = await freePort()
        while (new Set(Object.values(ports)).size < Object.keys(ports).length)
      }
      return toOpen({ name: 'mesh', ports }, 'replicated between the nodes')
    }
    case 'sqlite':
      return openFile(options, 'sqlite', 'sessions.db', 'in')
    case 'cookie':
      return openFile(options, 'cookie', 'ends.db', 'sealed in cookies; which have ended, in')
    case 'redis':
      return openRedis(options)
  }
}

async function openFile(
  { folder }: FleetStoreOptions,
  name: 'sqlite' | 'cookie',
  file: string,
  words: string,
): Promise<OpenFleetStore> {
  if (folder !== undefined) {
    await mkdir(folder, { recursive: true })
    const path = join(folder, file)
    return toOpen({ name, path }, `${words} ${path}`)
  }
  const temporary = await makeFolder()
  const path = join(temporary, file)
  return toOpen({ name, path, temporary }, `${words} ${path}`, () => removeFolder(temporary))
}

async function openRedis({ redisUrl, onOutput }: FleetStoreOptions): Promise<OpenFleetStore> {
  const keyPrefix = `sojourn-demo-${randomBytes(4).toString('hex')}:`
  if (redisUrl !== undefined) {
    return toOpen({ name: 'redis', url: redisUrl, keyPrefix }, `in the Redis at ${new URL(redisUrl).host}`)
  }
  const folder = await makeFolder()
  const password = randomBytes(24).toString('hex')
  try {
    const keeper = await startKeeper({ folder, password }, (text) => onOutput?.('redis-server', text))
    const host = `127.0.0.1:${keeper.port}`
    const url = `redis://:${password}@${host}`
    return toOpen({ name: 'redis', url, keyPrefix }, `in a redis-server of its own at ${host}`, async () => {
      await keeper.stop()
      await removeFolder(folder)
    })
  } catch (error) {
    await removeFolder(folder)
    throw error
  }
}

function toOpen(store: FleetStore, where: string, close: () => Promise<void> = async () => {}): OpenFleetStore {
  return { store, where, [Symbol.asyncDispose]: close }
}

/** redis-server cannot pick a port by itself and say which, so it is given one that was free a moment ago. */
async function startKeeper(settings: RedisKeeperSettings, onOutput: (text: string) => void): Promise<Child> {
  for (let starts = 1; ; starts += 1) {
    const place = { name: 'redis-server', port: await freePort(), settings }
    try {
      return await startChild({ program: toSibling('redis-keeper'), place, onOutput })
    } catch (error) {
      if (starts === REDIS_STARTS_MAX || !/Address already in use/.test(String(error))) throw error
    }
  }
}

/** Where a node of a fleet on the mesh is for the others. */
export function toMeshAddress(port: number): string {
  return `127.0.0.1:${port}`
}

/**
 * A port that is free, below those that systems give to outgoing connections (Linux: from 32,768): one of these would else
 * now and then take it before the program does.
 */
async function freePort(): Promise<number> {
  for (let tries = 1; ; tries += 1) {
    const port = randomInt(PORT_MIN, PORT_MAX)
    const server = createServer().listen(port, '127.0.0.1')
    try {
      await once(server, 'listening')
      await once(server.close(), 'close')
      return port
    } catch (error) {
      if (tries === PORTS_TRIED_MAX) throw error
    }
  }
}

function makeFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'sojourn-demo-'))
}

function removeFolder(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true, maxRetries: 3 })
}
