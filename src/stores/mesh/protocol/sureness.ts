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
  /** Whether everybody has handed over all that it held: then every holder has what it should have. */
  isSettledByAll = false

  constructor(view: View, options: SurenessOptions, before: Sureness | undefined) {
    this.view = view
    this.#self = options.self.id
    this.#options = options
    const continues = before !== undefined && view.previous !== null && same(view.previous, before.view.ballot)
    this.#before = continues && before.#depth < CHAIN_MAX ? before : undefined
    this.#depth = this.#before ? this.#before.#depth + 1 : 0
  }

  /**
   * Whether of two copies of a key one is what became of the other, so that the newer may take the place of the older wherever
   * that is: then what is handed over can be merged in before everybody has been asked.
   */
  get isOneHistory(): boolean {
    const { previous, placements } = this.view
    return this.#options.onPartition === 'majority' || (previous !== null && placements.length === 1)
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

  /** Whether this node's copy, where it should hold one, is what the key's owner has acknowledged. */
  isConfirmed(key: string): boolean {
    if (this.isSettledByAll || this.#confirmed.has(key)) return true
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
    return before !== undefined && before.owner(key) === this.owner(key) && this.hadBefore(key, id)
  }

  /** Whether a node was meant to hold the key in the view before, also as one knows who was not in it. */
  mayHold(key: string, id: string): boolean {
    const [members, ...others] = this.view.placements
    if (!members || others.length > 0) return false
    return holdersOf({ ...this.view, members }, key, this.#options.copies).some((member) => member.id === id)
  }

  /** Whether a node held the key's state in the view before, when all had been handed over there. */
  hadBefore(key: string, id: string): boolean {
    return this.#before !== undefined && this.#before.isSettledByAll && this.#before.isHolder(key, id)
  }

  /** Whether the key's owner in the view before knew all that this node knows of it, and is a member still: it hands the key over. */
  isHandedOverByOther(key: string): boolean {
    const owner = this.#before?.owner(key)
    const stays = owner !== this.#self && this.view.members.some(({ id }) => id === owner)
    return stays && this.hadBefore(key, this.#self)
  }
}
