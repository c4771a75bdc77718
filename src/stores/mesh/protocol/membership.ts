import { type Ballot, type Member, type Message, type NodeId, same, type View } from './messages.ts'
import { isReplaced, pastOf } from './losses.ts'
import type { RecordMap } from './node.ts'
import type { Outbox } from './outbox.ts'
import { type Peer, Peers } from './peers.ts'
import {
  GAP_MS,
  HEARTBEAT_EVERY_MS,
  LEASE_OVER_MS,
  PROPOSAL_MS,
  RANK_MS,
  STARTUP_ALONE_MS,
  STARTUP_MS,
  STUCK_MS,
} from './times.ts'

export interface MembershipOptions {
  readonly self: Member
  readonly onPartition: 'serve' | 'majority'
  /** How many nodes the fleet is meant to have: what a majority is of before there was a view. */
  readonly expectedNodes: number
  readonly unreached: () => readonly string[]
  readonly random: () => number
  readonly records: Pick<RecordMap, 'isFull'>
}

interface Proposal {
  readonly view: View
  readonly accepts: Map<NodeId, Acceptance>
  readonly startedAt: number
}

type Acceptance = Pick<Extract<Message, { type: 'accept' }>, 'installed' | 'accepted' | 'settled'>

type MembershipMessage = Extract<
  Message,
  { type: 'heartbeat' | 'heartbeatAnswer' | 'propose' | 'accept' | 'refuse' | 'install' }
>

/** Who is in the view, and whether this node may serve in it: the agreement of `docs/design/mesh.md`. */
export class Membership {
  view: View
  /** Set when all is handed over, or there is nobody to hand over to, or it is lost: from then on nothing is served. */
  hasLeft = false
  readonly #options: MembershipOptions
  readonly #outbox: Outbox
  readonly #peers: Peers
  /** Who has said that what it holds was handed to the owners of the view; this node too. */
  #settled = new Set<NodeId>()
  #settledAt = Number.NEGATIVE_INFINITY
  /** Since when it listens for others without having been paused. */
  #startedAt: number
  /** The highest ballot that was proposed, accepted or installed anywhere, as far as this node has heard. */
  #seen: Ballot
  /** Accepted and not installed: this node has left its view, and serves nothing until the next is installed. */
  #accepted: View | undefined
  #acceptedAt = 0
  /** All that was accepted since the view was installed: each may have been decided by others. */
  #mayStand: View[] = []
  #proposal: Proposal | undefined
  #beatAt = Number.NEGATIVE_INFINITY
  #tickedAt: number
  /** Since when the view is not what it should be. */
  #needSince: number | undefined
  #isLeaving = false

  constructor(nowMs: number, options: MembershipOptions, outbox: Outbox) {
    this.#options = options
    this.#outbox = outbox
    this.#peers = new Peers(options.self)
    this.#startedAt = nowMs
    this.#tickedAt = nowMs
    this.#seen = { number: 0, id: options.self.id }
    this.view = {
      ballot: this.#seen,
      incarnation: 0,
      members: [],
      leaving: [],
      previous: null,
      placements: [],
      losses: [],
    }
  }

  /** Whether what this node holds was handed to the owners of the view. */
  get isSettled(): boolean {
    return this.#settled.has(this.#options.self.id)
  }

  setSettled(nowMs: number): void {
    this.#settled.add(this.#options.self.id)
    this.#settledAt = nowMs
    this.#beatAll(nowMs)
  }

  /** Whether all members know that this node is settled: one that leaves before is taken for lost with what it held. */
  get isKnownSettled(): boolean {
    return (
      this.isSettled &&
      this.view.members.every(
        ({ id }) => !this.isConnected(id) || (this.#peers.get(id)?.answeredAt ?? -Infinity) >= this.#settledAt,
      )
    )
  }

  get hasView(): boolean {
    return this.view.members.length > 0
  }

  /** Whether this node holds the leases that it needs, in a view that it has not left. */
  isServing(nowMs: number): boolean {
    if (this.hasLeft || this.#accepted || !has(this.view.members, this.#options.self.id)) return false
    const held = this.view.members.filter(
      ({ id }) => id === this.#options.self.id || this.#peers.hasLeaseFrom(nowMs, id),
    ).length
    return this.#options.onPartition === 'serve'
      ? held === this.view.members.length
      : held > this.view.members.length / 2
  }

  /** Whether this node is in the view of this ballot and has not left it: what a peer of that view says is believed. */
  standsIn(ballot: Ballot): boolean {
    return this.#accepted === undefined && this.hasView && same(ballot, this.view.ballot)
  }

  /** Whether nobody stays to whom a leaving node could hand over. A member whose connection has broken may be back soon. */
  isLast(nowMs: number): boolean {
    const members = this.view.members.filter(({ id }) => id !== this.#options.self.id)
    return (
      members.every(({ id }) => this.#peers.isGone(id)) && this.#peers.heard(nowMs).every(({ isLeaving }) => isLeaving)
    )
  }

  /** Whether every other member, and everybody who leaves and is still there, has handed over what it holds. */
  get areOthersSettled(): boolean {
    return [...this.view.members, ...this.awaitedLeavers].every(
      ({ id }) => id === this.#options.self.id || this.#settled.has(id),
    )
  }

  /**
   * Who leaves and may know what nobody else knows. With `majority` also who cannot be reached from here: that is waited for
   * until it has handed over, or a view without it says that it is away.
   */
  get awaitedLeavers(): Member[] {
    const mayKnow = (id: NodeId): boolean =>
      this.#options.onPartition === 'majority' && !this.#settled.has(id) && !this.#peers.isGoneForGood(id)
    return this.view.leaving.filter(({ id }) => this.isConnected(id) || mayKnow(id))
  }

  /** Whether a peer has said last that it has no room for more. */
  isFull(id: NodeId): boolean {
    return this.#peers.get(id)?.isFull ?? false
  }

  isConnected(id: NodeId): boolean {
    return this.#peers.isConnected(id)
  }

  connected(nowMs: number, member: Member): void {
    this.#peers.connect(nowMs, member)
    this.#beat(nowMs, member.id)
  }

  disconnected(id: NodeId, isRefused: boolean): void {
    this.#peers.disconnect(id, isRefused)
  }

  /** @returns whether a view was installed */
  receive(nowMs: number, from: NodeId, message: MembershipMessage): boolean {
    const peer = this.#peers.get(from)
    if (!peer) return false
    peer.heardAt = nowMs
    switch (message.type) {
      case 'heartbeat':
        this.#answerBeat(nowMs, peer, message)
        return false
      case 'heartbeatAnswer':
        peer.answeredAt = Math.max(peer.answeredAt, message.sentAt)
        if (message.granted && same(message.view, this.view.ballot))
          peer.leaseFrom = Math.max(peer.leaseFrom, message.sentAt)
        return false
      case 'propose':
        this.#consider(nowMs, from, message.view)
        return false
      case 'accept':
        return this.#count(nowMs, from, message.ballot, message)
      case 'refuse':
        this.#see(message.seen)
        if (this.#proposal && same(message.ballot, this.#proposal.view.ballot)) this.#proposal = undefined
        return false
      case 'install':
        return this.#install(nowMs, message.view)
    }
  }

  /** @returns whether a view was installed */
  tick(nowMs: number): boolean {
    if (nowMs - this.#tickedAt > GAP_MS) {
      this.#peers.hearAll(nowMs)
      this.#startedAt = nowMs
    }
    this.#tickedAt = nowMs
    if (nowMs - this.#beatAt >= HEARTBEAT_EVERY_MS) {
      this.#beatAt = nowMs
      this.#beatAll(nowMs)
    }
    if (this.#proposal && nowMs - this.#proposal.startedAt > PROPOSAL_MS) this.#proposal = undefined
    if (this.#isLeaving || this.hasLeft || this.#isLost(nowMs)) return false
    const wanted = this.#peers.wanted(nowMs)
    if (!this.#isChangeNeeded(nowMs, wanted)) {
      this.#needSince = undefined
      return false
    }
    this.#needSince ??= nowMs
    const rank = wanted.findIndex(({ id }) => id === this.#options.self.id)
    if (this.#proposal || nowMs - this.#needSince < rank * RANK_MS || !this.#mayBegin(nowMs, wanted)) return false
    return this.#propose(nowMs, wanted)
  }

  /** With `majority`: whether so many of the view are dead that no other can follow it. Then this node is of no use as it is. */
  #isLost(nowMs: number): boolean {
    if (this.#options.onPartition === 'serve') return false
    const heard = this.#peers.heard(nowMs).map(({ member }) => member)
    if (!isLost(this.view, heard)) return false
    this.hasLeft = true
    this.#outbox.event('lost', this.view)
    return true
  }

  leave(nowMs: number): void {
    this.#isLeaving = true
    this.#beatAll(nowMs)
  }

  #beatAll(nowMs: number): void {
    for (const { member } of this.#peers.connected) this.#beat(nowMs, member.id)
  }

  #beat(nowMs: number, to: NodeId): void {
    const hears = this.#peers.heard(nowMs).map(({ member }) => member.id)
    this.#outbox.send(to, {
      type: 'heartbeat',
      view: this.view.ballot,
      sentAt: nowMs,
      hears,
      isLeaving: this.#isLeaving,
      isSettled: this.isSettled,
      isFull: this.#options.records.isFull,
    })
  }

  #answerBeat(
    nowMs: number,
    peer: Peer,
    { view, sentAt, hears, isLeaving, isSettled, isFull }: Extract<Message, { type: 'heartbeat' }>,
  ): void {
    const { id } = peer.member
    peer.hears = new Set(hears)
    peer.hasSpoken = true
    peer.isLeaving = isLeaving
    peer.isFull = isFull
    peer.view = view
    this.#see(view)
    const isSame = same(view, this.view.ballot)
    if (isSame && isSettled) this.#settled.add(id)
    const comesToo = isSame && peer.differsSince !== undefined
    if (isSame) peer.differsSince = undefined
    else peer.differsSince ??= nowMs
    const granted = isSame && this.#accepted === undefined && has(this.view.members, id)
    if (granted) peer.grantedAt = nowMs
    this.#outbox.send(id, { type: 'heartbeatAnswer', view, sentAt, granted })
    if (comesToo) this.#beat(nowMs, id) // it can grant a lease only now
    // The word that its view was decided was lost with a connection.
    const belongs = has(this.view.members, id) || has(this.view.leaving, id)
    if (belongs && isBefore(view, this.view.ballot)) this.#outbox.send(id, { type: 'install', view: this.view })
  }

  #isChangeNeeded(nowMs: number, wanted: readonly Member[]): boolean {
    if (this.#accepted) return nowMs - this.#acceptedAt > STUCK_MS
    const { members } = this.view
    const stays = [...members, ...this.view.leaving]
    if (this.hasView && this.#peers.leavers(nowMs).some(({ id }) => !has(stays, id))) return true
    const isMajority = this.#options.onPartition === 'majority'
    if (isMajority && this.awaitedLeavers.some(({ id }) => this.#peers.isSilent(nowMs, id))) return true
    if (wanted.length !== members.length || wanted.some(({ id }) => !has(members, id))) return true
    return members.some(({ id }) => nowMs - (this.#peers.get(id)?.differsSince ?? Infinity) > STUCK_MS)
  }

  /** A node without a view joins the one that there is, or waits for others before it begins one. */
  #mayBegin(nowMs: number, wanted: readonly Member[]): boolean {
    const present = [...wanted, ...this.#peers.leavers(nowMs)]
    const isThere = (id: NodeId): boolean => has(present, id)
    if (this.#options.onPartition === 'majority' && !isQuorum(this.view, isThere, present)) return false
    if (this.hasView || wanted.some(({ id }) => (this.#peers.get(id)?.view.number ?? 0) > 0)) return true
    if (this.#mayHearFleet(nowMs)) return false
    if (nowMs - this.#startedAt < (wanted.length > 1 ? STARTUP_MS : STARTUP_ALONE_MS)) return false
    const { onPartition, expectedNodes, unreached } = this.#options
    return onPartition === 'serve' || (wanted.length > expectedNodes / 2 && unreached().length === 0)
  }

  /** Whether somebody has a view, or has not said so yet: who does has what this node lacks, also while it counts on others that are gone. */
  #mayHearFleet(nowMs: number): boolean {
    const isMajority = this.#options.onPartition === 'majority'
    const heard = this.#peers.heard(nowMs)
    return (isMajority ? this.#peers.connected : heard).some(
      (peer) => !peer.isLeaving && (!peer.hasSpoken || peer.view.number > 0 || !heard.includes(peer)),
    )
  }

  #propose(nowMs: number, members: readonly Member[]): boolean {
    const { self, random } = this.#options
    const number = this.#seen.number + 1
    const leaving = this.#peers.leavers(nowMs)
    const incarnation = number * 2 ** 20 + Math.floor(random() * 2 ** 20)
    const view = {
      ballot: { number, id: self.id },
      incarnation,
      members,
      leaving,
      previous: null,
      placements: [],
      losses: [],
    }
    if (!this.#isAcceptable(nowMs, view)) return false
    this.#proposal = { view, accepts: new Map(), startedAt: nowMs }
    for (const { id } of [...members, ...leaving]) if (id !== self.id) this.#outbox.send(id, { type: 'propose', view })
    const acceptance = this.#acceptance()
    this.#accept(nowMs, view)
    return this.#count(nowMs, self.id, view.ballot, acceptance)
  }

  #consider(nowMs: number, from: NodeId, view: View): void {
    const { ballot } = view
    if (!this.#isAcceptable(nowMs, view)) {
      this.#outbox.send(from, { type: 'refuse', ballot, seen: this.#seen, installed: this.view })
      this.#see(ballot)
      return
    }
    const acceptance = this.#acceptance()
    this.#accept(nowMs, view)
    this.#proposal = undefined
    this.#outbox.send(from, { type: 'accept', ballot, ...acceptance })
  }

  #acceptance(): Acceptance {
    return { installed: this.view, accepted: this.#mayStand, settled: [...this.#settled] }
  }

  /** Whether nobody whom the proposal leaves out can hold a lease that this node has granted. */
  #isAcceptable(nowMs: number, { ballot, members, leaving }: View): boolean {
    if (!isBefore(this.#seen, ballot)) return false
    return this.view.members.every(({ id }) => {
      if (id === this.#options.self.id || has(members, id) || has(leaving, id)) return true
      const peer = this.#peers.get(id)
      if (!peer || nowMs - peer.grantedAt >= LEASE_OVER_MS) return true
      return this.#options.onPartition === 'serve' && peer.isRefused && !peer.isConnected
    })
  }

  #accept(nowMs: number, view: View): void {
    this.#see(view.ballot)
    this.#accepted = view
    this.#acceptedAt = nowMs
    this.#mayStand = [...this.#mayStand, view]
  }

  #count(nowMs: number, from: NodeId, ballot: Ballot, { installed, accepted, settled }: Acceptance): boolean {
    const proposal = this.#proposal
    if (!proposal || !same(ballot, proposal.view.ballot)) return false
    proposal.accepts.set(from, { installed, accepted, settled })
    const { members, leaving } = proposal.view
    if (![...members, ...leaving].every(({ id }) => proposal.accepts.has(id)) || !this.#hasMajorities(proposal))
      return false
    this.#proposal = undefined
    const view = { ...proposal.view, ...pastOf(proposal.view, [...proposal.accepts.values()]) }
    for (const { id } of [...members, ...leaving]) {
      if (id !== this.#options.self.id) this.#outbox.send(id, { type: 'install', view })
    }
    return this.#install(nowMs, view)
  }

  /** With `majority`: of every view that may stand, more than half have accepted. */
  #hasMajorities({ accepts, view: { members, leaving } }: Proposal): boolean {
    if (this.#options.onPartition === 'serve') return true
    const answers = [...accepts.values()]
    const last = answers.map(({ installed }) => installed).reduce((a, b) => (isBefore(a.ballot, b.ballot) ? b : a))
    if (last.members.length === 0 && members.length <= this.#options.expectedNodes / 2) return false
    const standing = [last, ...answers.flatMap(({ accepted }) => accepted)].filter(
      ({ ballot }) => !isBefore(ballot, last.ballot),
    )
    const present = [...members, ...leaving]
    return standing.every((view) => isLost(view, present) || isQuorum(view, (id) => accepts.has(id), present))
  }

  #install(nowMs: number, view: View): boolean {
    if (!isBefore(this.view.ballot, view.ballot) || isBefore(view.ballot, this.#accepted?.ballot ?? view.ballot))
      return false
    if (!this.#accepted || !same(this.#accepted.ballot, view.ballot)) return false
    this.#see(view.ballot)
    this.view = view
    this.#settled = new Set()
    this.#accepted = undefined
    this.#mayStand = []
    this.#needSince = undefined
    this.#peers.viewInstalled(nowMs, view)
    for (const { id } of view.members) if (id !== this.#options.self.id && this.isConnected(id)) this.#beat(nowMs, id)
    return true
  }

  #see(ballot: Ballot): void {
    if (isBefore(this.#seen, ballot)) this.#seen = ballot
  }
}

/** Whether so many of a view are dead that it cannot be followed by another any more. */
function isLost({ members }: View, present: readonly Member[]): boolean {
  return members.filter((member) => !isReplaced(member, present)).length < members.length / 2
}

/**
 * Whether no view can follow this one without those who are there, nor can have done: they are more than half of it, or half,
 * and the others are dead.
 */
function isQuorum({ members }: View, isThere: (id: NodeId) => boolean, present: readonly Member[]): boolean {
  const there = members.filter(({ id }) => isThere(id)).length
  if (there !== members.length / 2) return there > members.length / 2
  return members.every((member) => isThere(member.id) || isReplaced(member, present))
}

function isBefore(a: Ballot, b: Ballot): boolean {
  return a.number < b.number || (a.number === b.number && a.id < b.id)
}

function has(members: readonly Member[], id: NodeId): boolean {
  return members.some((member) => member.id === id)
}
