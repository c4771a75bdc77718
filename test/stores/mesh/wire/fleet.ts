/** A mesh of real processes whose nodes are replaced one by one. */

import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import type { MeshStoreOptions } from '../../../../src/stores/mesh/index.ts'
import { freePorts } from '../../../support/ports.ts'
import { type NodeProcess, startNode } from '../../../support/processes.ts'

export interface FleetNodeOptions {
  readonly store: MeshStoreOptions
  readonly secrets: readonly string[]
  /** How far its wall clock is ahead. */
  readonly clockAheadMs?: number
}

/** What a node's process says. */
export type FleetNodeReport =
  | { readonly url: string }
  /** The addresses of a view that it has installed. */
  | { readonly view: readonly string[] }
  | { readonly refused: string; readonly reason: string }

export interface NodeChoice extends Omit<FleetNodeOptions, 'store'> {
  /** It speaks a later minor version of the mesh. */
  readonly isLater?: boolean
}

export class Fleet implements AsyncDisposable {
  /** How many members the views had that its nodes were in after their first. */
  readonly viewSizes = new Map<number, number>()
  readonly refusals: string[] = []
  readonly #ports: readonly number[]
  readonly #nodes: (FleetNode | undefined)[] = []
  readonly #changes = new EventEmitter()

  private constructor(ports: readonly number[]) {
    this.#ports = ports
    this.#changes.setMaxListeners(0)
  }

  static async start(choices: readonly NodeChoice[]): Promise<Fleet> {
    const fleet = new Fleet(await freePorts(choices.length))
    await Promise.all(choices.map((choice, index) => fleet.#start(index, choice)))
    await fleet.untilWhole()
    return fleet
  }

  /** Where the nodes that run are. */
  get urls(): string[] {
    return this.#nodes.flatMap((node) => node?.url ?? [])
  }

  /** Stops a node gracefully and starts another in its place; resolves when every node has a view of all. */
  async replace(index: number, choice: NodeChoice): Promise<void> {
    const node = this.#nodes[index]
    this.#nodes[index] = undefined
    await node?.stop()
    await this.#start(index, choice)
    await this.untilWhole()
  }

  /** Starts a node that is no good; resolves with what it printed when it has given up. */
  async startInVain(index: number, choice: NodeChoice): Promise<string> {
    const node = this.#nodes[index]
    this.#nodes[index] = undefined
    await node?.stop()
    return this.#start(index, choice).then(
      () => assert.fail('it is ready'),
      (error: unknown) => String(error),
    )
  }

  async untilWhole(): Promise<void> {
    const isWhole = (): boolean => this.#nodes.every((node) => node?.view.length === this.#ports.length)
    while (!isWhole()) await once(this.#changes, 'change')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map(async (node) => node?.stop()))
  }

  async #start(index: number, { isLater = false, ...choice }: NodeChoice): Promise<void> {
    const peers = this.#ports.map((port) => `127.0.0.1:${port}`)
    const listen = { host: '127.0.0.1', port: this.#ports[index] ?? 0 }
    const options: FleetNodeOptions = { store: { listen, peers }, ...choice }
    const child = startNode(new URL('fleet-worker.ts', import.meta.url), {
      args: [JSON.stringify(options)],
      execArgv: isLater ? ['--import', new URL('later-minor.ts', import.meta.url).href] : [],
    })
    const node = new FleetNode(child)
    for await (const report of node.reports()) {
      this.#hear(node, report)
      if (node.url !== '') break
    }
    this.#nodes[index] = node
    void this.#listen(node)
  }

  async #listen(node: FleetNode): Promise<void> {
    this.#changes.emit('change')
    for await (const report of node.reports()) {
      this.#hear(node, report)
      this.#changes.emit('change')
    }
  }

  #hear(node: FleetNode, report: FleetNodeReport): void {
    if ('url' in report) node.url = report.url
    else if ('refused' in report) this.refusals.push(`${report.refused}: ${report.reason}`)
    else {
      node.view = report.view
      this.viewSizes.set(report.view.length, (this.viewSizes.get(report.view.length) ?? 0) + 1)
    }
  }
}

class FleetNode {
  url = ''
  view: readonly string[] = []
  readonly #child: NodeProcess

  constructor(child: NodeProcess) {
    this.#child = child
  }

  /** Ends when the process does. */
  async *reports(): AsyncGenerator<FleetNodeReport, void> {
    for (;;) {
      let report: unknown
      try {
        report = await this.#child.receive()
      } catch (error) {
        if (this.url === '') throw error
        return
      }
      yield report as FleetNodeReport
    }
  }

  async stop(): Promise<void> {
    await this.#child.send({ stop: true }).catch(() => {}) // it may be gone
    const { code, signal } = await this.#child.exited
    if (code !== 0) throw new Error(`a node ended with ${code ?? signal}:\n${this.#child.output}`)
  }
}
