/** The program of the demo's nodes: a bare `node:http` server on sessions that it shares with the other nodes. */

import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { createSessions, memoryStore, type StoreDefinition } from '../index.ts'
import { createShop, type ShopData } from './shop.ts'
import type { MeshWatch } from './watched-mesh.ts'
import { runProgram } from './program.ts'
import type { FleetStore } from './stores.ts'

/** What a node is told. */
export interface DemoNodeSettings {
  readonly store: FleetStore
}

await runProgram<DemoNodeSettings>(async ({ name, port, settings: { store } }, secret) => {
  const { definition, watch } = await toStore(store, name)
  const sessions = createSessions<ShopData>({
    store: definition,
    secret,
    // Views come and go while nodes are killed for show; what is wrong is an error.
    logger: { info() {}, warn() {}, error: (facts, message) => console.error(`sojourn: ${message}`, facts) },
    initial: () => ({ views: 0, cart: [] }),
  })
  await sessions.ready()
  const server = createServer(createShop({ name, sessions, mesh: watch }))
  let isStopping = false
  server.on('request', (_, response) => {
    // A connection that is answered after `close` is idle too late for its sweep, and would be kept for seconds.
    response.once('close', () => isStopping && setImmediate(() => server.closeIdleConnections()))
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    async stop() {
      isStopping = true
      await new Promise((resolve) => server.close(resolve))
      await sessions.close()
    },
    abandon() {
      if ('temporary' in store && store.temporary !== undefined) {
        rmSync(store.temporary, { recursive: true, force: true, maxRetries: 3 })
      }
    },
  }
})

/** Only what a store needs is loaded. */
async function toStore(store: FleetStore, node: string): Promise<{ definition: StoreDefinition; watch?: MeshWatch }> {
  switch (store.name) {
    case 'memory':
      return { definition: memoryStore() }
    case 'mesh':
      return (await import('./watched-mesh.ts')).watchedMesh(node, store.ports)
    case 'cookie': {
      const { sqliteStore } = await import('../stores/sqlite/index.ts')
      const { cookieStore } = await import('../stores/cookie/index.ts')
      return { definition: cookieStore({ revocations: sqliteStore({ path: store.path }) }) }
    }
    case 'sqlite':
      return { definition: (await import('../stores/sqlite/index.ts')).sqliteStore({ path: store.path }) }
    case 'redis': {
      const { url, keyPrefix } = store
      return { definition: (await import('../stores/redis/index.ts')).redisStore({ url, keyPrefix }) }
    }
  }
}
