/** A fleet of processes on the mesh, for gateways of the test's own. */
import { once } from 'node:events'
import { request as ask } from 'node:http'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import type { GatewayServer } from '../../../src/gateway/index.ts'
import type { OwnerServer } from '../../../src/affinity/index.ts'
import { type Fleet, startFleet } from '../../../src/fleet/fleet.ts'
import type { ShopAnswer } from '../../../src/fleet/shop.ts'
import { openFleetStore, toMeshAddress } from '../../../src/fleet/stores.ts'
import { Visitor } from '../../../src/fleet/visitor.ts'

export interface MeshFleet {
  readonly fleet: Fleet
  /** As `ownerAffinity` and a gateway take them. */
  readonly servers: readonly (OwnerServer & GatewayServer)[]
}

/** Starts nodes on the mesh that end with the test. */
export async function startMeshFleet(t: Pick<TestContext, 'after'>, nodes = 3): Promise<MeshFleet> {
  const names = Array.from({ length: nodes }, (_, index) => `node-${index + 1}`)
  const { store } = await openFleetStore({ name: 'mesh', nodes: names })
  if (store.name !== 'mesh') throw new Error('asked for the mesh')
  const mesh = Object.fromEntries(names.map((name) => [name, toMeshAddress(store.ports[name] ?? 0)]))
  const fleet = await startFleet({ nodes, settings: { store }, mesh })
  t.after(() => fleet.stop())
  return { fleet, servers: fleet.nodes.map(({ name, url }) => ({ name, url, mesh: mesh[name] ?? '' })) }
}

/** How often the nodes that live have asked each other so far. A visitor without cookies makes none of them ask. */
export async function hopsOf({ nodes }: Fleet): Promise<number> {
  const answers = await Promise.all(nodes.filter(({ alive }) => alive).map(({ url }) => new Visitor().look(url)))
  return answers.reduce((sum, { node }) => sum + node.hops, 0)
}

/** Visitors who hold a session each. */
export async function settle(url: string, count: number): Promise<Visitor[]> {
  const visitors = Array.from({ length: count }, () => new Visitor())
  await Promise.all(visitors.map((visitor) => visitor.act(url, 'view')))
  return visitors
}

/** One request with headers of its own. */
export async function askWith(
  url: string,
  headers: Record<string, string | string[]>,
): Promise<{ status: number; answer: ShopAnswer }> {
  const [response] = await once(ask(new URL('/api/session', url), { headers, agent: false }).end(), 'response')
  return { status: response.statusCode, answer: JSON.parse(await text(response)) as ShopAnswer }
}
