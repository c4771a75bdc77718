import { randomBytes } from 'node:crypto'
import {
  type Change,
  type ChangeResult,
  CLEANING_MARGIN_MS,
  type End,
  type EndResult,
  type PeerRefusal,
  type ReadOptions,
  type SessionRecord,
  type Store,
  type StoreContext,
  StoreUnavailableError,
  type Tombstone,
} from '../../core/index.ts'
import type { Version } from '../../token/index.ts'
import type { Member, Message, NodeId, Operation, Outcome } from './protocol/messages.ts'
import { createMeshNode } from './protocol/mesh-node.ts'
import type { Effect, MeshNode } from './protocol/node.ts'
import { holdersOf } from './protocol/placement.ts'
import { cannotListen, closedError, unexpected } from './failure.ts'
import { isUserRecord } from './protocol/user-record.ts'
import { EncodedRecords } from './records.ts'
import { PeerRefusals } from './refusals.ts'
import { MeshUsers, NEWEST } from './users/users.ts'
import { type PeersOption, type PeersWatch, watchPeers } from './wire/peers.ts'
import { findOwnAddress } from './wire/own-address.ts'
import { certificateSecurity, presharedSecurity } from './wire/security.ts'
import { createTransport, type Transport } from './wire/transport.ts'
import { DEFAULT_PORT, type MeshPeers, type MeshPolicy } from './policy.ts'

const TICK_EVERY_MS = 50
/** A node tries to come into a view for so long before `ready` gives up; longer than a fleet needs to notice a node that is gone. */
const READY_MS = 10_000
/** A node that leaves waits so long for the others to take over what it holds, where `close` gives no other time. */
const LEAVE_MS = 8_000

/** What part of the deadline of a call it waits for an answer, so that it can say what was amiss. */
const PATIENCE = 0.9

interface Asked {
  readonly settle: (outcome: Outcome) => void
  readonly timer: NodeJS.Timeout
}

/** What a node that was started consists of. */
interface Running {
  readonly node: MeshNode
  readonly transport: Transport
  readonly ticker: NodeJS.Timeout
}

/** A node of the mesh as a store: the state machine with a clock, a timer and connections. */
export class MeshStore implements Store {
  readonly users: MeshUsers
  readonly #context: StoreContext
  readonly #policy: MeshPolicy
  #records: EncodedRecords
  readonly #asked = new Map<number, Asked>()
  #self: Member
  #running: Promise<Running> | undefined
  #node: MeshNode | undefined
  #transport: Transport | undefined
  #peers: PeersWatch | undefined
  readonly #refusals = new PeerRefusals()
  #closing: Promise<void> | undefined
  #request = 0
  #hops = 0
  #hasServed = false
  /** Resolves when it is in a view and holds the leases for it, or closes. */
  readonly #serves = Promise.withResolvers<void>()
  readonly #left = Promise.withResolvers<void>()

  constructor(context: StoreContext, policy: MeshPolicy) {
    this.#context = context
    this.#policy = policy
    this.#records = this.#createRecords()
    this.#self = this.#createSelf()
    this.users = new MeshUsers({
      self: () => this.#self.id,
      records: () => this.#records,
      whereabouts: () => this.#node?.whereabouts,
      isServing: () => this.#isServing,
      send: (to, message) => void this.#transport?.send(to, message),
      minorOf: (peer) => this.#transport?.minorOf(peer),
      read: (key, atLeast) => this.#read(key, atLeast),
      apply: (change) => this.apply(change),
      deadlineMs: context.deadlineMs * PATIENCE,
      absoluteTimeoutMs: context.absoluteTimeoutMs,
      now: () => context.clock.now(),
    })
  }

  #createRecords(): EncodedRecords {
    const { maxSessions, maxBytes } = this.#policy
    return new EncodedRecords({ nowMs: this.#context.clock.now(), sessionsMax: maxSessions, bytesMax: maxBytes })
  }

  #createSelf(): Member {
    const { address = '', zone } = this.#policy
    return { id: randomBytes(8).toString('base64url'), address, zone }
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

  /** Finds the peers before it listens: who is reached counts as a node, and must go on as one. `close` does not wait for it. */
  async #start(): Promise<Running> {
    const { keyRing, logger } = this.#context
    const { copies, ack, onPartition, minCopies, expectedNodes, listen, tls, address } = this.#policy
    let addresses: readonly string[] = []
    let node: MeshNode | undefined
    const hear = (tell: (node: MeshNode, nowMs: number) => readonly Effect[]): void => {
      if (node) this.#carryOut(tell(node, performance.now()))
    }
    const transport = createTransport({
      self: () => this.#self,
      listen,
      security: tls ? certificateSecurity(tls) : presharedSecurity(keyRing),
      clock: { now: Date.now }, // the machine's, also where a test turns that of the sessions
      logger,
      onConnected: (peer) => hear((node, now) => node.connected(now, peer)),
      onDisconnected: (peer, refused) => hear((node, now) => node.disconnected(now, peer, refused)),
      onMessage: (peer, message) => {
        if (message.type === 'findUser' || message.type === 'foundUser') this.users.receive(peer, message)
        else hear((node, now) => node.receive(now, peer, message))
      },
      onRefused: (refusal) => this.#refused(refusal, addresses),
    })
    const peers = watchPeers({
      peers: withPort(this.#policy.peers),
      logger,
      onPeers: (found) => {
        addresses = found
        if (node) transport.connectTo(found)
      },
    })
    this.#peers = peers
    await peers.first()
    if (this.#closing) throw closedError()
    const bound = await transport.listen().catch(async (error: unknown) => {
      peers.close()
      await transport.close()
      throw cannotListen(listen, error)
    })
    this.#self = { ...this.#self, address: address ?? findOwnAddress({ ...listen, port: bound.port }, addresses) }
    const started = createMeshNode(performance.now(), {
      self: this.#self, copies, ack, onPartition, minCopies, expectedNodes, random: Math.random, records: this.#records,
      unreached: () => transport.unreached(),
    }) // prettier-ignore
    node = this.#node = started
    this.#transport = transport
    transport.connectTo(addresses)
    return { node: started, transport, ticker: setInterval(() => this.#tick(started), TICK_EVERY_MS) }
  }

  #refused(refusal: PeerRefusal, addresses: readonly string[]): void {
    this.#refusals.add(refusal, addresses)
    this.#context.raise('peerRefused', refusal)
  }

  #noView(): StoreUnavailableError {
    const { onPartition, expectedNodes } = this.#policy
    const needs =
      onPartition === 'majority'
        ? `; with onPartition 'majority' more than half of ${expectedNodes} nodes must run`
        : ''
    const why = this.#refusals.reasons || 'are the peers reachable, and do they have the same secret?'
    return new StoreUnavailableError(
      `the mesh found no view within ${READY_MS} ms: ${why} ` +
        `Not reached: ${this.#transport?.unreached().join(', ') || 'none'}${needs}`,
    )
  }

  async read(key: string, { atLeast, fresh }: ReadOptions = {}): Promise<SessionRecord | undefined> {
    const record = await this.#read(key, fresh ? NEWEST : atLeast)
    return record && !isUserRecord(record) ? record : undefined
  }

  async #read(key: string, atLeast: Version | undefined): Promise<SessionRecord | undefined> {
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
    if (this.#isServing) return
    throw new StoreUnavailableError('this node of the mesh holds no lease; it waits for the others')
  }

  get #isServing(): boolean {
    if (this.#closing) throw closedError()
    return this.#node?.isServing(performance.now()) ?? false
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
    this.#peers?.close()
    const running = await this.#running?.catch(() => undefined)
    if (!running) return
    const { node, transport, ticker } = running
    if (node.view.members.length > 1) await this.#leave(node, deadlineMs)
    this.#node = undefined
    clearInterval(ticker)
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

  /**
   * A node whose peers refuse it, for its clock, its secret or its version, would begin a fleet of its own beside theirs, to
   * which every session is unknown. It waits instead, and `ready` says why.
   */
  get #isRefused(): boolean {
    const isAlone = this.#node?.view.members.length === 0 && this.#transport?.peers().length === 0
    return isAlone && this.#refusals.areRecent
  }

  #tick(node: MeshNode): void {
    if (this.#isRefused) return
    this.#carryOut(node.tick(performance.now()))
    if (!this.#closing) this.users.tick()
    this.#records.clean(this.#context.clock.now())
  }

  #ask(operation: Operation): Promise<Outcome> {
    const node = this.#node
    if (this.#closing) return Promise.reject(closedError())
    if (!node) return Promise.reject(new StoreUnavailableError('this node of the mesh looks for the others'))
    const request = (this.#request += 1)
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        node.giveUp(request)
        this.#settle(request, { kind: 'retry' })
      }, this.#context.deadlineMs * PATIENCE)
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

  /** What the others of its view knew is gone, and with 'majority' nobody may serve what this node alone knows. */
  #beginAnew(): void {
    const before = this.#running
    this.#running = (async () => {
      const running = await before
      if (!running) throw closedError()
      if (this.#closing) return running
      this.#node = undefined
      clearInterval(running.ticker)
      this.#peers?.close()
      for (const { settle } of this.#asked.values()) settle({ kind: 'retry' })
      await running.transport.close()
      if (this.#closing) throw closedError() // it has stopped looking for peers, and nothing would stop a new search
      this.#records = this.#createRecords()
      this.#self = this.#createSelf()
      return this.#start()
    })()
    this.#running.catch((error: unknown) => {
      if (!this.#closing) this.#context.logger.error({ err: error }, 'the mesh could not begin anew: restart this node')
    })
  }

  #tell({ name, view }: Extract<Effect, { kind: 'event' }>): void {
    const facts = { members: view.members.map(({ address }) => address) }
    switch (name) {
      case 'left':
        return this.#left.resolve()
      case 'view':
        return this.#context.logger.info(facts, 'the mesh has a new view')
      case 'underReplicated':
        return this.#context.raise('underReplicated', facts)
      case 'lost':
        this.#context.raise('begunAnew', facts)
        return this.#beginAnew()
    }
  }
}

function withPort(peers: MeshPeers): PeersOption {
  return typeof peers === 'object' && 'dns' in peers ? { port: DEFAULT_PORT, ...peers } : peers
}
