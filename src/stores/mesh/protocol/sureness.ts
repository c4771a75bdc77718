import type { View } from './messages.ts'
import { holdersOf } from './placement.ts'
import { same } from './membership.ts'
import { CHAIN_MAX } from './times.ts'

/**
 * What a node knows for certain in one view: of which keys it, as their owner, holds the newest state, and of which its
 * copy, as a backup, is what the owner has.
 */
export class Sureness {
  readonly view: View
  readonly #self: string
  readonly #copies: number | 'all'
  /** The view before, if everybody comes from it: what was certain there and was not moved is certain here. */
  readonly #before: Sureness | undefined
  readonly #depth: number
  readonly #owned = new Set<string>()
  readonly #confirmed = new Set<string>()
  #isSureOfAll = false
  /** Whether all that this node holds was handed to those who should hold it in this view. */
  isSettled = false

  constructor(view: View, self: string, copies: number | 'all', before: Sureness | undefined) {
    this.view = view
    this.#self = self
    this.#copies = copies
    const continues = before !== undefined && view.previous !== null && same(view.previous, before.view.ballot)
    this.#before = continues && before.#depth < CHAIN_MAX ? before : undefined
    this.#depth = this.#before ? this.#before.#depth + 1 : 0
  }

  owner(key: string): string | undefined {
    return holdersOf(this.view, key, this.#copies)[0]?.id
  }

  isHolder(key: string, id: string): boolean {
    return holdersOf(this.view, key, this.#copies).some((member) => member.id === id)
  }

  /** Whether this node, the key's owner, holds its newest state, or knows that there is none. */
  isSure(key: string): boolean {
    if (this.#isSureOfAll || this.#owned.has(key)) return true
    return this.#before?.owner(key) === this.#self && this.#before.isSure(key)
  }

  setSure(key: string): void {
    if (!this.#isSureOfAll) this.#owned.add(key)
  }

  /** Everybody has offered all that it holds. */
  setSureOfAll(): void {
    this.#isSureOfAll = true
    this.#owned.clear()
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
