import type { UserEntry, UserPage } from '../../../core/index.ts'
import { LISTING_MS, LISTINGS_MAX, SORTED_KEYS } from './limits.ts'

/** A search whose caller asks for one part after the other. */
class Listing {
  readonly user: string
  /** Which part of it `entries` are. */
  part = 0
  entries: readonly UserEntry[] = []
  isDone = false
  #filling: Promise<void> | undefined
  readonly #search: AsyncGenerator<readonly UserEntry[], void>

  constructor(user: string, search: AsyncGenerator<readonly UserEntry[], void>) {
    this.user = user
    this.#search = search
  }

  /** Searches on, so that the next part is there. Of several who ask at once all wait for it. */
  fill(): Promise<void> {
    this.#filling ??= this.#fill().finally(() => (this.#filling = undefined))
    return this.#filling
  }

  async #fill(): Promise<void> {
    const found: UserEntry[] = []
    while (found.length < SORTED_KEYS && !this.isDone) {
      const { value, done = false } = await this.#search.next()
      this.isDone = done
      for (const entry of value ?? []) found.push(entry)
    }
    this.entries = found.toSorted((a, b) => b.at - a.at || (a.key < b.key ? -1 : 1))
    this.part += 1
  }
}

/**
 * Searches in pages. What a search has found and was not asked for yet is kept for some time; when it was forgotten, the
 * next page begins the search anew, so that something may be listed twice but nothing is missed.
 */
export class Listings {
  readonly #find: (user: string) => AsyncGenerator<readonly UserEntry[], void>
  /** By number; what was used last is last. */
  readonly #listings = new Map<number, { readonly listing: Listing; readonly atMs: number }>()
  #count = 0

  constructor(find: (user: string) => AsyncGenerator<readonly UserEntry[], void>) {
    this.#find = find
  }

  async list(
    user: string,
    { limit, after = '' }: { readonly limit: number; readonly after?: string },
  ): Promise<UserPage> {
    this.#forget()
    const [number = 0, part = 0, offset = 0] = after.split(' ').map(Number)
    const known = this.#listings.get(number)?.listing
    const isThere = known?.user === user && (part === known.part || part === known.part + 1)
    if (isThere) return this.#page(number, known, part, offset, limit)
    this.#count += 1
    return this.#page(this.#count, new Listing(user, this.#find(user)), 1, 0, limit)
  }

  async #page(number: number, listing: Listing, part: number, offset: number, limit: number): Promise<UserPage> {
    try {
      if (part > listing.part) await listing.fill()
    } catch (error) {
      this.#listings.delete(number) // what it found and did not give is lost with it
      throw error
    }
    const end = offset + limit
    const entries = listing.entries.slice(offset, end)
    const isMore = end < listing.entries.length
    if (!isMore && listing.isDone) return { entries }
    this.#listings.delete(number)
    this.#listings.set(number, { listing, atMs: performance.now() })
    return { entries, next: isMore ? `${number} ${part} ${end}` : `${number} ${part + 1} 0` }
  }

  #forget(): void {
    const now = performance.now()
    for (const [number, { atMs }] of this.#listings) {
      if (now - atMs > LISTING_MS || this.#listings.size >= LISTINGS_MAX) this.#listings.delete(number)
    }
  }
}
