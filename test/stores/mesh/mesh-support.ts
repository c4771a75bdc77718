/** Nodes of a mesh in this process, as bare stores. */

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Store, type StoreContext, StoreUnavailableError, type UserSessions } from '../../../src/core/index.ts'
import { meshStore, type MeshStoreOptions } from '../../../src/stores/mesh/index.ts'
import { createKeyRing } from '../../../src/token/index.ts'
import { freePorts } from '../../support/ports.ts'
import { contextOf } from '../context.ts'

export const secret = 'mesh-users-Zq83hdyWmPl20xkVbn5TaRcEjf61uGi9'

export interface MeshNode {
  readonly store: Store
  readonly users: UserSessions
}

/** Nodes that come and go; those that are left are closed with it. */
export class Mesh implements AsyncDisposable {
  readonly nodes: MeshNode[] = []
  readonly ports: readonly number[]
  readonly #options: Partial<MeshStoreOptions>
  readonly #context: Partial<StoreContext>
  /** Nodes that were started, and so ports that are taken. */
  #started = 0

  private constructor(ports: readonly number[], options: Partial<MeshStoreOptions>, context: Partial<StoreContext>) {
    this.ports = ports
    this.#options = options
    this.#context = context
  }

  /** @param places how many nodes there may be at all */
  static async start(
    count: number,
    {
      places = count,
      context = {},
      ...options
    }: Partial<MeshStoreOptions> & { places?: number; context?: Partial<StoreContext> } = {},
  ): Promise<Mesh> {
    const mesh = new Mesh(await freePorts(places), options, context)
    await Promise.all(Array.from({ length: count }, () => mesh.join()))
    return mesh
  }

  /** Starts a node; resolves when it serves. */
  async join(): Promise<MeshNode> {
    const port = this.ports[this.#started++]
    assert.ok(port, 'there is no place for another node')
    const peers = this.ports.map((each) => `127.0.0.1:${each}`)
    const definition = meshStore({ listen: { host: '127.0.0.1', port }, peers, ...this.#options })
    const store = definition.open(contextOf({ keyRing: createKeyRing(secret), ...this.#context }))
    await store.ready()
    assert.ok(store.users)
    const node = { store, users: store.users }
    this.nodes.push(node)
    return node
  }

  /** Takes a node away before it has handed anything over, as if it were killed, or lets it hand over. */
  async lose(node: MeshNode, how: 'at once' | 'gracefully' = 'at once'): Promise<void> {
    this.nodes.splice(this.nodes.indexOf(node), 1)
    await node.store.close(how === 'at once' ? 1 : 10_000)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map(({ store }) => store.close(1)))
  }
}

/** What a call answers once the mesh serves it: it answers 503 while its view changes. */
export async function whenServed<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof StoreUnavailableError) || tries === 20) throw error
      await sleep(50)
    }
  }
}
