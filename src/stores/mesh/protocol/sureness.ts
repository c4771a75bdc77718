import { isOutvoted } from './losses.ts'
import { same, type View } from './messages.ts'
import type { MeshNodeOptions } from './node.ts'
import { holdersOf } from './placement.ts'
import { CHAIN_MAX } from './times.ts'

type SurenessOptions = Pick<MeshNodeOptions, 'self' | 'copies' | 'ack' | 'onPartition'>

/**
 * What a node knows for certain in one view: of which keys it, as their owner, holds the newest state, and of which its
 * copy, as a backup, is what the owner has.
 */
export class Sureness {
  readonly view: View
  readonly #self: string
  readonly #options: SurenessOptions
  /** The view before, if everybody comes from it: what was certain there and was not moved is certain here. */
  readonly #before: Sureness | undefined
  readonly #depth: number
  readonly #owned = new Set<string>()
  readonly #confirmed = new Set<string>()
  #isSureOfAll = false
  /** Whether all that this node holds was handed to those who should hold it in this view. */
  isSettled = false

  constructor(view: View, options: SurenessOptions, before: Sureness | undefined) {
    this.view = view
    this.#self = options.self.id
    this.#options = options
    const continues = before !== undefined && view.previous !== null && same(view.previous, before.view.ballot)
    this.#before = continues && before.#depth < CHAIN_MAX ? before : undefined
    this.#depth = this.#before ? this.#before.#depth + 1 : 0
  }

  /** Whether everybody comes from one view, so that nobody else has owned a key meanwhile. */
  get isContinuous(): boolean {
    return this.#before !== undefined
  }

  owner(key: string): string | undefined {
    return holdersOf(this.view, key, this.#options.copies)[0]?.id
  }

  isHolder(key: string, id: string): boolean {
    return holdersOf(this.view, key, this.#options.copies).some((member) => member.id === id)
  }

  /** Whether this node, the key's owner, holds its newest state, or knows that there is none. */
  isSure(key: string): boolean {
    if (this.#owned.has(key)) return true
    if (this.#before?.owner(key) === this.#self && this.#before.isSure(key)) return true
    return this.#isSureOfAll && !this.isOutvoted(key)
  }

  /** Whether those who are cut off may know better than everybody here: then the key is not served. */
  isOutvoted(key: string): boolean {
    return this.#options.onPartition === 'majority' && isOutvoted(this.view, key, this.#options)
  }

  setSure(key: string): void {
    this.#owned.add(key)
  }

  /** Everybody has offered all that it holds. */
  setSureOfAll(): void {
    this.#isSureOfAll = true
    if (this.view.losses.length === 0) this.#owned.clear()
  }

  /** Whether this node's copy is what the key's owner has acknowledged. */
  isConfirmed(key: string): boolean {
    if (this.#confirmed.has(key)) return true
    const before = this.#before
    return (
      before !== undefined &&
      before.isHolder(key, this.#self) &&
      before.owner(key) === this.owner(key) &&
      before.isConfirmed(key)
    )
  }

  setConfirmed(key: string): void {
    this.#confirmed.add(key)
  }

  /** Whether a node held the key's state already in the view before, under the same owner: nothing has to be sent to it. */
  hasKept(key: string, id: string): boolean {
    const before = this.#before
    return before !== undefined && before.isSettled && before.owner(key) === this.owner(key) && before.isHolder(key, id)
  }
}
