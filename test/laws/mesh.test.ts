import { after, describe, test } from 'node:test'
import { proveLaws, storeExcuses } from '../../src/laws/index.ts'
import { meshStore, type MeshStoreOptions } from '../../src/stores/mesh/index.ts'
import { freePorts } from '../support/ports.ts'
import { startLocalFleet, startProcessFleet } from './fleets.ts'

/** The options of each node of a fleet. */
async function placesOf(count: number, copies: number | 'all'): Promise<MeshStoreOptions[]> {
  const ports = await freePorts(count)
  const peers = ports.map((port) => `127.0.0.1:${port}`)
  return ports.map((port) => ({ listen: { host: '127.0.0.1', port }, peers, copies }))
}

for (const copies of [2, 'all'] as const) {
  describe(`mesh with copies ${copies}, three nodes in one process,`, async () => {
    const places = await placesOf(3, copies)
    const fleet = await startLocalFleet(3, (node) => meshStore(places[node] ?? { peers: [] }))
    after(() => fleet[Symbol.asyncDispose]())
    proveLaws({ fleet, partial: true, test: keeps })
  })

  describe(`mesh with copies ${copies}, three processes,`, async () => {
    const places = await placesOf(3, copies)
    const fleet = await startProcessFleet(3, 'mesh', (node) => JSON.stringify(places[node]))
    after(() => fleet[Symbol.asyncDispose]())
    proveLaws({ fleet, excuses: storeExcuses.mesh, partial: true, test: keeps })
  })
}

function keeps(title: string, body: () => Promise<void>): void {
  void test(`keeps ${title}`, body)
}
