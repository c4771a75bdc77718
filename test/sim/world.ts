import type { Message, View } from '../../src/stores/mesh/protocol/messages.ts'
import type { MeshEventName } from '../../src/stores/mesh/protocol/node.ts'
import { Checker } from './checker.ts'
import type { CreateNode, SimConfig } from './config.ts'
import { Coverage } from './coverage.ts'
import { EventQueue } from './event-queue.ts'
import { Network } from './network.ts'
import { Host, SimProcess } from './process.ts'
import type { Random } from './random.ts'

const POLL_MS = 25
/** A node that leaves goes after that time, whether it could hand over or not. */
const LEAVE_MS = 8_000
/** How long a fleet that is whole takes at most to have all its copies again. */
export const REPAIR_MS = 3_000

/** A fleet in simulated time. Nothing in it knows the real time, and the same seed gives the same world. */
export class World {
  readonly config: SimConfig
  readonly random: Random
  readonly createNode: CreateNode
  readonly trace: ((line: () => string) => void) | undefined
  readonly coverage: Coverage = new Coverage()
  readonly hosts: Host[] = []
  readonly network: Network
  readonly checker: Checker
  /** Told when a client's change is acknowledged. */
  onAcknowledged: ((key: string) => void) | undefined
  now = 0
  /** Whether parts of the fleet may go on by themselves: with `serve`, from a partition to the next common view. */
  isSplit = false
  /** Whether nodes may be out of reach that hold all copies of a session. */
  isShort = true
  /** Since when all nodes run, in one view, with nothing between them. */
  stableSince: number | undefined
  /** Crashes that the fleet must bear now without a loss. */
  crashesToBear = 0
  /** Nodes that may be out of reach, paused ones included, before the others cannot have everything. */
  #awaysToBear = 0
  /** The sides of a clean partition, by host; absent where it is not clear who is on which side. */
  #sides: Map<Host, string> | undefined
  #splitCount = 0
  readonly #queue = new EventQueue()

  constructor(random: Random, config: SimConfig, createNode: CreateNode, trace?: (line: string) => void) {
    this.random = random
    this.config = config
    this.createNode = createNode
    this.trace = trace && ((line) => trace(`${this.now.toFixed(1).padStart(9)}  ${line()}`))
    this.isSplit = config.onPartition === 'serve' // until the first common view
    this.network = new Network(this)
    this.checker = new Checker(this)
    for (let index = 0; index < config.nodes; index++) this.addHost()
    for (const host of this.hosts) this.after(random.between(0, 400), () => this.start(host))
    this.#poll()
  }

  get processes(): SimProcess[] {
    return this.hosts.flatMap(({ process }) => (process ? [process] : []))
  }

  addHost(): Host {
    const host = new Host(this.hosts.length, `zone-${this.hosts.length % this.config.zones}`)
    this.hosts.push(host)
    return host
  }

  start(host: Host): void {
    if (host.process) return
    host.isPoweredOff = false
    host.process = new SimProcess(this, host)
    this.#sides?.delete(host) // when the partition heals it may join either side
    this.trace?.(() => `${host.process?.name} starts`)
  }

  after(delayMs: number, run: () => void): void {
    this.#queue.push(this.now + Math.max(0, delayMs), run)
  }

  /** Runs what happens until then, or until something is so. */
  run(untilMs: number, isDone: () => boolean = () => false): void {
    while (!isDone()) {
      const entry = this.#queue.pop()
      if (!entry) return
      if (entry.at > untilMs) {
        this.#queue.push(entry.at, entry.run)
        this.now = untilMs
        return
      }
      this.now = entry.at
      entry.run()
    }
  }

  /** Ends a process at once: its memory is lost. */
  kill(process: SimProcess, isHostDead: boolean): void {
    this.trace?.(() => `${process.name} ${isHostDead ? 'loses power' : 'is killed'}`)
    this.#remove(process, isHostDead)
    if (this.crashesToBear === 0 || this.isSplit) this.checker.mayHaveLost()
    else this.crashesToBear -= 1
    this.#goAway()
  }

  pause(process: SimProcess, forMs: number): void {
    this.trace?.(() => `${process.name} pauses for ${forMs.toFixed(0)} ms`)
    process.pause()
    if (forMs > 300) this.#goAway()
    this.after(forMs, () => {
      this.trace?.(() => `${process.name} goes on`)
      process.resume()
    })
  }

  leave(process: SimProcess): void {
    process.isLeaving = true
    this.trace?.(() => `${process.name} leaves`)
    this.crashesToBear = 0
    this.#awaysToBear = 0
    this.stableSince = undefined
    process.enter(() => process.drive((nowMs) => process.node.leave(nowMs)))
    this.after(LEAVE_MS, () => {
      if (!process.isAlive || process.hasLeft) return
      this.trace?.(() => `${process.name} waits no longer`)
      this.checker.mayHaveLost()
      this.#remove(process, false)
      this.#goAway()
    })
  }

  /** A partition begins: with `serve`, each side goes on by itself. */
  split(sides?: ReadonlyMap<Host, string>): void {
    this.stableSince = undefined
    this.isShort = true
    if (this.config.onPartition === 'majority') return
    this.#splitCount += 1
    this.#sides =
      this.isSplit || !sides
        ? undefined
        : new Map([...sides].map(([host, side]) => [host, `${this.#splitCount}${side}`]))
    if (!this.isSplit) this.coverage.add('splitSeeds')
    this.isSplit = true
    this.checker.splitBegins()
  }

  /** The side of a clean partition on which a process is. */
  sideOf(process: SimProcess): string | undefined {
    return this.#sides?.get(process.host)
  }

  onSend(from: SimProcess, message: Message): void {
    if (message.type === 'replicate') this.checker.owns(from, message.view, message.key)
    if (message.type === 'offer' && message.holdings.length > 0) this.coverage.add('handover')
  }

  onNodeEvent(process: SimProcess, name: MeshEventName, view: View): void {
    this.trace?.(() => {
      const members = view.members.map(({ address }) => `n${Number(address.split(/[.:]/)[3]) - 1}`).join(' ')
      return `${process.name} event ${name}: view ${view.ballot.number}/${view.ballot.id.slice(0, 4)} of ${members}`
    })
    if (name === 'view') this.#onView(view)
    if (name === 'lost') {
      this.checker.mayHaveLost()
      this.coverage.add('begunAnew')
      this.#remove(process, false)
      this.start(process.host)
    }
    if (name === 'left' && process.isLeaving && !process.hasLeft) {
      process.hasLeft = true
      const isHeir = ({ isLeaving, member }: SimProcess): boolean => !isLeaving && process.peers.has(member.id)
      // It took along what its side had, or what nobody was there to take.
      if ((this.isSplit && !this.network.isWhole) || !this.processes.some(isHeir)) this.checker.mayHaveLost()
      this.after(this.random.exponential(30), () => process.isAlive && this.#remove(process, false))
    }
  }

  /** What is acknowledged in a view has at most as many copies as the view has members. */
  #onView({ members }: View): void {
    this.coverage.add('viewChange')
    this.crashesToBear = Math.max(0, Math.min(this.crashesToBear, members.length - 1))
  }

  #remove(process: SimProcess, isHostDead: boolean): void {
    const { host } = process
    process.isAlive = false
    host.process = undefined
    host.isPoweredOff = isHostDead
    this.network.breakAll(process, isHostDead)
    this.stableSince = undefined
    if (this.isSplit) this.#sides = undefined
  }

  /** A node cannot be asked any more. With `serve`, the others go on without what it has. */
  #goAway(): void {
    this.stableSince = undefined
    if (this.isSplit) this.#sides = undefined
    else if (this.#awaysToBear === 0) this.split()
    this.#awaysToBear = Math.max(0, this.#awaysToBear - 1)
  }

  get #bearable(): number {
    const { ack, copies } = this.config
    const nodes = this.processes.length
    const known = copies === 'all' ? nodes : copies
    return Math.min(nodes - 1, ack === 'backup' ? 1 : known - 1)
  }

  #poll(): void {
    this.network.poll()
    this.#judgeStability()
    this.after(POLL_MS, () => this.#poll())
  }

  #judgeStability(): void {
    const { processes } = this
    const number = processes[0]?.node.view.ballot.number
    if (!this.network.isWhole || processes.some(({ node: { view } }) => view.ballot.number !== number)) {
      this.stableSince = undefined
      return
    }
    const ids = processes.map(({ member }) => member.id).toSorted().join() // prettier-ignore
    const isStable =
      processes.length > 0 &&
      processes.every(({ isPaused, isLeaving, node, monotonic }) => {
        const members = node.view.members.map(({ id }) => id).toSorted().join() // prettier-ignore
        // Without leases it may be about to go on by itself, since it has not heard yet that all has healed.
        return !isPaused && !isLeaving && members === ids && node.isServing(monotonic)
      })
    if (!isStable) {
      this.stableSince = undefined
      return
    }
    this.stableSince ??= this.now
    this.isShort = false
    if (this.isSplit) {
      this.trace?.(() => 'one view again')
      this.isSplit = false
      this.#sides = undefined
      // Until it is repaired, what one side did is not where it should be.
      this.crashesToBear = 0
      this.#awaysToBear = 0
    }
    if (this.now - this.stableSince < REPAIR_MS) return
    this.crashesToBear = this.#bearable
    this.#awaysToBear = this.#bearable
  }
}
