/** A fleet of real processes on the mesh, each of which a test may kill, pause, cut off and start again. */

import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { type Health, type SessionEvents, STORE_DEADLINE_MS } from '../../src/core/index.ts'
import type { MeshStoreOptions } from '../../src/stores/mesh/index.ts'
import { freePorts } from '../support/ports.ts'
import { type Exit, type NodeProcess, startNode } from '../support/processes.ts'
import { type Links, startLinks } from './links.ts'
import type { WorkerMessage, WorkerSettings } from './worker.ts'

export interface FaultFleetOptions {
  /** Default: 3. */
  readonly nodes?: number
  /** How many of them start; the others start later. Default: all. */
  readonly starting?: number
  readonly mesh?: Omit<Partial<MeshStoreOptions>, 'listen' | 'address' | 'peers'>
  /** Longest time for a call to the store, in milliseconds. Default: Sojourn's. */
  readonly deadlineMs?: number
  /** Puts proxies between the nodes, so that they can be cut off from each other. Default: `false`. */
  readonly withProxies?: boolean
}

type Start = Partial<Pick<WorkerSettings, 'listenFirst' | 'closeMs'>>

/** Starts the nodes; resolves when all are ready and in one view. */
export async function startFaultFleet(options: FaultFleetOptions = {}): Promise<FaultFleet> {
  const { nodes: count = 3, mesh = {}, deadlineMs = STORE_DEADLINE_MS, withProxies = false } = options
  const http = await freePorts(count)
  const ports = await freePorts(count)
  const links = withProxies ? await startLinks(ports) : undefined
  const nodes = http.map((port, index) => {
    const listen = { host: '127.0.0.1', port: ports[index] ?? 0 }
    const address = links?.addresses[index] ?? `127.0.0.1:${listen.port}`
    const peers = links?.peersOf(index) ?? ports.map((port) => `127.0.0.1:${port}`)
    const options = { ...mesh, listen, address, peers, expectedNodes: count }
    return new FaultNode(index, { http: port, mesh: options, deadlineMs }, links)
  })
  const fleet = new FaultFleet(nodes, links)
  try {
    const starting = nodes.slice(0, options.starting ?? count)
    await Promise.all(starting.map((node) => node.start()))
    await fleet.inOneView(starting)
    return fleet
  } catch (error) {
    await fleet[Symbol.asyncDispose]()
    throw error
  }
}

/** SIGTERM; the node hands over, answers what reached it, and ends by itself. */
export async function stopGracefully(node: FaultNode): Promise<void> {
  const { exit, closed } = await node.stop()
  assert.deepEqual(exit, { code: 0, signal: null }, node.output)
  assert.ok(closed)
  assert.equal(closed.answered, closed.received, `node ${node.index} answered not all: ${JSON.stringify(closed)}`)
  assert.doesNotMatch(node.output, /closes before the others/)
}

/** Leaving an `await using` block kills what runs. */
export class FaultFleet implements AsyncDisposable {
  readonly nodes: readonly FaultNode[]
  readonly links: Links | undefined

  constructor(nodes: readonly FaultNode[], links: Links | undefined) {
    this.nodes = nodes
    this.links = links
  }

  /** Ports for visitors. */
  get ports(): number[] {
    return this.nodes.map(({ port }) => port)
  }

  /** Resolves when all these nodes, all by default, are in one view. */
  async inOneView(nodes: readonly FaultNode[] = this.nodes): Promise<void> {
    await Promise.all(nodes.map((node) => node.inViewOf(nodes.length)))
  }

  /** @throws Error where there is none */
  node(index: number): FaultNode {
    const node = this.nodes[index]
    if (!node) throw new Error(`there is no node ${index}`)
    return node
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()))
    await this.links?.close()
  }
}

/** A place in the fleet, and the process that has it. */
export class FaultNode {
  readonly index: number
  readonly settings: WorkerSettings
  readonly #links: Links | undefined
  #process: NodeProcess | undefined
  #heard = new EventEmitter<{ message: [WorkerMessage | undefined] }>()
  #messages: WorkerMessage[] = []

  constructor(index: number, settings: WorkerSettings, links: Links | undefined) {
    this.index = index
    this.settings = settings
    this.#links = links
    this.#heard.setMaxListeners(0)
  }

  /** Port for visitors. */
  get port(): number {
    return this.settings.http
  }

  get output(): string {
    return this.#process?.output ?? ''
  }

  /** Addresses of the members of its view. */
  get members(): readonly string[] {
    const view = this.#messages.findLast((message) => message.kind === 'view')
    return view?.members ?? []
  }

  /** Starts its process; resolves when it is ready, or with `listenFirst` when it takes visitors. */
  async start(start: Start = {}): Promise<void> {
    this.begin(start)
    await this.told(start.listenFirst ? 'listening' : 'ready')
  }

  /** Starts its process and waits for nothing. */
  begin(start: Start = {}): void {
    const settings = JSON.stringify({ ...this.settings, ...start } satisfies WorkerSettings)
    const process = startNode(new URL('worker.ts', import.meta.url), { args: [settings] })
    this.#process = process
    this.#messages = []
    this.#links?.refuse(this.index, false)
    void this.#listen(process)
  }

  async #listen(process: NodeProcess): Promise<void> {
    try {
      for (;;) {
        const message = (await process.receive()) as WorkerMessage
        if (process !== this.#process) return
        this.#messages.push(message)
        this.#heard.emit('message', message)
      }
    } catch {
      if (process !== this.#process) return
      this.#links?.refuse(this.index, true)
      this.#heard.emit('message', undefined)
    }
  }

  /** The first message of this kind since it was started. Rejects with its output when it ends before. */
  told<Kind extends WorkerMessage['kind']>(kind: Kind): Promise<Extract<WorkerMessage, { kind: Kind }>> {
    return this.#until((messages) => messages.find((message) => message.kind === kind)) as never
  }

  /** Resolves when its view has so many members, at once where it has. */
  async inViewOf(count: number): Promise<void> {
    await this.#until((messages) => {
      const view = messages.findLast((message) => message.kind === 'view')
      return view?.members.length === count ? view : undefined
    })
  }

  async #until<T>(find: (messages: readonly WorkerMessage[]) => T | undefined): Promise<T> {
    for (;;) {
      const found = find(this.#messages)
      if (found !== undefined) return found
      const [message] = await once(this.#heard, 'message')
      if (message === undefined) throw new Error(`node ${this.index} ended before:\n${this.output}`)
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.signal(signal)
  }

  /** SIGKILL; resolves when its pid is gone. */
  async kill(): Promise<void> {
    await this.#process?.kill()
  }

  /** SIGTERM; resolves how it ended and what it had answered. */
  async stop(): Promise<{ exit: Exit; closed: Extract<WorkerMessage, { kind: 'closed' }> | undefined }> {
    const exited = this.#process?.exited
    this.signal('SIGTERM')
    const closed = await this.told('closed').catch(() => undefined)
    return { exit: (await exited) ?? { code: null, signal: null }, closed }
  }

  /** What `sessions.health()` says. */
  async health(): Promise<Health> {
    return (await (await fetch(`http://127.0.0.1:${this.port}/health`)).json()) as Health
  }

  /** The events `stale` that it raised. */
  async stale(): Promise<SessionEvents['stale'][]> {
    return (await (await fetch(`http://127.0.0.1:${this.port}/stale`)).json()) as SessionEvents['stale'][]
  }

  /** How its process ends. */
  get exited(): Promise<Exit> {
    if (!this.#process) throw new Error('it was never started')
    return this.#process.exited
  }
}
