import type { Member, NodeId, Operation, Outcome } from '../../src/stores/mesh/protocol/messages.ts'
import type { Effect, MeshNode } from '../../src/stores/mesh/protocol/node.ts'
import type { Connection } from './network.ts'
import { SimRecords } from './records.ts'
import type { World } from './world.ts'

export const DEADLINE_MS = 1_000
const TICK_MS = 50

/** A machine: what stays when its process dies is its address. */
export class Host {
  readonly index: number
  readonly address: string
  readonly zone: string
  process: SimProcess | undefined
  /** A dead machine answers nothing; a dead process lets its machine refuse connections. */
  isPoweredOff = false

  constructor(index: number, zone: string) {
    this.index = index
    this.address = `10.0.0.${index + 1}:7373`
    this.zone = zone
  }
}

/** What came of a store call: the node's outcome, or none before the deadline. */
export type CallResult = Outcome | { readonly kind: 'timeout' }

/** One life of a server process: a mesh node, its clocks, and the part of the engine that calls it. */
export class SimProcess {
  readonly host: Host
  readonly member: Member
  readonly records: SimRecords = new SimRecords()
  readonly node: MeshNode
  readonly slot: string
  /** The connections that this process knows to stand. */
  readonly peers: Map<NodeId, Connection> = new Map()
  /** The last process that it was connected with at each address, until that was refused. */
  readonly lastPeers: Map<number, NodeId> = new Map()
  isAlive = true
  isPaused = false
  isLeaving = false
  hasLeft = false
  wallOffset: number
  readonly #world: World
  readonly #startedAt: number
  readonly #clockOffset: number
  readonly #clockRate: number
  #backlog: (() => void)[] = []
  #isTickDue = false
  #operationCount = 0
  #requestCount = 0
  readonly #requests = new Map<number, (result: CallResult) => void>()
  readonly #finished = new Set<number>()
  readonly #turns = new Map<string, (() => void)[]>()

  constructor(world: World, host: Host) {
    const { random, config } = world
    this.#world = world
    this.host = host
    this.#startedAt = world.now
    this.#clockOffset = random.between(0, 1e6)
    this.#clockRate = 1 + random.between(-config.driftMax, config.driftMax)
    this.wallOffset = random.between(-2_000, 2_000)
    this.slot = random.text(12)
    this.member = { id: random.text(11), address: host.address, zone: host.zone }
    const nodeRandom = random.fork()
    this.node = world.createNode(this.monotonic, {
      self: this.member,
      copies: config.copies,
      ack: config.ack,
      onPartition: config.onPartition,
      minCopies: config.minCopies,
      expectedNodes: config.nodes,
      unreached: () => world.network.unreachedBy(this),
      random: () => nodeRandom.float(),
      records: this.records,
    })
    this.#scheduleTick()
  }

  get name(): string {
    return `n${this.host.index}/${this.member.id.slice(0, 4)}`
  }

  get monotonic(): number {
    return this.#clockOffset + (this.#world.now - this.#startedAt) * this.#clockRate
  }

  get wallClock(): number {
    return 1_700_000_000_000 + Math.floor(this.#world.now + this.wallOffset)
  }

  nextOperation(): { slot: string; count: number } {
    this.#operationCount += 1
    return { slot: this.slot, count: this.#operationCount }
  }

  /** Lets the process do something: now, or when it runs again; never if it is dead. */
  enter(work: () => void): void {
    if (!this.isAlive) return
    if (this.isPaused) this.#backlog.push(work)
    else work()
  }

  after(delayMs: number, work: () => void): void {
    this.#world.after(delayMs, () => this.enter(work))
  }

  /** Gives the node an event and carries out what it wants. */
  drive(event: (nowMs: number) => Effect[]): void {
    for (const effect of event(this.monotonic)) {
      if (!this.isAlive) return
      switch (effect.kind) {
        case 'send':
          this.#world.network.send(this, effect.to, effect.message)
          break
        case 'outcome':
          this.#finish(effect.request, effect.outcome)
          break
        case 'event':
          this.#world.onNodeEvent(this, effect.name, effect.view)
      }
    }
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    if (!this.isAlive || !this.isPaused) return
    this.isPaused = false
    const backlog = this.#backlog
    this.#backlog = []
    const tick = (): void => {
      if (this.#isTickDue) this.#tick()
    }
    const isTickFirst = this.#world.random.chance(0.5) // timers and sockets are both ready: either may run first
    if (isTickFirst) tick()
    for (const work of backlog) this.enter(work)
    if (!isTickFirst) this.enter(tick)
  }

  /** Calls the store as the engine does: with a deadline by this node's clock. */
  call(operation: Operation, done: (result: CallResult) => void): void {
    const request = ++this.#requestCount
    this.#requests.set(request, done)
    const deadline = (DEADLINE_MS / this.#clockRate) * (1 + this.#world.random.float() * 0.02)
    this.after(deadline, () => {
      if (!this.#requests.has(request)) return
      this.node.giveUp(request)
      this.#finish(request, { kind: 'timeout' })
    })
    this.drive((nowMs) => this.node.request(nowMs, request, operation))
  }

  /** Runs `work` when every earlier holder of the key's turn has released it. */
  takeTurn(key: string, work: () => void): void {
    const waiting = this.#turns.get(key)
    if (waiting) waiting.push(work)
    else {
      this.#turns.set(key, [])
      work()
    }
  }

  releaseTurn(key: string): void {
    const waiting = this.#turns.get(key)
    const next = waiting?.shift()
    if (next) next()
    else this.#turns.delete(key)
  }

  #finish(request: number, result: CallResult): void {
    const done = this.#requests.get(request)
    if (!done) {
      if (this.#finished.has(request)) this.#world.checker.twoOutcomes(this, request)
      return // it was given up
    }
    this.#requests.delete(request)
    if (result.kind !== 'timeout') this.#finished.add(request)
    done(result)
  }

  #scheduleTick(): void {
    const { random } = this.#world
    const lag = random.chance(0.02) ? random.between(0, 60) : random.between(0, 3)
    this.#world.after(TICK_MS / this.#clockRate + lag, () => {
      if (!this.isAlive) return
      if (this.isPaused) this.#isTickDue = true
      else this.#tick()
    })
  }

  #tick(): void {
    this.#isTickDue = false
    this.drive((nowMs) => this.node.tick(nowMs))
    this.#scheduleTick()
  }
}
