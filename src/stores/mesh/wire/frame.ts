import { WireFormatError, Writer } from './bytes.ts'
import { FRAME_BYTES_MAX, LENGTH_BYTES_MAX } from './limits.ts'

/*
 * A frame: length (varint of at most four bytes), and as many bytes: type (1 byte) and body. A varint and not 32 bits,
 * since most frames are acknowledgements and heartbeats of a few bytes.
 */

/** A frame that grows with its first bytes is kept in so much at once. */
const PARTIAL_BYTES_MIN = 1024

const NOTHING = Buffer.alloc(0)

const writer = new Writer()

/**
 * Makes a frame.
 *
 * @throws RangeError where it would be larger than any peer takes
 */
export function encodeFrame(type: number, writeBody: (writer: Writer) => void): Buffer {
  writer.start(LENGTH_BYTES_MAX)
  writer.byte(type)
  writeBody(writer)
  const length = writer.at - LENGTH_BYTES_MAX
  const frame = writer.finish(writer.countBefore(LENGTH_BYTES_MAX, Math.min(length, FRAME_BYTES_MAX)))
  if (length > FRAME_BYTES_MAX) {
    throw new RangeError(`a frame of ${length} bytes, where ${FRAME_BYTES_MAX} is the most`)
  }
  return frame
}

/** Cuts a stream of bytes, however the network chopped it, into frames. It keeps no more than one frame. */
export class FrameDecoder {
  /** Bytes of the largest frame that is taken; may change between two frames. */
  frameBytesMax: number
  #partial: Buffer = NOTHING
  #filled = 0

  constructor(frameBytesMax: number) {
    this.frameBytesMax = frameBytesMax
  }

  /** Bytes kept of a frame that has not come whole yet. */
  get pendingBytes(): number {
    return this.#filled
  }

  /** What is allocated for it: at most twice its bytes, or the smallest. */
  get allocatedBytes(): number {
    return this.#partial.length
  }

  /**
   * The frames (type and body) that are whole with this chunk.
   *
   * @throws WireFormatError for a frame that is empty or too large; the decoder is of no use then
   */
  *frames(chunk: Buffer): Generator<Buffer, void> {
    let rest = chunk
    while (rest.length > 0) {
      const size = this.#sizeOf(this.#filled > 0 ? this.#partial.subarray(0, this.#filled) : rest)
      if (size && this.#filled === 0 && rest.length >= size.totalBytes) {
        yield rest.subarray(size.headerBytes, size.totalBytes)
        rest = rest.subarray(size.totalBytes)
        continue
      }
      const wanted = size ? size.totalBytes - this.#filled : 1
      this.#append(rest.subarray(0, wanted), size?.totalBytes ?? LENGTH_BYTES_MAX)
      rest = rest.subarray(wanted)
      if (size && this.#filled === size.totalBytes) {
        const frame = this.#partial.subarray(size.headerBytes, size.totalBytes)
        this.#partial = NOTHING
        this.#filled = 0
        yield frame
      }
    }
  }

  #sizeOf(bytes: Buffer): { headerBytes: number; totalBytes: number } | undefined {
    let length = 0
    for (let index = 0; index < LENGTH_BYTES_MAX; index++) {
      const byte = bytes[index]
      if (byte === undefined) return undefined
      length += (byte & 0x7f) << (7 * index)
      if (byte >= 0x80) continue
      if (length === 0) throw new WireFormatError('an empty frame')
      if (length > this.frameBytesMax) {
        throw new WireFormatError(`a frame of ${length} bytes, where ${this.frameBytesMax} is the most`)
      }
      return { headerBytes: index + 1, totalBytes: index + 1 + length }
    }
    throw new WireFormatError('a frame whose length is no length')
  }

  #append(bytes: Buffer, totalBytes: number): void {
    const needed = this.#filled + bytes.length
    if (needed > this.#partial.length) {
      const size = Math.min(totalBytes, Math.max(needed, this.#partial.length * 2, PARTIAL_BYTES_MIN))
      const larger = Buffer.allocUnsafeSlow(Math.max(size, needed))
      this.#partial.copy(larger, 0, 0, this.#filled)
      this.#partial = larger
    }
    this.#filled += bytes.copy(this.#partial, this.#filled)
  }
}
