import { NO_LOCATION } from './blocks.ts'

/** Entries whose words lie in one chunk. A table that grows by chunks never copies what it has. */
const CHUNK_ENTRIES = 4096
const WORDS = 4
const CHUNK_BYTES: number = CHUNK_ENTRIES * (WORDS + 1) * 4

/** No entry has this id, so that it can end a list. */
export const NO_ID = 0

/** The tag of an entry that no search by tag is for. */
export const NO_TAG = 0

/** The words of an entry. */
export const LOCATION = 0
/** In seconds since 1970. */
export const FORGET_AT = 1
/** The links of the list that the entry is in, of a wheel's bucket or of free ids. */
export const NEXT = 2
export const PREVIOUS = 3

type Word = typeof LOCATION | typeof FORGET_AT | typeof NEXT | typeof PREVIOUS

interface Chunk {
  /** `undefined` while none of its ids is in use. */
  words: Uint32Array | undefined
  /** The tag of each entry, by itself, so that a search for one goes over four bytes an entry and nothing else. */
  tags: Uint32Array | undefined
  /** The first free id that was in use before. */
  free: number
  /** Ids from here on were never in use. */
  fresh: number
  count: number
}

/**
 * Four words and a tag for each entry, by its id. An entry keeps its id for as long as it lives, wherever its bytes go: that is
 * what makes scanning in the order of ids safe under any change.
 */
export class Entries {
  readonly #chunks: Chunk[] = []
  /** Chunks with a free id. */
  readonly #open: number[] = []
  #chunksInUse = 0

  get bytesReserved(): number {
    return this.#chunksInUse * CHUNK_BYTES
  }

  /** Above every id in use. */
  get end(): number {
    return this.#chunks.length * CHUNK_ENTRIES
  }

  /** A free id. Its words are undefined. */
  add(): number {
    let index = this.#open.at(-1)
    if (index === undefined) {
      index = this.#chunks.length
      this.#chunks.push({ words: undefined, tags: undefined, free: NO_ID, fresh: index === 0 ? 1 : 0, count: 0 })
      this.#open.push(index)
    }
    const chunk = this.#chunkAt(index)
    if (!chunk.words) {
      chunk.words = new Uint32Array(CHUNK_ENTRIES * WORDS)
      chunk.tags = new Uint32Array(CHUNK_ENTRIES)
      this.#chunksInUse++
    }
    let id = chunk.free
    if (id === NO_ID) id = index * CHUNK_ENTRIES + chunk.fresh++
    else chunk.free = this.get(id, NEXT)
    chunk.count++
    if (chunk.free === NO_ID && chunk.fresh === CHUNK_ENTRIES) this.#open.pop()
    return id
  }

  remove(id: number): void {
    const index = Math.floor(id / CHUNK_ENTRIES)
    const chunk = this.#chunkAt(index)
    if (chunk.free === NO_ID && chunk.fresh === CHUNK_ENTRIES) this.#open.push(index)
    this.set(id, LOCATION, NO_LOCATION)
    this.set(id, NEXT, chunk.free)
    this.tag(id, NO_TAG)
    chunk.free = id
    chunk.count--
    if (chunk.count > 0) return
    chunk.words = undefined
    chunk.tags = undefined
    chunk.free = NO_ID
    chunk.fresh = index === 0 ? 1 : 0
    this.#chunksInUse--
  }

  isInUse(id: number): boolean {
    const chunk = this.#chunks[Math.floor(id / CHUNK_ENTRIES)]
    if (id === NO_ID || !chunk?.words || id % CHUNK_ENTRIES >= chunk.fresh) return false
    return this.get(id, LOCATION) !== NO_LOCATION
  }

  /** The id to look at after `id` in a scan: the next, or the first beyond a chunk that has none in use. */
  following(id: number): number {
    const chunk = this.#chunks[Math.floor(id / CHUNK_ENTRIES)]
    return chunk?.words ? id + 1 : (Math.floor(id / CHUNK_ENTRIES) + 1) * CHUNK_ENTRIES
  }

  get(id: number, word: Word): number {
    return this.#chunks[Math.floor(id / CHUNK_ENTRIES)]?.words?.[(id % CHUNK_ENTRIES) * WORDS + word] ?? 0
  }

  set(id: number, word: Word, value: number): void {
    const words = this.#chunks[Math.floor(id / CHUNK_ENTRIES)]?.words
    if (words) words[(id % CHUNK_ENTRIES) * WORDS + word] = value
  }

  /** Says what {@link findTag} finds the entry by; {@link NO_TAG}: by nothing. */
  tag(id: number, tag: number): void {
    const tags = this.#chunks[Math.floor(id / CHUNK_ENTRIES)]?.tags
    if (tags) tags[id % CHUNK_ENTRIES] = tag
  }

  /** The first id from `from` on, and below `end`, whose tag is `wanted`; or `end`. */
  findTag(wanted: number, from: number, end: number): number {
    for (let id = from; id < end;) {
      const start = id - (id % CHUNK_ENTRIES)
      const chunkEnd = Math.min(start + CHUNK_ENTRIES, end)
      const tags = this.#chunks[start / CHUNK_ENTRIES]?.tags
      if (tags) for (; id < chunkEnd; id++) if (tags[id - start] === wanted) return id
      id = chunkEnd
    }
    return end
  }

  #chunkAt(index: number): Chunk {
    const chunk = this.#chunks[index]
    if (!chunk) throw new RangeError(`no chunk ${index}`)
    return chunk
  }
}
