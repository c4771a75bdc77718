import { isTombstone } from '../../../core/index.ts'
import { compareVersions } from '../../../token/index.ts'
import { isOutdated, withDelta } from './copies.ts'
import { Handover } from './handover.ts'
import { mayBeOutvoted } from './losses.ts'
import { Membership } from './membership.ts'
import type { Ballot, Holding, Member, Message, NodeId, Operation, Outcome, View } from './messages.ts'
import type { Effect, MeshNode, MeshNodeOptions, Whereabouts } from './node.ts'
import { Outbox } from './outbox.ts'
import { Owner } from './owner.ts'
import { Repair } from './repair.ts'
import { Sureness } from './sureness.ts'

/** A node of the mesh that has just started, with whatever `records` hold. */
export function createMeshNode(nowMs: number, options: MeshNodeOptions): MeshNode {
  return new Node(nowMs, options)
}

/** An operation of this node's own clients. */
interface Asked {
  readonly operation: Operation
  /** Who was asked, in which view; `undefined` while nobody can be. */
  to: NodeId | undefined
}

class Node implements MeshNode {
  readonly #options: MeshNodeOptions
  readonly #outbox = new Outbox()
  readonly #membership: Membership
  readonly #owner: Owner
  readonly #handover: Handover
  readonly #repair: Repair
  readonly #asked = new Map<number, Asked>()
  /** Offers of others that are being taken, by node and request. */
  readonly #offers = new Set<string>()
  #sureness: Sureness
  #isLeaving = false
  #nowMs: number

  constructor(nowMs: number, options: MeshNodeOptions) {
    this.#nowMs = nowMs
    this.#options = options
    this.#membership = new Membership(nowMs, options, this.#outbox)
    this.#sureness = new Sureness(this.#membership.view, options, undefined)
    this.#owner = new Owner(options, this.#membership, this.#outbox, this.#sureness)
    this.#handover = new Handover(options, this.#membership, this.#outbox, this.#owner, this.#sureness)
    this.#repair = new Repair(options, this.#membership, this.#outbox, this.#owner)
  }

  get view(): View {
    return this.#membership.view
  }

  get whereabouts(): Whereabouts | undefined {
    const { ballot, members } = this.view
    if (!this.#membership.standsIn(ballot)) return undefined
    return {
      view: ballot,
      holders: [...members, ...this.#membership.awaitedLeavers].map(({ id }) => id),
      isSettled: this.#membership.isSettled && this.#membership.areOthersSettled,
      hasDropped: this.#handover.hasDropped,
      isMissingSome: this.#options.onPartition === 'majority' && mayBeOutvoted(this.view, this.#options),
    }
  }

  isServing(nowMs: number): boolean {
    return this.#membership.isServing(nowMs)
  }

  connected(nowMs: number, peer: Member): Effect[] {
    return this.#do(nowMs, () => {
      this.#membership.connected(nowMs, peer)
      this.#handover.connected(peer.id)
    })
  }

  disconnected(nowMs: number, peer: NodeId, refused: boolean): Effect[] {
    return this.#do(nowMs, () => {
      this.#membership.disconnected(peer, refused)
      for (const asked of this.#asked.values()) if (asked.to === peer) asked.to = undefined
    })
  }

  receive(nowMs: number, from: NodeId, message: Message): Effect[] {
    return this.#do(nowMs, () => this.#receive(from, message))
  }

  request(nowMs: number, request: number, operation: Operation): Effect[] {
    return this.#do(nowMs, () => {
      this.#asked.set(request, { operation, to: undefined })
      this.#dispatch(request)
    })
  }

  giveUp(request: number): void {
    this.#asked.delete(request)
  }

  tick(nowMs: number): Effect[] {
    return this.#do(nowMs, () => {
      if (this.#membership.tick(nowMs)) this.#viewInstalled()
      this.#owner.tick(nowMs)
      this.#handover.tick(nowMs)
      this.#repair.tick(nowMs)
      if (this.#membership.hasView && this.#membership.areOthersSettled) {
        this.#sureness.setSureOfAll()
        this.#sureness.isSettledByAll = this.#membership.isSettled
      }
      for (const [request, { to }] of this.#asked) if (to === undefined) this.#dispatch(request)
      const isOut = !this.view.members.some(({ id }) => id === this.#options.self.id)
      const isDone =
        (isOut && this.#membership.isKnownSettled) || !this.#membership.hasView || this.#membership.isLast(nowMs)
      if (this.#isLeaving && !this.#membership.hasLeft && isDone) {
        this.#membership.hasLeft = true
        this.#outbox.event('left', this.view)
      }
    })
  }

  leave(nowMs: number): Effect[] {
    return this.#do(nowMs, () => {
      this.#isLeaving = true
      this.#membership.leave(nowMs)
    })
  }

  #do(nowMs: number, run: () => void): Effect[] {
    this.#nowMs = nowMs
    run()
    return this.#outbox.take()
  }

  #viewInstalled(): void {
    const { self } = this.#options
    this.#sureness = new Sureness(this.view, this.#options, this.#sureness)
    this.#owner.viewInstalled(this.#nowMs, this.#sureness)
    this.#handover.viewInstalled(this.#sureness)
    this.#repair.viewInstalled(this.#nowMs)
    this.#offers.clear()
    this.#outbox.event('view', this.view)
    for (const [request, asked] of this.#asked) {
      if (asked.to === self.id) continue // in its key's line, or given back
      asked.to = undefined
      this.#dispatch(request)
    }
  }

  #receive(from: NodeId, message: Message): void {
    switch (message.type) {
      case 'hello':
        return
      case 'heartbeat':
      case 'heartbeatAnswer':
      case 'propose':
      case 'accept':
      case 'refuse':
      case 'install':
        if (this.#membership.receive(this.#nowMs, from, message)) this.#viewInstalled()
        return
      case 'ask':
        return this.#answer(from, message)
      case 'answer':
        return this.#answered(message.request, message.outcome)
      case 'replicate':
        return this.#replicate(from, message)
      case 'replicated':
      case 'holding':
        return this.#owner.receive(this.#nowMs, from, message)
      case 'fetch':
        return this.#show(from, message)
      case 'offer':
        return this.#takeOffer(from, message)
      case 'offered':
        return this.#handover.receive(this.#nowMs, message)
      case 'digest':
        return this.#repair.compare(from, message)
      case 'lacks':
        return this.#repair.send(this.#nowMs, message)
    }
  }

  /** Answers here, or asks the owner. Without a view that can be served it waits for the next tick. */
  #dispatch(request: number): void {
    const asked = this.#asked.get(request)
    const owner = asked && this.#sureness.owner(asked.operation.key)
    if (!asked || owner === undefined) return
    const { operation } = asked
    if (owner === this.#options.self.id) {
      asked.to = owner
      const finish = (outcome: Outcome): void => this.#answered(request, outcome)
      this.#owner.add(this.#nowMs, operation.key, { kind: 'operation', operation, finish })
    } else if (this.#isServedByCopy(operation)) {
      const held = this.#options.records.get(operation.key)
      this.#answered(request, { kind: 'read', record: held && !isTombstone(held) ? held : undefined })
    } else if (this.#membership.isConnected(owner)) {
      asked.to = owner
      this.#outbox.send(owner, { type: 'ask', view: this.view.ballot, request, operation })
    }
  }

  /**
   * A backup serves a copy that its owner has confirmed in this view. That there is none, only the owner says. With
   * `majority` a copy may hold what was never acknowledged, and be cut off with this node: there only the owner serves.
   */
  #isServedByCopy(operation: Operation): boolean {
    if (this.#options.onPartition === 'majority' || operation.kind !== 'read') return false
    if (!this.#membership.isServing(this.#nowMs)) return false
    const { key, atLeast } = operation
    const held = this.#options.records.get(key)
    if (!held || !this.#sureness.isHolder(key, this.#options.self.id) || !this.#sureness.isConfirmed(key)) return false
    return isTombstone(held) || !atLeast || compareVersions(held.version, atLeast) >= 0
  }

  #answered(request: number, outcome: Outcome): void {
    const asked = this.#asked.get(request)
    if (!asked) return
    if (outcome.kind === 'retry') {
      asked.to = undefined
      return
    }
    this.#asked.delete(request)
    this.#outbox.outcome(request, outcome)
  }

  #answer(from: NodeId, { view, request, operation }: Extract<Message, { type: 'ask' }>): void {
    const answer = (outcome: Outcome): void => this.#outbox.send(from, { type: 'answer', request, outcome })
    if (!this.#owns(view, operation.key)) return answer({ kind: 'retry' })
    this.#owner.add(this.#nowMs, operation.key, { kind: 'operation', operation, finish: answer })
  }

  #owns(view: Ballot, key: string): boolean {
    return this.#membership.standsIn(view) && this.#sureness.owner(key) === this.#options.self.id
  }

  /** The word of the owner, in the view that both are in, is the key's state. */
  #replicate(
    from: NodeId,
    { view, request, key, isSure, delta, whole }: Extract<Message, { type: 'replicate' }>,
  ): void {
    const { records } = this.#options
    if (!this.#membership.standsIn(view) || this.#sureness.owner(key) !== from) {
      return this.#outbox.send(from, { type: 'replicated', request, state: 'wrongView' })
    }
    const next: Holding | undefined = whole ?? (delta && withDelta(records.get(key), delta))
    if (!next) return this.#outbox.send(from, { type: 'replicated', request, state: 'needsWhole' })
    if (!isOutdated(next, records.get(key))) records.set(key, next)
    if (isSure) this.#sureness.setConfirmed(key)
    this.#outbox.send(from, { type: 'replicated', request, state: 'kept' })
  }

  #show(from: NodeId, { view, request, key }: Extract<Message, { type: 'fetch' }>): void {
    if (!this.#membership.standsIn(view)) {
      return this.#outbox.send(from, { type: 'holding', request, isWrongView: true })
    }
    const holding = this.#options.records.get(key)
    this.#outbox.send(from, { type: 'holding', request, ...(holding ? { holding } : {}) })
  }

  /** Answered when each record has found its way to all who should hold it. */
  #takeOffer(from: NodeId, { view, request, holdings }: Extract<Message, { type: 'offer' }>): void {
    const refuse = (): void => this.#outbox.send(from, { type: 'offered', request, isWrongView: true })
    if (!holdings.every(({ key }) => this.#owns(view, key))) return refuse()
    const offer = `${from} ${request}`
    if (this.#offers.has(offer)) return // sent again while it is under way
    this.#offers.add(offer)
    let waiting = holdings.length
    const finish = (): void => {
      waiting -= 1
      if (waiting > 0 || !this.#membership.standsIn(view)) return
      this.#offers.delete(offer)
      this.#outbox.send(from, { type: 'offered', request })
    }
    for (const holding of holdings) this.#owner.add(this.#nowMs, holding.key, { kind: 'merge', holding, finish })
  }
}
