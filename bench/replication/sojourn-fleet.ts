/** Fleets of ours: bare Node servers on `meshStore`. */
import { freePorts } from '../../test/support/ports.ts'
import { type NodeProcess, startNode } from '../../test/support/processes.ts'
import { holdersOf } from '../../src/stores/mesh/protocol/placement.ts'
import { type CountedPort, countedPort } from './counted-port.ts'
import type { MeshNodeTask } from '../apps/mesh-node.ts'
import type { Fleet, FleetKind, FleetNode, FleetOptions } from './fleet.ts'
import { fail } from './visitor.ts'

const APP = new URL('../apps/mesh-node.ts', import.meta.url)

/** What stays when a node leaves and another is started in its place. */
interface Place {
  readonly httpPort: number
  readonly listenPort: number
  readonly counted: CountedPort
  readonly address: string
}

/** @param profileFolder where each node leaves a CPU profile when it ends */
export function sojournFleet(copies: number | 'all', profileFolder?: string): FleetKind {
  return {
    name: `Sojourn, copies ${typeof copies === 'number' ? copies : `'${copies}'`}`,
    isOurs: true,
    start: (options) => start(copies, options, profileFolder),
  }
}

async function start(
  copies: number | 'all',
  { nodes: count, spares, isProxied }: FleetOptions,
  profileFolder: string | undefined,
): Promise<Fleet> {
  const ports = await freePorts(2 * (count + spares))
  const places = await Promise.all(
    Array.from({ length: count + spares }, async (_, index): Promise<Place> => {
      const [httpPort = 0, listenPort = 0] = ports.slice(2 * index)
      const counted = await countedPort(listenPort, isProxied)
      return { httpPort, listenPort, counted, address: `127.0.0.1:${counted.port}` }
    }),
  )
  const profiling = profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`]
  const execArgv = ['--expose-gc', ...profiling]
  const peers = places.map(({ address }) => address)
  const nodes: (FleetNode & { readonly place: Place })[] = []

  async function run(place: Place): Promise<FleetNode & { readonly place: Place }> {
    const { httpPort, listenPort, address } = place
    const task: MeshNodeTask = { httpPort, listenPort, address, peers, copies }
    const process = startNode(APP, { args: [JSON.stringify(task)], execArgv })
    await place.counted.follow(process.exited)
    if ((await process.receive()) !== 'ready') fail('the node said something else than that it is ready')
    return { ...toNode(process, place, () => nodes.splice(nodes.findIndex((node) => node.pid === process.pid), 1)), place } // prettier-ignore
  }

  nodes.push(...(await Promise.all(places.slice(0, count).map(run))))
  return {
    isOurs: true,
    nodes,
    get receivers() {
      return copies === 'all' ? nodes.length - 1 : copies - 1
    },
    async add() {
      const place = places.find((free) => !nodes.some((node) => node.place === free)) ?? fail('no place is free')
      const node = await run(place)
      nodes.push(node)
      return node
    },
    holders(session) {
      const members = nodes.map((node) => ({ id: node.url, address: node.place.address, zone: '', node }))
      const view = { ballot: { number: 0, id: '' }, incarnation: 0, members, leaving: [], previous: null, placements: [], losses: [] } // prettier-ignore
      return holdersOf(view, session, copies).map(({ id }) => nodes.find(({ url }) => url === id) ?? fail('no member'))
    },
    async [Symbol.asyncDispose]() {
      // A process that is killed writes no profile.
      await Promise.all([...nodes].map((node) => (profileFolder === undefined ? node.kill() : node.leave())))
      await Promise.all(places.map(({ counted }) => counted[Symbol.asyncDispose]()))
    },
  }
}

function toNode(process: NodeProcess, { httpPort, counted }: Place, gone: () => void): FleetNode {
  return {
    url: `http://127.0.0.1:${httpPort}`,
    pid: process.pid,
    bytes: () => counted.bytes,
    async heldBytes() {
      await process.send({ kind: 'memory' })
      return Number(await process.receive())
    },
    async kill() {
      await process.kill()
      gone()
    },
    async leave() {
      await process.send({ kind: 'leave' })
      await process.exited
      gone()
    },
  }
}
