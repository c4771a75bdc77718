import type { Membership } from './membership.ts'
import type { Holding, Message, NodeId } from './messages.ts'
import type { MeshNodeOptions } from './node.ts'
import type { Outbox } from './outbox.ts'
import type { Owner } from './owner.ts'
import { holdersOf } from './placement.ts'
import type { Sureness } from './sureness.ts'
import { OFFER_RECORDS, OFFER_RESEND_MS, OFFERS_MAX, SYNCS_MAX } from './times.ts'

interface Offer {
  readonly to: NodeId
  readonly holdings: readonly Holding[]
  sentAtMs: number
}

/**
 * After a new view, in the background: hands each record that this node holds to those who should hold it now, and drops
 * what it should not hold when they have it. Bounded in what is under way at once.
 */
export class Handover {
  readonly #options: MeshNodeOptions
  readonly #membership: Membership
  readonly #outbox: Outbox
  readonly #owner: Owner
  #sureness: Sureness
  #phase: 'scanning' | 'draining' | 'dropping' | 'idle' = 'idle'
  #cursor: number | undefined = 0
  readonly #batches = new Map<NodeId, Holding[]>()
  readonly #offers = new Map<number, Offer>()
  #syncs = 0
  #request = 0
  #hasDropped = false

  constructor(options: MeshNodeOptions, membership: Membership, outbox: Outbox, owner: Owner, sureness: Sureness) {
    this.#options = options
    this.#membership = membership
    this.#outbox = outbox
    this.#owner = owner
    this.#sureness = sureness
  }

  /** Whether something that was handed over in this view may be here no more. */
  get hasDropped(): boolean {
    return this.#hasDropped
  }

  viewInstalled(sureness: Sureness): void {
    this.#sureness = sureness
    this.#hasDropped = false
    this.#phase = 'scanning'
    this.#cursor = 0
    this.#batches.clear()
    this.#offers.clear()
    this.#syncs = 0
  }

  receive(nowMs: number, message: Extract<Message, { type: 'offered' }>): void {
    const offer = this.#offers.get(message.request)
    if (!offer || message.isWrongView) return
    this.#offers.delete(message.request)
    if (this.#phase === 'scanning') this.#scan(nowMs)
  }

  /** What was on its way over a connection before this one may be lost. */
  connected(peer: NodeId): void {
    for (const offer of this.#offers.values()) if (offer.to === peer) offer.sentAtMs = Number.NEGATIVE_INFINITY
  }

  tick(nowMs: number): void {
    if (this.#phase === 'idle' || !this.#membership.hasView) return
    for (const [request, offer] of this.#offers) {
      if (nowMs - offer.sentAtMs >= OFFER_RESEND_MS && this.#membership.isConnected(offer.to))
        this.#send(nowMs, request, offer)
    }
    // Until all is handed over, what this node should not hold is what others rely on if a node is lost just now.
    if (this.#phase === 'dropping') return this.#membership.areOthersSettled ? this.#drop() : undefined
    this.#scan(nowMs)
    if (this.#phase === 'draining' && this.#offers.size === 0 && this.#syncs === 0) {
      this.#membership.setSettled(nowMs)
      this.#phase = 'dropping'
      this.#cursor = 0
    }
  }

  #scan(nowMs: number): void {
    const { records } = this.#options
    while (this.#cursor !== undefined && this.#offers.size < OFFERS_MAX && this.#syncs < SYNCS_MAX) {
      this.#cursor = records.scan(this.#cursor, OFFER_RECORDS, (key, holding) => this.#handOver(nowMs, key, holding))
    }
    if (this.#cursor !== undefined) return
    for (const to of this.#batches.keys()) this.#flush(nowMs, to)
    this.#phase = 'draining'
  }

  #handOver(nowMs: number, key: string, holding: Holding): void {
    const { self, copies } = this.#options
    const [owner, ...backups] = holdersOf(this.#membership.view, key, copies)
    if (!owner) return
    if (owner.id !== self.id) {
      if (this.#sureness.hasKept(key, self.id) || this.#sureness.isHandedOverByOther(key)) return
      const batch = [...(this.#batches.get(owner.id) ?? []), holding]
      this.#batches.set(owner.id, batch)
      if (batch.length >= OFFER_RECORDS) this.#flush(nowMs, owner.id)
      return
    }
    if (this.#sureness.isSure(key) && backups.every(({ id }) => this.#sureness.hasKept(key, id))) return
    const { ballot } = this.#membership.view
    this.#syncs += 1
    this.#owner.add(nowMs, key, {
      kind: 'sync',
      finish: () => {
        if (this.#membership.standsIn(ballot)) this.#syncs -= 1
      },
    })
  }

  #flush(nowMs: number, to: NodeId): void {
    const holdings = this.#batches.get(to)
    this.#batches.delete(to)
    if (!holdings) return
    this.#request += 1
    const offer = { to, holdings, sentAtMs: nowMs }
    this.#offers.set(this.#request, offer)
    this.#send(nowMs, this.#request, offer)
  }

  #send(nowMs: number, request: number, offer: Offer): void {
    offer.sentAtMs = nowMs
    this.#outbox.send(offer.to, {
      type: 'offer',
      view: this.#membership.view.ballot,
      request,
      holdings: offer.holdings,
    })
  }

  /** Everybody who should hold it has it. */
  #drop(): void {
    const { records, self } = this.#options
    const others: string[] = []
    this.#hasDropped = true
    this.#cursor = records.scan(this.#cursor ?? 0, OFFER_RECORDS * OFFERS_MAX, (key) => {
      if (!this.#sureness.isHolder(key, self.id)) others.push(key)
    })
    for (const key of others) records.delete(key)
    if (this.#cursor === undefined) this.#phase = 'idle'
  }
}
