import { isTombstone } from '../../../core/index.ts'
import { compareVersions } from '../../../token/index.ts'
import type { Membership } from './membership.ts'
import type { Digest, Holding, Message, NodeId } from './messages.ts'
import type { MeshNodeOptions } from './node.ts'
import type { Outbox } from './outbox.ts'
import type { Owner } from './owner.ts'
import { holdersOf } from './placement.ts'
import { REPAIR_EVERY_MS, REPAIR_PASS_MS, REPAIR_RECORDS } from './times.ts'

/**
 * Finds and mends what a backup lacks without anybody having noticed: from time to time an owner goes over its records and
 * tells each backup which versions it should have. What the backup answers that it lacks is sent to it whole.
 */
export class Repair {
  readonly #options: MeshNodeOptions
  readonly #membership: Membership
  readonly #outbox: Outbox
  readonly #owner: Owner
  #cursor = 0
  #nextAt = Number.POSITIVE_INFINITY
  #passAt = Number.NEGATIVE_INFINITY

  constructor(options: MeshNodeOptions, membership: Membership, outbox: Outbox, owner: Owner) {
    this.#options = options
    this.#membership = membership
    this.#outbox = outbox
    this.#owner = owner
  }

  viewInstalled(nowMs: number): void {
    this.#cursor = 0
    this.#passAt = nowMs
    this.#nextAt = nowMs + REPAIR_PASS_MS
  }

  tick(nowMs: number): void {
    if (nowMs < this.#nextAt || !this.#membership.isSettled || !this.#membership.areOthersSettled) return
    const digests = new Map<NodeId, Digest[]>()
    const next = this.#options.records.scan(this.#cursor, REPAIR_RECORDS, (key, holding) => {
      const [owner, ...backups] = holdersOf(this.#membership.view, key, this.#options.copies)
      if (owner?.id !== this.#options.self.id) return
      for (const { id } of backups) digests.set(id, [...(digests.get(id) ?? []), toDigest(holding)])
    })
    const view = this.#membership.view.ballot
    for (const [id, entries] of digests) this.#outbox.send(id, { type: 'digest', view, entries })
    this.#cursor = next ?? 0
    if (next === undefined) this.#passAt = Math.max(nowMs, this.#passAt + REPAIR_PASS_MS)
    this.#nextAt = next === undefined ? this.#passAt + REPAIR_PASS_MS : nowMs + REPAIR_EVERY_MS
  }

  /** What this backup lacks of what the owner of the keys says that it should have. */
  compare(from: NodeId, { view, entries }: Extract<Message, { type: 'digest' }>): void {
    if (!this.#membership.standsIn(view)) return
    const keys = entries.filter((entry) => lacks(this.#options.records.get(entry.key), entry)).map(({ key }) => key)
    if (keys.length > 0) this.#outbox.send(from, { type: 'lacks', view, keys })
  }

  /** A backup lacks copies: they are sent in their keys' turns. */
  send(nowMs: number, { view, keys }: Extract<Message, { type: 'lacks' }>): void {
    for (const key of keys) {
      if (!this.#membership.standsIn(view)) return
      if (holdersOf(this.#membership.view, key, this.#options.copies)[0]?.id !== this.#options.self.id) continue
      this.#owner.add(nowMs, key, { kind: 'sync', finish: () => {} })
    }
  }
}

function toDigest(holding: Holding): Digest {
  return isTombstone(holding) ? { key: holding.key } : { key: holding.key, version: holding.version }
}

function lacks(copy: Holding | undefined, { version }: Digest): boolean {
  if (!copy) return true
  if (isTombstone(copy)) return false
  return version === undefined || compareVersions(copy.version, version) < 0
}
