import type { TLSSocket } from 'node:tls'
import { CLOCK_ERROR_MS, type Clock, type Logger, type PeerRefusal } from '../../../core/index.ts'
import type { Member, Message, NodeId } from '../protocol/messages.ts'
import type { UserMessage } from '../users/messages.ts'
import type { HostAndPort } from './address.ts'
import { Connection, type Ending, type Hello } from './connection.ts'
import { Dialing } from './dialing.ts'
import {
  HANDSHAKE_MS,
  MEMBERS_MAX,
  PENDING_MAX,
  PROTOCOL_MAJOR,
  PROTOCOL_MINOR,
  QUEUE_BYTES_MAX,
  SILENCE_MS,
} from './limits.ts'
import type { CloseCode } from './message-codec.ts'
import { RefusalLog } from './refusal-log.ts'
import type { WireSecurity } from './security.ts'
import { createWireServer, type WireServer } from './server.ts'

const REFUSED = 'the mesh refused a connection'

/** Endings that say that two nodes do not get on; the others are of the ordinary course of things. */
const REFUSALS: readonly unknown[] = ['clock', 'version', 'format', 'silence', 'full'] satisfies PeerRefusal['code'][]

/** Silence is counted in so many ticks. */
const SILENT_TICKS = 5

export interface TransportLimits {
  /** From a connection's start until both sides have said hello. Default: 3 s. */
  readonly handshakeMs: number
  /** Connections that have not shown the secret yet. Default: 64. */
  readonly pendingMax: number
  /** Bytes that wait for one peer. Default: 16 MiB. */
  readonly queueBytesMax: number
  /** A peer that says nothing for so long is disconnected. Default: 5 s. */
  readonly silenceMs: number
}

export interface TransportOptions {
  /** Asked for each hello, since the address may be known only once it listens. The id never changes. */
  readonly self: () => Member
  readonly listen: HostAndPort
  readonly security: WireSecurity
  readonly clock: Clock
  readonly logger: Logger
  readonly limits?: Partial<TransportLimits>
  /** Messages to and from the peer can be sent from now on. */
  onConnected(peer: Member): void
  /**
   * They cannot any more. `refused`: its address refuses connections, or is another process's now, so that it is dead; that may
   * come later than the end of the connection, as a second call.
   */
  onDisconnected(peer: NodeId, refused: boolean): void
  onMessage(peer: NodeId, message: Message | UserMessage): void
  /** Called for each refusal, also where the log is silent. */
  onRefused?(refusal: PeerRefusal): void
}

/** Connections with the other nodes: one with each, whoever dialed. */
export interface Transport {
  /** Listens; rejects with the reason why it cannot. Nothing else works before. */
  listen(): Promise<HostAndPort>
  /** Keeps trying these addresses from now on, and no others; connections that stand stay. */
  connectTo(addresses: Iterable<string>): void
  /** Sends with all else of this turn of the event loop. `false`: there is no connection, or it is no message. */
  send(peer: NodeId, message: Message | UserMessage): boolean
  /** The minor version of the protocol that a peer speaks; `undefined` while no connection stands with it. */
  minorOf(peer: NodeId): number | undefined
  /** The peers with whom a connection stands. */
  peers(): Member[]
  /** Addresses of {@link connectTo} of which nothing is known: no connection stands, and the last attempt was not refused. */
  unreached(): string[]
  /** Says goodbye and closes all. Calls back no more. Closing twice succeeds. */
  close(): Promise<void>
}

export function createTransport(options: TransportOptions): Transport {
  return new TcpTransport(options)
}

class TcpTransport implements Transport {
  readonly #options: TransportOptions
  readonly #limits: TransportLimits
  readonly #log: RefusalLog
  readonly #server: WireServer
  readonly #dialing: Dialing
  readonly #connections = new Set<Connection>()
  readonly #ready = new Map<NodeId, Connection>()
  /** Those that this node dialed and that the peer has not welcomed yet. */
  readonly #awaiting = new Map<NodeId, Connection>()
  #ticking: NodeJS.Timeout | undefined
  #isClosing = false

  constructor(options: TransportOptions) {
    const limits = { handshakeMs: HANDSHAKE_MS, pendingMax: PENDING_MAX, queueBytesMax: QUEUE_BYTES_MAX, silenceMs: SILENCE_MS } // prettier-ignore
    this.#options = options
    this.#limits = { ...limits, ...options.limits }
    this.#log = new RefusalLog(options.logger, (refusal) => this.#call(() => options.onRefused?.(refusal)))
    const { listen, security } = options
    const { handshakeMs, pendingMax } = this.#limits
    const onSecure = (socket: TLSSocket): void => this.#take(socket)
    this.#server = createWireServer({ listen, security, handshakeMs, pendingMax, log: this.#log, onSecure })
    this.#dialing = new Dialing({
      security,
      handshakeMs,
      log: this.#log,
      carry: (socket, onHello) => this.#carry(socket, true, onHello),
      peers: () => this.peers(),
      onDead: (id) => this.#call(() => options.onDisconnected(id, true)),
    })
  }

  listen(): Promise<HostAndPort> {
    this.#ticking ??= setInterval(() => this.#tick(), this.#limits.silenceMs / SILENT_TICKS).unref()
    return this.#server.listen()
  }

  connectTo(addresses: Iterable<string>): void {
    this.#dialing.want(this.#others(addresses))
  }

  send(peer: NodeId, message: Message | UserMessage): boolean {
    const connection = this.#ready.get(peer)
    if (!connection) return false
    try {
      connection.send(message)
      return true
    } catch (error) {
      this.#options.logger.error({ err: error, peer, type: message.type }, 'a message of the mesh cannot be sent')
      return false
    }
  }

  minorOf(peer: NodeId): number | undefined {
    return this.#ready.get(peer)?.peerMinor
  }

  peers(): Member[] {
    return [...this.#ready.values()].flatMap(({ peer }) => peer ?? [])
  }

  unreached(): string[] {
    return this.#dialing.unreached()
  }

  async close(): Promise<void> {
    this.#isClosing = true
    clearInterval(this.#ticking)
    this.#dialing.stop()
    const connections = [...this.#connections]
    for (const connection of connections) connection.close('closing', 'the node is closing')
    await Promise.all([this.#server.close(), ...connections.map((connection) => connection.closed())])
  }

  #take(socket: TLSSocket): void {
    if (this.#connections.size < 2 * MEMBERS_MAX) return void this.#carry(socket, false, () => {})
    const reason = `${2 * MEMBERS_MAX} connections are the most`
    const address = `${socket.remoteAddress}:${socket.remotePort}`
    this.#log.refuse('full', { address, code: 'full', reason, isByPeer: false }, {}, REFUSED)
    socket.destroy()
  }

  #carry(socket: TLSSocket, isDialed: boolean, onHello: (hello: Hello) => void): Promise<Ending> {
    const { handshakeMs, queueBytesMax } = this.#limits
    const { promise, resolve } = Promise.withResolvers<Ending>()
    const connection = new Connection(socket, {
      isDialed,
      handshakeMs,
      queueBytesMax,
      hello: () => this.#hello(),
      judge: (connection, hello) => {
        onHello(hello)
        const refusal = this.#judge(connection, hello)
        if (isDialed && !refusal) this.#awaiting.set(hello.member.id, connection)
        return refusal
      },
      onReady: (connection) => this.#onReady(connection),
      onMessage: ({ peer }, message) => {
        if (peer && !this.#isClosing) this.#options.onMessage(peer.id, message)
      },
      onPeers: (_, addresses) => this.#dialing.hear(this.#others(addresses)),
      onEnded: (connection, ending) => {
        this.#onEnded(connection, ending)
        resolve(ending)
      },
    })
    this.#connections.add(connection)
    if (this.#isClosing) connection.close('closing', 'the node is closing')
    return promise
  }

  #others(addresses: Iterable<string>): string[] {
    const own = this.#options.self().address
    return [...addresses].filter((address) => address !== own)
  }

  #hello(): Hello {
    const wallClockMs = this.#options.clock.now()
    return { type: 'hello', member: this.#options.self(), major: PROTOCOL_MAJOR, minor: PROTOCOL_MINOR, wallClockMs }
  }

  /**
   * Where two nodes dial each other at once, the connection that the lower id dialed stays. It is decided before either is
   * welcomed, so that none that has carried messages is given up: a node that has a connection does not go on with another
   * that it dialed. A peer that dials in spite of one that it dialed before has lost that.
   */
  #judge({ isDialed }: Connection, hello: Hello): { code: CloseCode; reason: string } | undefined {
    const { member, wallClockMs } = hello
    const own = this.#options.self().id
    if (member.id === own) return { code: 'self', reason: 'this is the node itself' }
    const apartMs = Math.abs(wallClockMs - this.#options.clock.now())
    if (!(apartMs <= CLOCK_ERROR_MS)) {
      const most = `${CLOCK_ERROR_MS / 1000} s is the most`
      return { code: 'clock', reason: `the clocks are ${apartMs / 1000} s apart, where ${most}: synchronise them` }
    }
    const standing = this.#ready.get(member.id)
    const awaiting = this.#awaiting.get(member.id)
    const keepsOwn = own < member.id && (awaiting !== undefined || standing?.isDialed === true)
    if (isDialed ? standing !== undefined || awaiting !== undefined : keepsOwn) {
      return { code: 'duplicate', reason: 'there is another connection between the two nodes' }
    }
    if (!standing && this.#ready.size >= MEMBERS_MAX)
      return { code: 'full', reason: `${MEMBERS_MAX} peers are the most` }
    return undefined
  }

  #onReady(connection: Connection): void {
    const { peer } = connection
    if (!peer) return
    const before = this.#ready.get(peer.id)
    this.#awaiting.delete(peer.id)
    this.#ready.set(peer.id, connection)
    if (before) return before.close('duplicate', 'another connection between the two nodes took its place')
    this.#options.logger.info({ peer: peer.id, address: peer.address }, 'a node of the mesh is connected')
    this.#dialing.found(peer)
    const others = this.peers().filter(({ id }) => id !== peer.id)
    if (others.length > 0) connection.send({ type: 'peers', addresses: others.map(({ address }) => address) })
    this.#call(() => this.#options.onConnected(peer))
  }

  #onEnded(connection: Connection, ending: Ending): void {
    const { peer } = connection
    this.#connections.delete(connection)
    if (peer && this.#awaiting.get(peer.id) === connection) this.#awaiting.delete(peer.id)
    if (this.#isClosing) return
    const { code, isByPeer, error } = ending
    const address = connection.remoteAddress
    const facts = { peer: peer?.id, address, code, reason: printable(ending.reason), isByPeer }
    if (error !== undefined) this.#options.logger.error({ ...facts, err: error }, 'a message made the mesh fail')
    const isLost = peer !== undefined && this.#ready.get(peer.id) === connection
    if (isLost || (code !== 'self' && code !== 'duplicate')) {
      const kind = `${isLost ? 'lost' : 'refused'} ${code} ${peer?.address}`
      const says = isLost ? 'a node of the mesh is disconnected' : REFUSED
      const refusal = { address, reason: facts.reason, isByPeer }
      if (isRefusal(ending)) this.#log.refuse(kind, { ...refusal, code: ending.code }, facts, says)
      else this.#log.add('warn', kind, facts, says)
    }
    if (!isLost) return
    this.#ready.delete(peer.id)
    this.#call(() => this.#options.onDisconnected(peer.id, false))
    this.#dialing.lost(peer)
  }

  #tick(): void {
    for (const connection of this.#connections) connection.tick(SILENT_TICKS)
    this.#dialing.tick()
  }

  /** A caller that fails harms no connection. */
  #call(callback: () => void): void {
    try {
      callback()
    } catch (error) {
      this.#options.logger.error({ err: error }, 'the mesh failed on a change of its connections')
    }
  }
}

/** A peer that falls silent after it was welcome was lost, and not refused. */
function isRefusal(ending: Ending): ending is Ending & { readonly code: PeerRefusal['code'] } {
  return REFUSALS.includes(ending.code) && !(ending.code === 'silence' && ending.wasReady)
}

/** What a peer says is logged without what could forge a line. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?')
}
