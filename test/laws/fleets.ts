/** Fleets for the laws: nodes of this process, or one process for each. */

import { CookieJar } from 'tough-cookie'
import type { StoreDefinition } from '../../src/core/index.ts'
import { type FleetNode, type LawFleet, type LawNode, type LawNodeOptions, startLawNode } from '../../src/laws/index.ts'

/** A fleet that ends with its test. */
export interface OwnedFleet extends LawFleet, AsyncDisposable {}

/** Nodes of this process, each with sessions of its own on a store that `store` defines anew for each node. */
export async function startLocalFleet(
  count: number,
  store: () => StoreDefinition,
  { createSessions }: Pick<LawNodeOptions, 'createSessions'> = {},
): Promise<OwnedFleet> {
  const options = createSessions ? { createSessions } : {}
  const nodes = await Promise.all(
    Array.from({ length: count }, () => startLocalNode(() => startLawNode({ store: store(), ...options }))),
  )
  return {
    nodes,
    createJar: () => new CookieJar(),
    [Symbol.asyncDispose]: async () => void (await Promise.all(nodes.map((node) => node.stop()))),
  }
}

async function startLocalNode(
  start: () => Promise<LawNode>,
): Promise<Required<Pick<FleetNode, 'url' | 'stop' | 'start'>>> {
  let node = await start()
  return {
    get url() {
      return node.url
    },
    stop: () => node.stop(),
    start: async () => void (node = await start()),
  }
}

/** A definition that opens one store for all who open it, and closes it for nobody: how nodes of one process share a memory store. */
export function sharing(definition: StoreDefinition): () => StoreDefinition {
  let shared: ReturnType<StoreDefinition['open']> | undefined
  return () => ({
    ...definition,
    open(context) {
      const store = (shared ??= definition.open(context))
      return {
        ready: () => store.ready(),
        read: (key, options) => store.read(key, options),
        apply: (change) => store.apply(change),
        end: (end) => store.end(end),
        install: (whole) => store.install(whole),
        check: () => store.check(),
        close: async () => {},
      }
    },
  })
}
