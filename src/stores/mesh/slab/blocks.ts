/** One slab: large enough that a million records need some 1,400 of them, small enough that releasing one is not rare. */
const SLAB_BYTES = 256 * 1024

/** A record whose block would be larger than this has a slab of its own, of its own size. */
const BLOCK_BYTES_MAX: number = SLAB_BYTES / 8

/** Smallest block: a tombstone with its key. */
const BLOCK_BYTES_MIN = 64

/** Sizes of slabs that hold one record are multiples of a page, so that a record may change a little in its place. */
const PAGE_BYTES = 4096

/** A block is at most one sixteenth larger than the next smaller size: three in a hundred bytes are lost on average. */
const SIZE_STEP = 17 / 16

/** Id of the record, and length of its bytes with its mark, before the bytes. */
const HEADER_BYTES = 8
const MARK = 0x80000000
const LENGTH_MASK = 0x7fffffff

/** Blocks of the smallest size in one slab; a location is `slab * BLOCKS_MAX + block` in 32 bits. */
const BLOCKS_MAX: number = SLAB_BYTES / BLOCK_BYTES_MIN
const SLABS_MAX: number = 2 ** 32 / BLOCKS_MAX - 1

/** Slabs kept for the next that is needed, so that a size whose count swings about a slab's end allocates nothing. */
const SPARES_MAX = 2

/** Stands for "no block". */
export const NO_LOCATION = 0xffffffff

/** What is known of a record without a view of it. */
export interface BlockDescription {
  readonly length: number
  readonly isMarked: boolean
  /** Bytes of the whole block. */
  readonly blockBytes: number
}

/** Blocks of one size. They fill `slabs` without a gap, in order. */
interface SizeClass {
  readonly blockBytes: number
  readonly blocksPerSlab: number
  readonly slabs: number[]
  count: number
}

interface Slab {
  readonly buffer: ArrayBuffer
  readonly bytes: Buffer
  readonly words: Uint32Array
  readonly blockBytes: number
  /** `undefined` where one record has the slab for itself. */
  readonly sizeClass: SizeClass | undefined
}

/**
 * Bytes in blocks of about a hundred sizes, in slabs outside the heap that the collector walks.
 *
 * The blocks of a size lie without a gap: where one is freed, the last of its size moves into its place. So nothing
 * fragments, no compaction has to be run, a slab is released as soon as what it held would fit elsewhere, and a free
 * costs one copy of at most 32 KiB. A log with compaction would lose no bytes to sizes (here 3 %), but needs a fifth of
 * its space free to compact at a bearable cost, and a budget and an order for doing it.
 */
export class Blocks {
  readonly #sizeClasses: readonly SizeClass[] = createSizeClasses()
  /** By bytes in units of 8: the smallest size that holds them. */
  readonly #sizeClassOf: Uint8Array = tabulate(this.#sizeClasses)
  readonly #slabs: (Slab | undefined)[] = []
  readonly #freeSlabs: number[] = []
  readonly #spares: ArrayBuffer[] = []
  readonly #moved: (id: number, location: number) => void
  #bytesReserved = 0

  /** @param moved hears that the block of a record is somewhere else now */
  constructor(moved: (id: number, location: number) => void) {
    this.#moved = moved
  }

  /** All slabs, spare ones included. */
  get bytesReserved(): number {
    return this.#bytesReserved
  }

  /** Whether no slab can be added. At 256 GiB, or a million records above 32 KiB. */
  get isExhausted(): boolean {
    return this.#slabs.length - this.#freeSlabs.length >= SLABS_MAX
  }

  /** Bytes of the block that so many bytes are kept in. */
  blockBytes(length: number): number {
    return this.#findClass(length)?.blockBytes ?? Math.ceil((length + HEADER_BYTES) / PAGE_BYTES) * PAGE_BYTES
  }

  /** A block for so many bytes. */
  allocate(length: number): number {
    const sizeClass = this.#findClass(length)
    if (!sizeClass) return this.#addSlab(this.#reserve(this.blockBytes(length)), undefined) * BLOCKS_MAX
    const block = sizeClass.count % sizeClass.blocksPerSlab
    if (block === 0) sizeClass.slabs.push(this.#addSlab(this.#spares.pop() ?? this.#reserve(SLAB_BYTES), sizeClass))
    sizeClass.count++
    return (sizeClass.slabs.at(-1) ?? 0) * BLOCKS_MAX + block
  }

  /** Frees a block. The last of its size takes its place, and views of either are void. */
  free(location: number): void {
    const slab = this.#slabAt(location)
    const { sizeClass, blockBytes } = slab
    if (!sizeClass) return this.#discard(this.#removeSlab(Math.floor(location / BLOCKS_MAX)))
    const last = sizeClass.slabs.at(-1) ?? 0
    const block = (sizeClass.count - 1) % sizeClass.blocksPerSlab
    const lastLocation = last * BLOCKS_MAX + block
    if (lastLocation !== location) {
      const { bytes, words } = this.#slabAt(lastLocation)
      const from = block * blockBytes
      bytes.copy(slab.bytes, (location % BLOCKS_MAX) * blockBytes, from, from + HEADER_BYTES + lengthAt(words, from))
      this.#moved(words[from / 4] ?? 0, location)
    }
    sizeClass.count--
    if (block > 0) return
    sizeClass.slabs.pop()
    const buffer = this.#removeSlab(last)
    if (this.#spares.length < SPARES_MAX) this.#spares.push(buffer)
    else this.#discard(buffer)
  }

  /** Writes a record into a block that was allocated for its length, or for one with as large a block. */
  write(location: number, id: number, record: Uint8Array, isMarked: boolean): void {
    const { bytes, words, blockBytes } = this.#slabAt(location)
    const start = (location % BLOCKS_MAX) * blockBytes
    words[start / 4] = id
    words[start / 4 + 1] = record.length + (isMarked ? MARK : 0)
    bytes.set(record, start + HEADER_BYTES)
  }

  /** The record in a block: a view that is void after the next change. */
  read(location: number): Buffer {
    const { bytes, words, blockBytes } = this.#slabAt(location)
    const start = (location % BLOCKS_MAX) * blockBytes
    return bytes.subarray(start + HEADER_BYTES, start + HEADER_BYTES + lengthAt(words, start))
  }

  /** What is known of a record without a view of it. */
  describe(location: number): BlockDescription {
    const { words, blockBytes } = this.#slabAt(location)
    const start = (location % BLOCKS_MAX) * blockBytes
    return { length: lengthAt(words, start), isMarked: (words[start / 4 + 1] ?? 0) >= MARK, blockBytes }
  }

  /** Whether the record begins with these words. */
  startsWith(location: number, start: Uint32Array): boolean {
    const { words, blockBytes } = this.#slabAt(location)
    const offset = ((location % BLOCKS_MAX) * blockBytes + HEADER_BYTES) / 4
    for (let index = 0; index < start.length; index++) if (words[offset + index] !== start[index]) return false
    return true
  }

  /** Releases the spare slabs. */
  trim(): void {
    for (const buffer of this.#spares.splice(0)) this.#discard(buffer)
  }

  #findClass(length: number): SizeClass | undefined {
    return this.#sizeClasses[this.#sizeClassOf[Math.ceil((length + HEADER_BYTES) / 8)] ?? this.#sizeClasses.length]
  }

  #slabAt(location: number): Slab {
    const slab = this.#slabs[Math.floor(location / BLOCKS_MAX)]
    if (!slab) throw new RangeError(`no block is at ${location}`)
    return slab
  }

  #addSlab(buffer: ArrayBuffer, sizeClass: SizeClass | undefined): number {
    if (this.isExhausted) throw new RangeError(`no more than ${SLABS_MAX} slabs can be told apart`)
    const index = this.#freeSlabs.pop() ?? this.#slabs.length
    const blockBytes = sizeClass?.blockBytes ?? buffer.byteLength
    this.#slabs[index] = { buffer, bytes: Buffer.from(buffer), words: new Uint32Array(buffer), blockBytes, sizeClass }
    return index
  }

  #removeSlab(index: number): ArrayBuffer {
    const { buffer } = this.#slabAt(index * BLOCKS_MAX)
    this.#slabs[index] = undefined
    this.#freeSlabs.push(index)
    return buffer
  }

  #reserve(bytes: number): ArrayBuffer {
    this.#bytesReserved += bytes
    return new ArrayBuffer(bytes)
  }

  /** Gives the memory back now and not at some collection. Views of it have no length from then on. */
  #discard(buffer: ArrayBuffer): void {
    this.#bytesReserved -= buffer.byteLength
    buffer.transfer(0)
  }
}

function lengthAt(words: Uint32Array, start: number): number {
  return (words[start / 4 + 1] ?? 0) & LENGTH_MASK
}

function createSizeClasses(): SizeClass[] {
  const sizeClasses: SizeClass[] = []
  let blocksPerSlab: number = SLAB_BYTES / BLOCK_BYTES_MAX
  while (blocksPerSlab < BLOCKS_MAX) {
    sizeClasses.unshift(createSizeClass(blocksPerSlab))
    blocksPerSlab = Math.max(blocksPerSlab + 1, Math.floor(blocksPerSlab * SIZE_STEP))
  }
  return [createSizeClass(BLOCKS_MAX), ...sizeClasses]
}

/** The size that fills a slab with so many, in units of 8. */
function createSizeClass(blocksPerSlab: number): SizeClass {
  return { blockBytes: Math.floor(SLAB_BYTES / blocksPerSlab / 8) * 8, blocksPerSlab, slabs: [], count: 0 }
}

function tabulate(sizeClasses: readonly SizeClass[]): Uint8Array {
  const table = new Uint8Array(BLOCK_BYTES_MAX / 8 + 1)
  for (let units = 0, index = 0; units < table.length; units++) {
    while ((sizeClasses[index]?.blockBytes ?? Infinity) < units * 8) index++
    table[units] = index
  }
  return table
}
