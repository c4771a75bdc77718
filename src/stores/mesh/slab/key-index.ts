import { NO_ID } from './entries.ts'

/** Slots of a segment; rebuilding one takes some 20 µs, which is the longest that any call waits for the index. */
const SLOTS = 2048

/** Above this part of its slots a segment is split, below an eighth it may be merged with its neighbour. */
const FILL_MAX = 0.75

/** The directory has at most 2^20 segments (two billion entries). Below that depth a segment grows instead of splitting. */
const DEPTH_MAX = 20

/** Entries whose hashes begin with the same `depth` bits. Pairs of words: the hash, and the id or {@link NO_ID}. */
interface Segment {
  readonly pairs: Uint32Array
  readonly depth: number
  count: number
}

/**
 * From hashes of 32 bits to ids, by extendible hashing: the first bits of a hash name a small open-addressing table,
 * and a table that is full is split in two. So the index grows and shrinks in steps of one small table; there is never
 * an old and a new table side by side, and a delete needs no thought of a rehash under way.
 */
export class KeyIndex {
  readonly #isMatch: (id: number) => boolean
  #directory: Segment[] = []
  #depth = 1
  /** Segments as deep as the directory; where there are none, it can be halved. */
  #deepest = 2
  #slots: number = 2 * SLOTS

  /** @param isMatch whether the key that is looked for is that of this entry, where their hashes are equal */
  constructor(isMatch: (id: number) => boolean) {
    this.#isMatch = isMatch
    this.#directory = [createSegment(1, SLOTS), createSegment(1, SLOTS)]
  }

  get bytesReserved(): number {
    return this.#slots * 8 + this.#directory.length * 8
  }

  /** The id, or {@link NO_ID}. */
  find(hash: number): number {
    const { pairs } = this.#segmentOf(hash)
    const mask = pairs.length - 1
    for (let at = (hash << 1) & mask; ; at = (at + 2) & mask) {
      const id = pairs[at + 1] ?? NO_ID
      if (id === NO_ID || (pairs[at] === hash && this.#isMatch(id))) return id
    }
  }

  /** Adds an id that is not in the index. */
  add(hash: number, id: number): void {
    let segment = this.#segmentOf(hash)
    while (segment.count >= (segment.pairs.length / 2) * FILL_MAX) {
      if (segment.depth < DEPTH_MAX) this.#split(segment, hash)
      else this.#resize(segment, hash, segment.pairs.length) // pairs.length is twice its slots
      segment = this.#segmentOf(hash)
    }
    insert(segment, hash, id)
  }

  /** Removes an id that is in the index. */
  remove(hash: number, id: number): void {
    const segment = this.#segmentOf(hash)
    const { pairs } = segment
    const mask = pairs.length - 1
    let hole = (hash << 1) & mask
    while (pairs[hole + 1] !== id) {
      if (pairs[hole + 1] === NO_ID) throw new RangeError(`entry ${id} is not in the index`)
      hole = (hole + 2) & mask
    }
    // What stands behind the hole and was pushed there moves up, so that no search ends at the hole too early.
    for (let at = (hole + 2) & mask; pairs[at + 1] !== NO_ID; at = (at + 2) & mask) {
      const home = ((pairs[at] ?? 0) << 1) & mask
      if (((at - home) & mask) < ((at - hole) & mask)) continue
      pairs[hole] = pairs[at] ?? 0
      pairs[hole + 1] = pairs[at + 1] ?? NO_ID
      hole = at
    }
    pairs[hole + 1] = NO_ID
    segment.count--
    if (segment.count < pairs.length / 16) this.#shrink(segment, hash)
  }

  #segmentOf(hash: number): Segment {
    const segment = this.#directory[hash >>> (32 - this.#depth)]
    if (!segment) throw new RangeError(`no segment for ${hash}`)
    return segment
  }

  #split(segment: Segment, hash: number): void {
    const depth = segment.depth + 1
    if (depth > this.#depth) {
      this.#directory = this.#directory.flatMap((each) => [each, each])
      this.#depth = depth
      this.#deepest = 0
    }
    if (depth === this.#depth) this.#deepest += 2
    const low = createSegment(depth, segment.pairs.length / 2)
    const high = createSegment(depth, segment.pairs.length / 2)
    this.#slots += low.pairs.length / 2
    const bit = 2 ** (32 - depth)
    for (const [hash, id] of pairsOf(segment)) insert(hash & bit ? high : low, hash, id)
    this.#place(low, (hash & ~bit) >>> 0)
    this.#place(high, (hash | bit) >>> 0)
  }

  /** Merges a segment with its neighbour where both are nearly empty; a segment that had grown becomes small again. */
  #shrink(segment: Segment, hash: number): void {
    const slots = segment.pairs.length / 2
    if (slots > SLOTS) return this.#resize(segment, hash, slots / 2)
    const { depth } = segment
    const neighbour = this.#segmentOf((hash ^ (2 ** (32 - depth))) >>> 0)
    if (depth === 1 || neighbour.depth !== depth || segment.count + neighbour.count > (SLOTS * FILL_MAX) / 2) return
    const merged = createSegment(depth - 1, SLOTS)
    for (const source of [segment, neighbour]) for (const [hash, id] of pairsOf(source)) insert(merged, hash, id)
    this.#slots -= SLOTS
    this.#place(merged, hash)
    if (depth === this.#depth) this.#deepest -= 2
    while (this.#deepest === 0) this.#halve()
  }

  #resize(segment: Segment, hash: number, slots: number): void {
    const next = createSegment(segment.depth, slots)
    for (const [hash, id] of pairsOf(segment)) insert(next, hash, id)
    this.#slots += slots - segment.pairs.length / 2
    this.#place(next, hash)
  }

  #halve(): void {
    this.#directory = this.#directory.filter((_, index) => index % 2 === 0)
    this.#depth--
    this.#deepest = new Set(this.#directory.filter(({ depth }) => depth === this.#depth)).size
  }

  /** Makes a segment that of all hashes that begin with the same bits as `hash`. */
  #place(segment: Segment, hash: number): void {
    const span = 2 ** (this.#depth - segment.depth)
    const first = Math.floor((hash >>> (32 - this.#depth)) / span) * span
    this.#directory.fill(segment, first, first + span)
  }
}

function createSegment(depth: number, slots: number): Segment {
  return { pairs: new Uint32Array(slots * 2), depth, count: 0 }
}

function insert(segment: Segment, hash: number, id: number): void {
  const { pairs } = segment
  const mask = pairs.length - 1
  let at = (hash << 1) & mask
  while (pairs[at + 1] !== NO_ID) at = (at + 2) & mask
  pairs[at] = hash
  pairs[at + 1] = id
  segment.count++
}

function* pairsOf({ pairs }: Segment): Generator<[hash: number, id: number]> {
  for (let at = 0; at < pairs.length; at += 2) {
    const id = pairs[at + 1] ?? NO_ID
    if (id !== NO_ID) yield [pairs[at] ?? 0, id]
  }
}
