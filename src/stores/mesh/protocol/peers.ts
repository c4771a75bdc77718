import { groupOf } from './groups.ts'
import { type Ballot, type Member, type NodeId, same, type View } from './messages.ts'
import { LEASE_MS, LEAVER_SILENT_MS } from './times.ts'

/** What this node knows of another. */
export interface Peer {
  readonly member: Member
  isConnected: boolean
  /** Whether it has said over this connection in which view it is. */
  hasSpoken: boolean
  /** Its address refused a connection: no process is there. */
  isRefused: boolean
  heardAt: number
  hears: ReadonlySet<NodeId>
  isLeaving: boolean
  isFull: boolean
  view: Ballot
  /** Since when it has been in another view than this node; `undefined` while in the same. */
  differsSince: number | undefined
  /** When this node last granted it a lease, and the sending of this node's last heartbeat for which it granted one. */
  grantedAt: number
  leaseFrom: number
  /** The sending of this node's last heartbeat that it has answered. */
  answeredAt: number
}

/** What this node has heard of the others, and from whom it holds leases. */
export class Peers {
  readonly #self: Member
  readonly #peers = new Map<NodeId, Peer>()

  constructor(self: Member) {
    this.#self = self
  }

  get(id: NodeId): Peer | undefined {
    return this.#peers.get(id)
  }

  get connected(): Peer[] {
    return [...this.#peers.values()].filter(({ isConnected }) => isConnected)
  }

  isConnected(id: NodeId): boolean {
    return this.#peers.get(id)?.isConnected ?? false
  }

  /** Whether it leaves, or nothing is at its address. */
  isGone(id: NodeId): boolean {
    const peer = this.#peers.get(id)
    return peer === undefined || peer.isLeaving || (peer.isRefused && !peer.isConnected)
  }

  /** Whether nothing is at its address. */
  isGoneForGood(id: NodeId): boolean {
    const peer = this.#peers.get(id)
    return peer !== undefined && peer.isRefused && !peer.isConnected
  }

  /** Whether it was not heard for so long that it may be gone, or cut off from this node. */
  isSilent(nowMs: number, id: NodeId): boolean {
    return nowMs - (this.#peers.get(id)?.heardAt ?? -Infinity) > LEAVER_SILENT_MS
  }

  hasLeaseFrom(nowMs: number, id: NodeId): boolean {
    return nowMs - (this.#peers.get(id)?.leaseFrom ?? -Infinity) < LEASE_MS
  }

  connect(nowMs: number, member: Member): void {
    const known = this.#peers.get(member.id)
    const leases = { grantedAt: known?.grantedAt ?? -Infinity, leaseFrom: known?.leaseFrom ?? -Infinity }
    this.#peers.set(member.id, {
      member,
      isConnected: true,
      hasSpoken: false,
      isRefused: false,
      heardAt: nowMs,
      hears: new Set([this.#self.id]),
      isLeaving: false,
      isFull: false,
      view: { number: 0, id: member.id },
      differsSince: undefined,
      answeredAt: Number.NEGATIVE_INFINITY,
      ...leases,
    })
  }

  disconnect(id: NodeId, isRefused: boolean): void {
    const peer = this.#peers.get(id)
    if (!peer) return
    peer.isConnected = false
    peer.isRefused = isRefused
  }

  /** This node was paused: what it has not heard meanwhile says nothing about the others. */
  hearAll(nowMs: number): void {
    for (const peer of this.#peers.values()) peer.heardAt = peer.grantedAt = nowMs
  }

  /** Leases are of one view. Who is neither connected nor in the view is forgotten. */
  viewInstalled(nowMs: number, { ballot, members, leaving }: View): void {
    const stays = new Set([...members, ...leaving].map(({ id }) => id))
    for (const [id, peer] of this.#peers) {
      if (!peer.isConnected && !stays.has(id)) this.#peers.delete(id)
      peer.leaseFrom = Number.NEGATIVE_INFINITY
      peer.grantedAt = nowMs // what it heard or failed to hear before says nothing about this view
      peer.differsSince = same(peer.view, ballot) ? undefined : nowMs
    }
  }

  heard(nowMs: number): Peer[] {
    return this.connected.filter(({ heardAt }) => nowMs - heardAt < LEASE_MS)
  }

  /** Who should be in the view: those that hear each other and do not leave, in the order of their ids. */
  wanted(nowMs: number): Member[] {
    const self = this.#self
    const heard = this.heard(nowMs).filter(({ isLeaving }) => !isLeaving)
    const leaving = new Set([...this.#peers.values()].filter((peer) => peer.isLeaving).map(({ member }) => member.id))
    const rows = new Map<NodeId, ReadonlySet<NodeId>>([[self.id, new Set(heard.map(({ member }) => member.id))]])
    for (const { member, hears } of heard) rows.set(member.id, new Set([...hears].filter((id) => !leaving.has(id))))
    const group = new Set(groupOf(self.id, rows))
    return [self, ...heard.map(({ member }) => member)].filter(({ id }) => group.has(id)).toSorted(byId)
  }

  /** Who leaves and still holds something that it could hand over. */
  leavers(nowMs: number): Member[] {
    return this.heard(nowMs)
      .filter(({ isLeaving, view }) => isLeaving && view.number > 0)
      .map(({ member }) => member)
  }
}

function byId(a: Member, b: Member): number {
  return a.id < b.id ? -1 : 1
}
