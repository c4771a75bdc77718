import { ANNOUNCEMENTS_MAX } from './limits.ts'
import {
  type Announced,
  type Announcement,
  decodeAcknowledgement,
  decodeAnnounced,
  encodeAcknowledgement,
  encodeAnnounced,
} from './messages.ts'
import { type Listed, withMargin } from './registry.ts'

export interface BusOptions {
  readonly node: string
  /** Length of this node's lease. The longest that it knows of is taken for that of nodes of which nothing is known. */
  readonly leaseMs: number
  /** Publishes a message, and tells who has to acknowledge it. */
  publish(message: string): Promise<Listed>
  acknowledge(to: string, message: string): Promise<unknown>
  /** Another node has announced something. What it asks for is done when this returns. */
  heard(announcement: Announcement): void
  failed(error: unknown): void
}

/** An announcement on its way. */
interface Pending {
  /** Nodes that have acknowledged it before it was known who is to. */
  readonly early: Set<string>
  /** Nodes that are still to acknowledge it; `undefined`: not known yet, or not all of them. */
  awaited: Set<string> | undefined
  settle(): void
}

/** What happened to a session reaches every node, and who tells of it learns when no copy from before can be served any more. */
export class Bus {
  readonly #options: BusOptions
  readonly #pending = new Map<number, Pending>()
  #announcementCount = 0
  #refusedCount = 0
  #longestLeaseMs: number

  constructor(options: BusOptions) {
    this.#options = options
    this.#longestLeaseMs = options.leaseMs
  }

  /** Other nodes have leases of this length: as long every announcement waits that Redis does not answer. */
  learn(leaseMs: number): void {
    this.#longestLeaseMs = Math.max(this.#longestLeaseMs, leaseMs)
  }

  /** Messages that were none. */
  get refused(): number {
    return this.#refusedCount
  }

  /**
   * To be called when Redis has answered the change. Resolves when every node that had a lease has acknowledged, or its
   * lease is over; never rejects, since time alone is enough.
   */
  announce(announcement: Announcement): Promise<void> {
    const { node } = this.#options
    const answeredAt = performance.now()
    const id = (this.#announcementCount += 1)
    return new Promise((resolve) => {
      const settle = (): void => {
        clearTimeout(timer)
        this.#pending.delete(id)
        resolve()
      }
      const leasesOver = (lengthMs: number): NodeJS.Timeout =>
        setTimeout(settle, Math.max(withMargin(lengthMs) - (performance.now() - answeredAt), 0))
      let timer = leasesOver(this.#longestLeaseMs)
      const pending: Pending = { early: new Set(), awaited: undefined, settle }
      if (this.#pending.size < ANNOUNCEMENTS_MAX) this.#pending.set(id, pending)
      this.#options.publish(encodeAnnounced({ ...announcement, from: node, id })).then(
        ({ youngMs, leases }) => {
          const isWhole = youngMs === 0
          for (const leaseMs of leases.values()) this.learn(leaseMs)
          const awaited = new Set([...leases.keys()].filter((other) => !pending.early.has(other)))
          if (isWhole && awaited.size === 0) return settle()
          clearTimeout(timer)
          timer = leasesOver(Math.max(Math.min(youngMs, this.#longestLeaseMs), ...leases.values()))
          if (isWhole) pending.awaited = awaited
        },
        (error: unknown) => this.#options.failed(error),
      )
    })
  }

  /** A message on the channel of announcements. */
  receive(text: string): void {
    const announced = decodeAnnounced(text)
    if (!announced) this.#refusedCount += 1
    else if (announced.from !== this.#options.node) this.#obey(announced)
  }

  /** A message on the channel of this node. */
  receiveAcknowledgement(text: string): void {
    const acknowledgement = decodeAcknowledgement(text)
    if (!acknowledgement) this.#refusedCount += 1
    else this.#acknowledged(acknowledgement)
  }

  #acknowledged({ id, node }: { id: number; node: string }): void {
    const pending = this.#pending.get(id)
    if (pending && !pending.awaited && pending.early.size < ANNOUNCEMENTS_MAX) pending.early.add(node)
    else if (pending?.awaited?.delete(node) && pending.awaited.size === 0) pending.settle()
  }

  #obey({ from, id, key, ending }: Announced): void {
    const options = this.#options
    options.heard({ key, ending })
    options.acknowledge(from, encodeAcknowledgement(id, options.node)).catch((error: unknown) => options.failed(error))
  }
}
