import { holdersOf } from '../../src/stores/mesh/protocol/placement.ts'
import type { Covered } from './coverage.ts'
import type { Host, SimProcess } from './process.ts'
import { REPAIR_MS, type World } from './world.ts'

const HOSTS_MAX = 10

/** Does to a world what its seed says, until {@link heal}. */
export class Faults {
  readonly #world: World
  readonly #undo = new Set<() => void>()
  #isOver = false

  constructor(world: World) {
    this.#world = world
    this.#next()
  }

  /** Ends every fault: partitions heal, who pauses goes on, and what must run again does. */
  heal(): void {
    this.#isOver = true
    this.#world.onAcknowledged = undefined
    for (const undo of this.#undo) undo()
    this.#undo.clear()
    for (const process of this.#world.processes) process.resume()
    for (const host of this.#world.hosts) host.isPoweredOff = false
    if (this.#world.processes.length === 0) this.#restart()
    // That another process is at its address is how a majority knows that a node is dead.
    if (this.#world.config.onPartition === 'majority') for (const host of this.#world.hosts) this.#start(host)
  }

  #next(): void {
    const { random, config } = this.#world
    if (config.faultEveryMs === Infinity) return
    this.#world.after(random.exponential(config.faultEveryMs), () => {
      if (this.#isOver) return
      this.#strike()
      this.#next()
    })
  }

  #strike(): void {
    const { random } = this.#world
    const kind = random.of([
      'crash', 'crash', 'crash', 'crash', 'restart', 'restart', 'pause', 'pause', 'pause', 'partition', 'partition', 'partition',
      'reset', 'reset', 'join', 'leave', 'leave', 'clockJump',
    ] as const) // prettier-ignore
    if (this.#world.config.without.includes(kind)) return
    switch (kind) {
      case 'crash':
        return this.#crash()
      case 'restart':
        return this.#restart()
      case 'pause':
        return this.#pause()
      case 'partition':
        return this.#partition()
      case 'reset':
        return this.#reset()
      case 'join':
        return this.#join()
      case 'leave':
        return this.#leave()
      case 'clockJump':
        return this.#jump()
    }
  }

  /** Nodes that may be taken away. A majority that is lost begins anew with nothing, so without mayhem half of it is the most. */
  #removable(): SimProcess[] {
    const { processes, stableSince, now, config, crashesToBear } = this.#world
    if (processes.length < 2) return []
    const isCalm = stableSince !== undefined && now - stableSince > 200
    const nodes = processes.length
    if (config.onPartition === 'majority' && !config.isMayhem && !(isCalm && nodes - 1 >= nodes / 2)) return []
    const isRepaired = stableSince !== undefined && now - stableSince >= REPAIR_MS && crashesToBear > 0
    return isRepaired || config.isMayhem ? processes.filter(({ isLeaving }) => !isLeaving) : []
  }

  /** At any time, or when something has just been acknowledged: then those crash that hold it. */
  #crash(): void {
    const { random } = this.#world
    if (this.#removable().length === 0) return
    if (random.chance(0.4)) return this.#crashHolders(undefined)
    this.#world.onAcknowledged = (key) => {
      this.#world.onAcknowledged = undefined
      this.#world.after(random.exponential(random.of([0.01, 0.1, 1])), () => !this.#isOver && this.#crashHolders(key))
    }
  }

  #crashHolders(key: string | undefined): void {
    const { random, coverage, config, crashesToBear } = this.#world
    const removable = random.shuffled(this.#removable())
    const holders = key && removable[0] ? holdersOf(removable[0].node.view, key, config.copies).map(({ id }) => id) : []
    const isHolder = ({ member }: SimProcess): boolean => holders.includes(member.id)
    const victims = [...removable.filter(isHolder), ...removable.filter((process) => !isHolder(process))]
    const isWorst = config.onPartition === 'serve' && !config.isMayhem && random.chance(0.7)
    for (const process of victims.slice(0, isWorst ? crashesToBear : 1)) {
      const isHostDead = random.chance(0.4)
      coverage.add(isHostDead ? 'hostCrash' : 'crash')
      this.#world.kill(process, isHostDead)
      if (random.chance(0.6)) {
        const delay = random.of([10, 100, 1_000, 4_000])
        this.#world.after(random.exponential(delay), () => this.#start(process.host))
      }
    }
  }

  #restart(): void {
    const dead = this.#world.hosts.filter(({ process }) => !process)
    if (dead.length > 0) this.#start(this.#world.random.of(dead))
  }

  #start(host: Host): void {
    if (host.process) return
    this.#world.coverage.add('restart')
    this.#world.start(host)
  }

  #pause(): void {
    const { random, processes, coverage, config, stableSince } = this.#world
    const running = processes.filter(({ isPaused }) => !isPaused)
    if (running.length === 0 || (!config.isMayhem && stableSince === undefined && random.chance(0.5))) return
    coverage.add('pause')
    const process = random.of(running)
    this.#world.pause(process, random.exponential(random.of([100, 800, 1_300, 3_000])))
  }

  #partition(): void {
    const { random, hosts, network } = this.#world
    if (hosts.length < 2 || (!network.isWhole && random.chance(0.5))) return
    const order = random.shuffled(hosts)
    const cut = 1 + random.below(hosts.length - 1)
    const [left, right] = [order.slice(0, cut), order.slice(cut)]
    const ways: [Host, Host][] = []
    const kind = random.of(['partitionSymmetric', 'partitionSymmetric', 'partitionOneWay', 'partitionPartial'] as const)
    if (kind === 'partitionPartial') {
      for (let count = 0; count < 1 + random.below(hosts.length); count++) {
        const [a, b] = random.shuffled(hosts)
        if (a && b) ways.push([a, b], [b, a])
      }
    } else {
      for (const a of left)
        for (const b of right) ways.push([a, b], ...(kind === 'partitionSymmetric' ? [[b, a] as [Host, Host]] : []))
    }
    const durationMs = random.exponential(random.of([300, 1_500, 3_000, 5_000]))
    this.#begin(kind, ways, durationMs)
    const sides = [...left.map((host) => [host, 'a'] as const), ...right.map((host) => [host, 'b'] as const)]
    this.#world.split(kind === 'partitionSymmetric' ? new Map(sides) : undefined)
  }

  #begin(kind: Covered, ways: readonly [Host, Host][], durationMs: number): void {
    const { network, coverage, trace } = this.#world
    coverage.add(kind)
    const shown = ways.map(([a, b]) => `${a.index}>${b.index}`).join(' ')
    trace?.(() => `${kind} for ${durationMs.toFixed(0)} ms: ${shown}`)
    for (const [a, b] of ways) network.block(a, b)
    const undo = (): void => {
      if (!this.#undo.delete(undo)) return
      trace?.(() => `${kind} heals: ${shown}`)
      for (const [a, b] of ways) network.unblock(a, b)
    }
    this.#undo.add(undo)
    this.#world.after(durationMs, undo)
  }

  #reset(): void {
    const connection = this.#world.network.someConnection()
    if (!connection) return
    this.#world.coverage.add('reset')
    this.#world.trace?.(() => `the connection ${connection.ways.map(({ to }) => to.name).join(' - ')} breaks`)
    this.#world.network.break(connection)
    this.#world.after(400, () => {
      if (!connection.ways.every(({ to }) => connection.isReplacedFor(to))) this.#world.split()
    })
  }

  #join(): void {
    const { hosts, coverage } = this.#world
    if (hosts.length >= HOSTS_MAX) return
    coverage.add('join')
    this.#world.start(this.#world.addHost())
  }

  #leave(): void {
    const { processes, random, coverage, config, network } = this.#world
    const staying = processes.filter(({ isLeaving, isPaused }) => !isLeaving && !isPaused)
    if (staying.length < 2 || (!network.isWhole && !config.isMayhem)) return
    if (config.onPartition === 'majority' && this.#world.stableSince === undefined) return
    coverage.add('leave')
    const process = random.of(staying)
    this.#world.leave(process)
  }

  #jump(): void {
    const { processes, random, coverage, trace } = this.#world
    if (processes.length === 0) return
    const process = random.of(processes)
    coverage.add('clockJump')
    process.wallOffset = random.between(-2_500, 2_500)
    trace?.(() => `${process.name}'s wall clock jumps to ${process.wallOffset.toFixed(0)} ms off`)
  }
}
