/** The mesh as a node of the demo has it: a store that also tells who keeps a session, and how often it had to ask. */

import type { StoreDefinition } from '../index.ts'
import { meshStore } from '../stores/mesh/index.ts'
import { MeshStore } from '../stores/mesh/store.ts'
import { toMeshAddress } from './stores.ts'

/** What is told of the mesh. */
export interface MeshWatch {
  /** Names of the nodes that keep a session, its owner first. */
  holders(key: string): readonly string[]
  /** How often this node has asked another one for what it does not hold. */
  hops(): number
}

/** @param ports the port on which each node listens for the others, by the node's name */
export function watchedMesh(
  node: string,
  ports: Readonly<Record<string, number>>,
): { readonly definition: StoreDefinition; readonly watch: MeshWatch } {
  const names = new Map(Object.entries(ports).map(([name, port]) => [toMeshAddress(port), name]))
  const listen = { host: '127.0.0.1', port: ports[node] ?? 0 }
  const definition = meshStore({ listen, peers: [...names.keys()] })
  let mesh: MeshStore | undefined
  return {
    definition: {
      ...definition,
      open(context) {
        const store = definition.open(context)
        if (store instanceof MeshStore) mesh = store
        return store
      },
    },
    watch: {
      holders: (key) => mesh?.holders(key).map((address) => names.get(address) ?? address) ?? [],
      hops: () => mesh?.hops ?? 0,
    },
  }
}
