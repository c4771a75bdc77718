/** Fleets for the laws: nodes of this process, or one process for each. */

import { CookieJar } from 'tough-cookie'
import type { StoreDefinition } from '../../src/core/index.ts'
import { type FleetNode, type LawFleet, type LawNode, type LawNodeOptions, startLawNode } from '../../src/laws/index.ts'
import { type NodeProcess, startNode } from '../support/processes.ts'
import type { StoreKind } from './stores.ts'

/** A fleet that ends with its test. */
export interface OwnedFleet extends LawFleet, AsyncDisposable {
  readonly nodes: readonly OwnedNode[]
}

type OwnedNode = FleetNode & Required<Pick<FleetNode, 'stop' | 'start'>>

/** Schedules of honest clients; the environment asks for more. */
const schedules = Number(process.env['LAWS_SCHEDULES'] ?? 50)
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
console.log(`seed ${seed} (SEED=${seed} runs it again)`)

/** Nodes of this process, each with sessions of its own on a store that `store` defines for the node's number. */
export function startLocalFleet(
  count: number,
  store: (node: number) => StoreDefinition,
  options: Pick<LawNodeOptions, 'createSessions' | 'rotates'> = {},
): Promise<OwnedFleet> {
  return startFleet(count, async (index) => {
    const start = (): Promise<LawNode> => startLawNode({ store: store(index), ...options })
    let node = await start()
    return {
      get url() {
        return node.url
      },
      stop: () => node.stop(),
      start: async () => void (node = await start()),
    }
  })
}

/**
 * A process for each node, on the store of this kind at the place for the node's number.
 *
 * @param execArgv options of Node itself
 */
export function startProcessFleet(
  count: number,
  kind: StoreKind,
  place: (node: number) => string = () => '',
  execArgv: (node: number) => readonly string[] = () => [],
): Promise<OwnedFleet> {
  return startFleet(count, async (index) => {
    const start = async (): Promise<{ child: NodeProcess; url: string }> => {
      const child = startNode(new URL('worker.ts', import.meta.url), {
        args: [kind, place(index)],
        execArgv: execArgv(index),
      })
      return { child, url: String(await child.receive()) }
    }
    let running = await start()
    return {
      get url() {
        return running.url
      },
      async stop() {
        await running.child.send({ stop: true }).catch(() => {}) // it may be gone
        await running.child.exited
      },
      kill: async () => void (await running.child.kill('SIGKILL')),
      start: async () => void (running = await start()),
    }
  })
}

async function startFleet(count: number, startOne: (index: number) => Promise<OwnedNode>): Promise<OwnedFleet> {
  const nodes = await Promise.all(Array.from({ length: count }, (_, index) => startOne(index)))
  return {
    nodes,
    schedules,
    seed,
    createJar: () => new CookieJar(),
    [Symbol.asyncDispose]: async () => void (await Promise.all(nodes.map((node) => node.stop()))),
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
