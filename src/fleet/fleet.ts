/** A gateway and several node processes: what the demo, the benchmarks and the tests with faults run. */

import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { type Affinity, ownerAffinity } from '../affinity/index.ts'
import { createGateway, type Gateway, type GatewayServer } from '../gateway/index.ts'
import { type Child, type Exit, startChild, toSibling } from './child.ts'

/** nginx's default of ten seconds is long for one who has just restarted a node and waits for it. */
const FAIL_TIMEOUT_DEFAULT_MS = 1_000

/** Ports that are tried from the wished one on. */
const PORTS_TRIED = 20

/** Time for requests in flight when a node or the fleet stops. */
const GATEWAY_DEADLINE_MS = 1_000

export const FLEET_AFFINITIES = ['owner', 'ip-hash', 'round-robin'] as const

/** How the gateway chooses among the nodes. */
export type FleetAffinity = (typeof FLEET_AFFINITIES)[number]

/** Options of {@link startFleet}. */
export interface FleetOptions {
  /** How many nodes. Default: `3`. */
  readonly nodes?: number

  /** What each node is told, as JSON, such as its store. */
  readonly settings: object

  /** The module that each node runs; it calls `runProgram`. Default: the demo's node. */
  readonly program?: URL | string

  /** Default: `'owner'` with `mesh`, else `'ip-hash'`. */
  readonly affinity?: FleetAffinity

  /** Of nodes that share their sessions by the mesh: where each is for the others, by its name. */
  readonly mesh?: Readonly<Record<string, string>> | undefined

  /** Port of the gateway; the next free one where it is taken. Default: `0`, any. */
  readonly port?: number

  /** How long the gateway leaves a node alone that refused, in ms; whole seconds. Default: `1000`. */
  readonly failTimeout?: number

  /** Default: random. */
  readonly secret?: string

  /** Added to the environment of the nodes. */
  readonly env?: Readonly<Record<string, string>>

  /** Called with what the nodes print. */
  readonly onOutput?: (node: string, text: string) => void
}

/** One node of a fleet, as it was when it was asked for. */
export interface FleetNode {
  /** `node-1` and so on. */
  readonly name: string
  /** Its own address, beside the gateway; the same after a restart. */
  readonly url: string
  /** Of the process that runs, or ran last. */
  readonly pid: number
  readonly alive: boolean
}

/** What happens in a fleet. */
export interface FleetEvents {
  /** A node was started again, and is ready. */
  up: [node: FleetNode]
  /** A node's process is gone; `asked` tells whether the fleet was told to end it. */
  down: [node: FleetNode, exit: Exit, asked: boolean]
}

/**
 * Starts nodes, each a process of its own on a free port of 127.0.0.1, and a gateway before them; resolves when all are
 * ready, rejects with the reason when one cannot start. Nothing is left behind then, or when this process dies.
 */
export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const { nodes = 3, port = 0, failTimeout = FAIL_TIMEOUT_DEFAULT_MS } = options
  const start = toStarter(options)
  const names = toNodeNames(nodes)
  const results = await Promise.allSettled(names.map(async (name) => new Member(name, await start(name, 0))))
  const members = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  try {
    const failure = results.find((result) => result.status === 'rejected')
    if (failure) throw failure.reason
    const servers = members.map(({ name, url }) => ({ name, url, failTimeout }))
    const gateway = createGateway({ servers, affinity: toAffinity(servers, options) })
    return new Fleet({ gateway, url: await listen(gateway, port), members, start })
  } catch (error) {
    await Promise.all(members.map(({ child }) => child.stop()))
    throw error
  }
}

function toAffinity(
  servers: readonly GatewayServer[],
  { mesh, affinity = mesh ? 'owner' : 'ip-hash' }: FleetOptions,
): Affinity | 'ip-hash' | 'round-robin' {
  if (affinity !== 'owner') return affinity
  if (!mesh) throw new TypeError("affinity 'owner' needs mesh: where each node is for the others")
  return ownerAffinity(servers.map((server) => ({ ...server, mesh: mesh[server.name] ?? '' })))
}

type Starter = (name: string, port: number) => Promise<Child>

function toStarter({ settings, program = toSibling('node'), env = {}, onOutput, ...options }: FleetOptions): Starter {
  const secret = options.secret ?? randomBytes(32).toString('base64url')
  return (name, port) => {
    const place = { name, port, settings }
    return startChild({ program, place, secret, env, onOutput: (text) => onOutput?.(name, text) })
  }
}

/** A node's place in the fleet, and the process that has it now. */
class Member {
  readonly name: string
  readonly url: string
  child: Child
  /** Whether the fleet was told to end the process. */
  isEnding = false
  /** The last of what was asked of this node: one thing after the other. */
  turn: Promise<unknown> = Promise.resolve()

  constructor(name: string, child: Child) {
    this.name = name
    this.child = child
    this.url = `http://127.0.0.1:${child.port}`
  }

  get node(): FleetNode {
    const { name, url, child } = this
    return { name, url, pid: child.pid, alive: child.alive }
  }
}

interface FleetParts {
  readonly gateway: Gateway
  readonly url: string
  readonly members: readonly Member[]
  readonly start: Starter
}

/** A running fleet. Leaving an `await using` block stops it. */
export class Fleet extends EventEmitter<FleetEvents> implements AsyncDisposable {
  readonly gateway: Gateway
  /** Address of the gateway. */
  readonly url: string
  readonly #members: ReadonlyMap<string, Member>
  readonly #start: Starter
  #stopped: Promise<void> | undefined

  constructor({ gateway, url, members, start }: FleetParts) {
    super()
    this.gateway = gateway
    this.url = url
    this.#members = new Map(members.map((member) => [member.name, member]))
    this.#start = start
    for (const member of members) this.#watch(member)
  }

  get nodes(): readonly FleetNode[] {
    return [...this.#members.values()].map(({ node }) => node)
  }

  /** @throws TypeError for an unknown name */
  node(name: string): FleetNode {
    return this.#member(name).node
  }

  /** Sends a signal that a node survives, as SIGSTOP and SIGCONT. */
  signal(name: string, signal: NodeJS.Signals): void {
    this.#member(name).child.signal(signal)
  }

  /** Ends a node's process and resolves when its pid is gone. A node that is gone already resolves how it ended. */
  kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<Exit> {
    const member = this.#member(name)
    return this.#inTurn(member, () => {
      member.isEnding = true
      member.child.signal(signal)
      return member.child.exited
    })
  }

  /**
   * Starts a node again on its port, after a graceful stop where it still runs; resolves when it is ready. The gateway
   * sends it nothing meanwhile, so that no request fails.
   */
  async restart(name: string): Promise<FleetNode> {
    const member = this.#member(name)
    await this.#inTurn(member, async () => {
      if (this.#stopped) throw new Error('the fleet has been stopped')
      member.isEnding = true
      await this.gateway.drain(name, { deadline: GATEWAY_DEADLINE_MS })
      await member.child.stop()
      member.child = await this.#start(name, member.child.port)
      member.isEnding = false
      this.gateway.setDown(name, false)
      this.#watch(member)
      this.emit('up', member.node)
    })
    return member.node
  }

  /** Stops the gateway, then the nodes gracefully; resolves when every process is gone. Stopping twice succeeds. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #stop(): Promise<void> {
    await this.gateway.close({ deadline: GATEWAY_DEADLINE_MS })
    await Promise.all(
      [...this.#members.values()].map((member) =>
        this.#inTurn(member, () => {
          member.isEnding = true
          return member.child.stop()
        }),
      ),
    )
  }

  #watch(member: Member): void {
    void member.child.exited.then((exit) => this.emit('down', member.node, exit, member.isEnding))
  }

  #member(name: string): Member {
    const member = this.#members.get(name)
    if (member) return member
    throw new TypeError(`the fleet has no node ${JSON.stringify(name)}; it has ${[...this.#members.keys()].join(', ')}`)
  }

  #inTurn<T>(member: Member, task: () => Promise<T>): Promise<T> {
    const done = member.turn.then(task)
    member.turn = done.catch(() => {})
    return done
  }
}

async function listen(gateway: Gateway, wished: number): Promise<string> {
  for (let port = wished; ; port += 1) {
    try {
      return await gateway.listen({ port })
    } catch (error) {
      const isTaken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
      if (!isTaken || port >= wished + PORTS_TRIED || port >= 65_535) throw error
    }
  }
}

/** What the nodes of a fleet of this size are called. */
export function toNodeNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `node-${index + 1}`)
}
