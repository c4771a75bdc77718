/** How often nodes on the mesh have to ask each other, by how the gateway before them chooses. Counts, not times. */
import { type Fleet, FLEET_AFFINITIES, startFleet, toNodeNames } from '../src/fleet/fleet.ts'
import { openFleetStore, toMeshAddress } from '../src/fleet/stores.ts'
import { Visitor } from '../src/fleet/visitor.ts'
import { toTable } from './load.ts'

const FLEETS = [2, 3, 5]
const VISITORS = 50
const ROUNDS = 20

export async function run(): Promise<void> {
  const rows: string[][] = []
  for (const nodes of FLEETS) for (const affinity of FLEET_AFFINITIES) rows.push(await measure(nodes, affinity))
  console.log(`### Hops, ${VISITORS} sessions of 2 copies, ${VISITORS * ROUNDS} requests of each kind\n`)
  console.log(
    toTable(['nodes', 'the gateway chooses by', 'hops per read', 'hops per update (a read and a write)'], rows),
  )
}

async function measure(nodes: number, affinity: (typeof FLEET_AFFINITIES)[number]): Promise<string[]> {
  const { store } = await openFleetStore({ name: 'mesh', nodes: toNodeNames(nodes) })
  if (store.name !== 'mesh') throw new Error('asked for the mesh')
  const mesh = Object.fromEntries(Object.entries(store.ports).map(([name, port]) => [name, toMeshAddress(port)]))
  await using fleet = await startFleet({ nodes, affinity, mesh, settings: { store } })
  const visitors = Array.from({ length: VISITORS }, () => new Visitor())
  const each = async (ask: (visitor: Visitor) => Promise<unknown>): Promise<number> => {
    const before = await hopsOf(fleet)
    for (let round = 0; round < ROUNDS; round++) for (const visitor of visitors) await ask(visitor)
    return ((await hopsOf(fleet)) - before) / (ROUNDS * VISITORS)
  }
  for (const visitor of visitors) await visitor.act(fleet.url, 'view')
  const reads = await each((visitor) => visitor.look(fleet.url))
  const updates = await each((visitor) => visitor.act(fleet.url, 'view'))
  return [String(nodes), affinity, reads.toFixed(2), updates.toFixed(2)]
}

/** A visitor without cookies makes no node ask. */
async function hopsOf({ nodes }: Fleet): Promise<number> {
  const answers = await Promise.all(nodes.map(({ url }) => new Visitor().look(url)))
  return answers.reduce((sum, { node }) => sum + node.hops, 0)
}
