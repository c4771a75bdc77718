import { randomBytes } from 'node:crypto'
import {
  type Change,
  type ChangeResult,
  CLEANING_MARGIN_MS,
  type End,
  type EndResult,
  type ReadOptions,
  type SessionRecord,
  type Store,
  type StoreContext,
  StoreFullError,
  StoreUnavailableError,
  type Tombstone,
} from '../../core/index.ts'
import type { Member, Message, NodeId, Operation, Outcome, View } from './protocol/messages.ts'
import { createMeshNode } from './protocol/mesh-node.ts'
import type { Effect, MeshNode } from './protocol/node.ts'
import { holdersOf } from './protocol/placement.ts'
import { EncodedRecords } from './records.ts'
import { type PeersOption, type PeersWatch, watchPeers } from './wire/peers.ts'
import { presharedSecurity } from './wire/security.ts'
import { createTransport, type Transport } from './wire/transport.ts'
import { DEFAULT_PORT, type MeshPeers, type MeshPolicy } from './policy.ts'

const TICK_EVERY_MS = 50
/** A node tries to come into a view for so long before `ready` gives up; longer than a fleet needs to notice a node that is gone. */
const READY_MS = 10_000
/** A node that leaves waits so long for the others to take over what it holds, where `close` gives no other time. */
const LEAVE_MS = 8_000

const CANNOT_LISTEN: Readonly<Record<string, string>> = {
  EADDRINUSE:
    'another process has this port (perhaps this application, started twice); end it, or give meshStore another `listen: { port }`',
  EADDRNOTAVAIL: 'this machine has no such address; give meshStore a `listen: { host }` that it has, such as 0.0.0.0',
  EACCES: 'this user may not; give meshStore a `listen: { port }` above 1023',
}

interface Asked {
  readonly settle: (outcome: Outcome) => void
  readonly timer: NodeJS.Timeout
}

/** What a node that was started consists of. */
interface Running {
  readonly node: MeshNode
  readonly transport: Transport
  readonly peers: PeersWatch
  ticker: NodeJS.Timeout | undefined
}

/** A node of the mesh as a store: the state machine with a clock, a timer and connections. */
export class MeshStore implements Store {
  readonly #context: StoreContext
  readonly #policy: MeshPolicy
  readonly #records: EncodedRecords
  readonly #asked = new Map<number, Asked>()
  readonly #self: Member
  #running: Promise<Running> | undefined
  #node: MeshNode | undefined
  #transport: Transport | undefined
  #closing: Promise<void> | undefined
  #request = 0
  #hops = 0
  #hasServed = false
  /** The view of which it was said that it has too few nodes: once is enough. */
  #warnedOf: View | undefined
  /** Resolves when it is in a view and holds the leases for it, or closes. */
  readonly #serves = Promise.withResolvers<void>()
  readonly #left = Promise.withResolvers<void>()

  constructor(context: StoreContext, policy: MeshPolicy) {
    this.#context = context
    this.#policy = policy
    this.#records = new EncodedRecords({
      nowMs: context.clock.now(),
      sessionsMax: policy.maxSessions,
      bytesMax: policy.maxBytes,
    })
    this.#self = { id: randomBytes(8).toString('base64url'), address: policy.address, zone: policy.zone }
  }

  /** What was started goes on looking for the others where it could not serve in time; the next call waits again. */
  async ready(): Promise<void> {
    if (this.#closing) throw closedError()
    this.#running ??= this.#start().catch((error: unknown) => {
      this.#running = undefined
      throw error
    })
    await this.#running
    const timeIsUp = Promise.withResolvers<never>()
    const timer = setTimeout(() => timeIsUp.reject(this.#noView()), READY_MS)
    await Promise.race([this.#serves.promise, timeIsUp.promise]).finally(() => clearTimeout(timer))
    if (this.#closing) throw closedError()
  }

  async #start(): Promise<Running> {
    const { keyRing, logger } = this.#context
    const { copies, ack, onPartition, minCopies, expectedNodes, listen } = this.#policy
    const self = this.#self
    const node = createMeshNode(performance.now(), {
      self, copies, ack, onPartition, minCopies, expectedNodes, random: Math.random, records: this.#records,
      unreached: () => this.#transport?.unreached() ?? [],
    }) // prettier-ignore
    const transport = createTransport({
      self: () => self,
      listen,
      security: presharedSecurity(keyRing),
      clock: { now: Date.now }, // the machine's, also where a test turns that of the sessions
      logger,
      onConnected: (peer) => this.#carryOut(node.connected(performance.now(), peer)),
      onDisconnected: (peer, refused) => this.#carryOut(node.disconnected(performance.now(), peer, refused)),
      onMessage: (peer, message) => this.#carryOut(node.receive(performance.now(), peer, message)),
    })
    await transport.listen().catch(async (error: unknown) => {
      await transport.close()
      throw cannotListen(listen, error)
    })
    this.#node = node
    this.#transport = transport
    const peers = watchPeers({
      peers: withPort(this.#policy.peers),
      logger,
      onPeers: (addresses) => transport.connectTo(addresses),
    })
    const running: Running = { node, transport, peers, ticker: undefined }
    // A node that does not know yet where the others are must not take itself for the only one; `close` does not wait for it.
    void peers.refresh().then(() => {
      if (!this.#closing) running.ticker = setInterval(() => this.#tick(node), TICK_EVERY_MS)
    })
    return running
  }

  #noView(): StoreUnavailableError {
    const { onPartition, expectedNodes } = this.#policy
    const needs =
      onPartition === 'majority'
        ? `; with onPartition 'majority' more than half of ${expectedNodes} nodes must run`
        : ''
    return new StoreUnavailableError(
      `the mesh found no view within ${READY_MS} ms; are the peers reachable, and do they have the same secret? ` +
        `Not reached: ${this.#transport?.unreached().join(', ') || 'none'}${needs}`,
    )
  }

  async read(key: string, { atLeast }: ReadOptions = {}): Promise<SessionRecord | undefined> {
    const outcome = await this.#ask({ kind: 'read', key, ...(atLeast ? { atLeast } : {}) })
    return outcome.kind === 'read' ? outcome.record : unexpected(outcome)
  }

  async apply(change: Change): Promise<ChangeResult> {
    const outcome = await this.#ask({ kind: 'apply', key: change.key, change })
    return outcome.kind === 'apply' ? outcome.result : unexpected(outcome)
  }

  async end(end: End): Promise<EndResult> {
    const outcome = await this.#ask({ kind: 'end', key: end.key, end: { ...end, forgetAt: this.#forgetAt(end) } })
    return outcome.kind === 'end' ? outcome.result : unexpected(outcome)
  }

  async install(whole: SessionRecord | Tombstone): Promise<void> {
    const outcome = await this.#ask({ kind: 'install', key: whole.key, whole })
    if (outcome.kind !== 'install') unexpected(outcome)
  }

  async check(): Promise<void> {
    if (this.#closing) throw closedError()
    if (this.#node?.isServing(performance.now())) return
    throw new StoreUnavailableError('this node of the mesh holds no lease; it waits for the others')
  }

  /** How often another node was asked for what this node does not hold, since the start: what `ownerAffinity` saves. */
  get hops(): number {
    return this.#hops
  }

  /** The addresses of a session's owner, first, and of its backups, in the view of this node. */
  holders(key: string): readonly string[] {
    const node = this.#closing ? undefined : this.#node
    return node ? holdersOf(node.view, key, this.#policy.copies).map(({ address }) => address) : []
  }

  /** Hands over what this node holds, at most for so long, and leaves. */
  close(deadlineMs: number = LEAVE_MS): Promise<void> {
    this.#closing ??= this.#close(deadlineMs)
    return this.#closing
  }

  async #close(deadlineMs: number): Promise<void> {
    this.#serves.resolve() // nobody waits for it any more
    const running = await this.#running?.catch(() => undefined)
    if (!running) return
    const { node, transport, peers } = running
    if (node.view.members.length > 1) await this.#leave(node, deadlineMs)
    this.#node = undefined
    clearInterval(running.ticker)
    peers.close()
    for (const { settle } of this.#asked.values()) settle({ kind: 'retry' })
    await transport.close()
  }

  async #leave(node: MeshNode, deadlineMs: number): Promise<void> {
    const timer = setTimeout(() => {
      this.#context.logger.error(
        { deadlineMs },
        'the mesh closes before the others have taken over what this node holds: give close() a longer deadline',
      )
      this.#left.resolve()
    }, deadlineMs)
    this.#carryOut(node.leave(performance.now()))
    await this.#left.promise
    clearTimeout(timer)
  }

  /** A node that was away may come back with an older copy: an end is remembered for as long as one could live. */
  #forgetAt({ endedAt, forgetAt }: Tombstone): number {
    return Math.max(forgetAt, endedAt + this.#context.absoluteTimeoutMs + CLEANING_MARGIN_MS)
  }

  #tick(node: MeshNode): void {
    this.#carryOut(node.tick(performance.now()))
    this.#records.clean(this.#context.clock.now())
  }

  #ask(operation: Operation): Promise<Outcome> {
    const node = this.#node
    if (!node || this.#closing) return Promise.reject(closedError())
    const request = (this.#request += 1)
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        node.giveUp(request)
        this.#settle(request, { kind: 'retry' })
      }, this.#context.deadlineMs * 0.9)
      this.#asked.set(request, { settle: resolve, timer })
      this.#carryOut(node.request(performance.now(), request, operation))
    })
  }

  #settle(request: number, outcome: Outcome): void {
    const asked = this.#asked.get(request)
    if (!asked) return
    this.#asked.delete(request)
    clearTimeout(asked.timer)
    asked.settle(outcome)
  }

  #carryOut(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'send') this.#send(effect.to, effect.message)
      else if (effect.kind === 'outcome') this.#settle(effect.request, effect.outcome)
      else this.#tell(effect)
    }
    if (this.#hasServed || !this.#node?.isServing(performance.now())) return
    this.#hasServed = true
    this.#serves.resolve()
  }

  #send(to: NodeId, message: Message): void {
    if (message.type === 'ask') this.#hops += 1
    this.#transport?.send(to, message)
  }

  #tell({ name, view }: Extract<Effect, { kind: 'event' }>): void {
    const { logger } = this.#context
    const facts = { members: view.members.map(({ address }) => address) }
    if (name === 'left') this.#left.resolve()
    if (name === 'view') logger.info(facts, 'the mesh has a new view')
    if (name === 'underReplicated' && this.#warnedOf !== view) {
      this.#warnedOf = view
      logger.warn(
        facts,
        'changes are acknowledged with one copy alone, since this node is alone: its end would lose them',
      )
    }
  }
}

function withPort(peers: MeshPeers): PeersOption {
  return typeof peers === 'object' && 'dns' in peers ? { port: DEFAULT_PORT, ...peers } : peers
}

function unexpected(outcome: Outcome): never {
  if (outcome.kind === 'full')
    throw new StoreFullError(
      'the nodes of the mesh that would hold this session have no room for more; raise maxSessions or maxBytes, or add nodes',
    )
  const why =
    outcome.kind === 'underReplicated'
      ? 'fewer copies than minCopies are alive'
      : 'its owner could not be asked in time; another node may be failing'
  throw new StoreUnavailableError(`the mesh did not carry it out: ${why}`)
}

function closedError(): StoreUnavailableError {
  return new StoreUnavailableError('this node of the mesh is closed')
}

function cannotListen({ host, port }: MeshPolicy['listen'], cause: unknown): StoreUnavailableError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const why = CANNOT_LISTEN[code] ?? String(cause)
  return new StoreUnavailableError(`the mesh cannot listen on ${host}:${port}: ${why}`, { cause })
}
