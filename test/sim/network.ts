import type { Message, NodeId } from '../../src/stores/mesh/protocol/messages.ts'
import type { Host, SimProcess } from './process.ts'
import type { World } from './world.ts'

/** One way of a connection, towards `to`. */
interface Direction {
  readonly to: SimProcess
  /** Sent while the network let nothing through: TCP sends it again when it does. */
  readonly held: (() => void)[]
  /** What is in flight arrives in order: not before this. */
  lastAt: number
  /** Of a broken connection, what would arrive later is lost. */
  cutAt: number
  hasNoticed: boolean
}

/** A TCP connection between two processes: in order and without duplicates, until it breaks. */
export class Connection {
  isBroken = false
  readonly #ways: ReadonlyMap<SimProcess, Direction>

  constructor(a: SimProcess, b: SimProcess, now: number) {
    const way = (to: SimProcess): Direction => ({ to, held: [], lastAt: now, cutAt: Infinity, hasNoticed: false })
    this.#ways = new Map([[a, way(a)], [b, way(b)]]) // prettier-ignore
  }

  get ways(): Direction[] {
    return [...this.#ways.values()]
  }

  /** Whether a process that had this connection is dead, or connected with its peer again. */
  isReplacedFor(process: SimProcess): boolean {
    const peer = this.from(process).to
    const now = process.peers.get(peer.member.id)
    return !process.isAlive || !peer.isAlive || (now !== undefined && now !== this)
  }

  from(sender: SimProcess): Direction {
    return this.ways.find(({ to }) => to !== sender) as Direction
  }
}

/** Who can talk with whom. */
export class Network {
  readonly #world: World
  readonly #connections = new Map<string, Connection>()
  readonly #latency = new Map<string, number>()
  /** How many partitions block the way from one host to another. */
  readonly #blocks = new Map<string, number>()
  readonly #attemptAt = new Map<string, number>()

  constructor(world: World) {
    this.#world = world
  }

  get isWhole(): boolean {
    return this.#blocks.size === 0
  }

  isBlocked(from: Host, to: Host): boolean {
    return this.#blocks.has(way(from, to))
  }

  /** The addresses of hosts with which a process has no connection, and which do not refuse one. */
  unreachedBy({ host, peers }: SimProcess): string[] {
    const connected = new Set([...peers.values()].flatMap(({ ways }) => ways.map(({ to }) => to.host)))
    const isKnown = (other: Host): boolean =>
      other === host || connected.has(other) || (!other.process && !other.isPoweredOff && this.canTalk(host, other))
    return this.#world.hosts.filter((other) => !isKnown(other)).map(({ address }) => address)
  }

  canTalk(a: Host, b: Host): boolean {
    return !this.isBlocked(a, b) && !this.isBlocked(b, a)
  }

  block(from: Host, to: Host): void {
    this.#blocks.set(way(from, to), (this.#blocks.get(way(from, to)) ?? 0) + 1)
    const connection = this.#connections.get(pair(from, to))
    if (!connection || connection.isBroken) return
    // A connection that nothing comes through is given up after a while: by the kernel, or by the node's own time limit.
    this.#world.after(this.#world.random.between(300, 5_000), () => {
      if (!connection.isBroken && !this.canTalk(from, to)) this.break(connection)
    })
  }

  unblock(from: Host, to: Host): void {
    const count = this.#blocks.get(way(from, to)) ?? 0
    if (count > 1) this.#blocks.set(way(from, to), count - 1)
    else this.#blocks.delete(way(from, to))
    const connection = this.#connections.get(pair(from, to))
    if (count > 1 || !connection || connection.isBroken) return
    const direction = connection.ways.find(({ to: { host } }) => host === to)
    for (const transmit of direction?.held.splice(0) ?? []) transmit()
  }

  send(from: SimProcess, to: NodeId, message: Message): void {
    const connection = from.peers.get(to)
    if (!connection) return
    this.#world.onSend(from, message)
    const direction = connection.from(from)
    const { random, config } = this.#world
    const deliver = (): void => {
      if (direction.to.peers.get(from.member.id) !== connection) return
      this.#world.trace?.(() => `${direction.to.name} <- ${from.name} ${showMessage(message)}`)
      direction.to.drive((nowMs) => direction.to.node.receive(nowMs, from.member.id, message))
    }
    this.#transmit(connection, direction, from.host, deliver)
    if (config.isChaotic && random.chance(0.03)) {
      this.#world.coverage.add('duplicate')
      this.#world.after(random.exponential(100), () => this.#transmit(connection, direction, from.host, deliver))
    }
  }

  /** Lets connections come about between all that can reach each other, and refusals where a process is dead. */
  poll(): void {
    const { hosts, now, random } = this.#world
    for (const [index, host] of hosts.entries()) {
      for (const other of hosts.slice(index + 1)) {
        const key = pair(host, other)
        if ((this.#attemptAt.get(key) ?? 0) > now || !this.canTalk(host, other) || this.#isTaken(key)) continue
        this.#attemptAt.set(key, now + random.between(50, 250))
        this.#attempt(host, other)
        this.#refuse(host, other)
        this.#refuse(other, host)
      }
    }
  }

  break(connection: Connection): void {
    const { now, random } = this.#world
    connection.isBroken = true
    for (const direction of connection.ways) {
      direction.held.length = 0
      direction.cutAt = now + random.exponential(20)
      const notice = (): void => this.#notice(connection, direction)
      this.#world.after(direction.cutAt - now + random.exponential(30), () => {
        if (direction.to.isAlive) direction.to.enter(notice)
        else notice()
      })
    }
  }

  /** All connections of a process: `isSilent` where nobody is told, as when its machine has lost its power. */
  breakAll(process: SimProcess, isSilent: boolean): void {
    for (const connection of this.#connections.values()) {
      if (connection.isBroken || connection.ways.every(({ to }) => to !== process)) continue
      const peer = connection.from(process).to
      const isHeard = !isSilent && this.canTalk(process.host, peer.host)
      if (isHeard) this.break(connection)
      else {
        connection.from(process).cutAt = this.#world.now
        this.#world.after(this.#world.random.between(300, 5_000), () => {
          if (!connection.isBroken) this.break(connection)
        })
      }
    }
  }

  /** A connection that stands, drawn at random. */
  someConnection(): Connection | undefined {
    const standing = [...this.#connections.values()].filter(({ isBroken }) => !isBroken)
    return standing.length === 0 ? undefined : this.#world.random.of(standing)
  }

  connectionsAcross(isAcross: (a: Host, b: Host) => boolean): Connection[] {
    return [...this.#connections.values()].filter(({ ways: [a, b] }) => a && b && isAcross(a.to.host, b.to.host))
  }

  /** Whether a connection stands, or one of its ends does not know yet that it has broken. */
  #isTaken(key: string): boolean {
    const connection = this.#connections.get(key)
    if (!connection) return false
    const isOver = connection.isBroken && connection.ways.every(({ to, hasNoticed }) => hasNoticed || !to.isAlive)
    if (isOver) this.#connections.delete(key)
    const isReplaced = connection.ways.some(({ to }) => !to.isAlive && to.host.process !== undefined)
    if (isReplaced && !connection.isBroken) this.break(connection)
    return !isOver
  }

  #attempt(hostA: Host, hostB: Host): void {
    const [a, b] = [hostA.process, hostB.process]
    if (!a || !b || a.isPaused || b.isPaused || a.hasLeft || b.hasLeft) return
    const connection = new Connection(a, b, this.#world.now)
    this.#connections.set(pair(hostA, hostB), connection)
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      this.#transmit(connection, connection.from(from), from.host, () => {
        if (connection.from(from).hasNoticed) return
        to.peers.set(from.member.id, connection)
        to.lastPeers.set(from.host.index, from.member.id)
        this.#world.trace?.(() => `${to.name} connected with ${from.name}`)
        to.drive((nowMs) => to.node.connected(nowMs, from.member))
      })
    }
  }

  #refuse(host: Host, dead: Host): void {
    const { process } = host
    const id = process?.lastPeers.get(dead.index)
    if (!process || id === undefined || dead.process || dead.isPoweredOff || process.peers.has(id)) return
    process.lastPeers.delete(dead.index)
    process.enter(() => {
      this.#world.trace?.(() => `${process.name} is refused by ${dead.address}`)
      process.drive((nowMs) => process.node.disconnected(nowMs, id, true))
    })
  }

  #transmit(connection: Connection, direction: Direction, from: Host, deliver: () => void): void {
    const transmit = (): void => {
      const { now, random, config } = this.#world
      const spike = random.chance(config.spikes) ? random.between(20, 300) : 0
      const delay = this.#latencyOf(from, direction.to.host) * random.between(0.7, 1.3) + spike
      const isOvertaking = config.isChaotic && random.chance(0.05)
      const at = isOvertaking ? now + delay + random.exponential(40) : Math.max(direction.lastAt, now + delay)
      if (!isOvertaking) direction.lastAt = at
      this.#world.after(at - now, () => {
        if (this.#world.now <= direction.cutAt) direction.to.enter(deliver)
      })
    }
    if (connection.isBroken) return
    if (this.isBlocked(from, direction.to.host)) direction.held.push(transmit)
    else transmit()
  }

  #notice(connection: Connection, direction: Direction): void {
    direction.hasNoticed = true
    const { to } = direction
    const peer = connection.from(to).to
    if (connection.ways.every(({ to, hasNoticed }) => hasNoticed || !to.isAlive)) {
      const key = pair(to.host, peer.host)
      if (this.#connections.get(key) === connection) this.#connections.delete(key)
    }
    if (to.peers.get(peer.member.id) !== connection) return
    to.peers.delete(peer.member.id)
    if (!to.isAlive) return
    // The first attempt to connect again may be refused before the node is told anything.
    const isRefused =
      peer.host.process === undefined &&
      !peer.host.isPoweredOff &&
      this.canTalk(to.host, peer.host) &&
      this.#world.random.chance(0.5)
    if (isRefused) to.lastPeers.delete(peer.host.index)
    this.#world.trace?.(() => `${to.name} lost its connection with ${peer.name}${isRefused ? ', refused' : ''}`)
    to.drive((nowMs) => to.node.disconnected(nowMs, peer.member.id, isRefused))
  }

  #latencyOf(a: Host, b: Host): number {
    const key = pair(a, b)
    const known = this.#latency.get(key)
    if (known !== undefined) return known
    const latency = this.#world.config.latencyMs * this.#world.random.between(0.5, 1.5)
    this.#latency.set(key, latency)
    return latency
  }
}

function way(from: Host, to: Host): string {
  return `${from.index}>${to.index}`
}

function pair(a: Host, b: Host): string {
  return a.index < b.index ? `${a.index}-${b.index}` : `${b.index}-${a.index}`
}

function showMessage(message: Message): string {
  return JSON.stringify(message, (_name, value: unknown) => (value instanceof Map ? Object.fromEntries(value) : value))
}
