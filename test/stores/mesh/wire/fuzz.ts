/** Recorded frames, damaged, and garbage, for the decoder that reads what peers send. */

import assert from 'node:assert/strict'
import { WireFormatError } from '../../../../src/stores/mesh/wire/bytes.ts'
import { FrameDecoder } from '../../../../src/stores/mesh/wire/frame.ts'
import { FRAME_BYTES_MAX, HELLO_BYTES_MAX } from '../../../../src/stores/mesh/wire/limits.ts'
import { decodeMessage, encodeMessage, type WireMessage } from '../../../../src/stores/mesh/wire/message-codec.ts'
import { type Random } from '../../../../src/laws/random.ts'
import type { FuzzTarget } from '../../../fuzz/fuzz.ts'
import { readFrameVectors } from './frame-vectors.ts'

/** What a decoded message may hold for each byte that it took: values, and characters of texts. */
const WEIGHT_PER_BYTE = 8
const LARGEST_COUNTS = ['ffffffff0f', 'ffffffffffffff0f', 'ffffffffffffffffff7f', 'ff7f', '80808000'].map((hex) =>
  Buffer.from(hex, 'hex'),
)

const frames = readFrameVectors().map(({ frame }) => frame)

/**
 * Feeds a stream to the decoder. It fails where that throws anything but {@link WireFormatError}, keeps more than it may,
 * makes more of a frame than its bytes warrant, or reads a message that it cannot write and read again.
 */
export const wireTarget: FuzzTarget = {
  feed(random) {
    const stream = makeStream(random)
    try {
      return feed(stream, random)
    } catch (error) {
      if (error instanceof WireFormatError) return 'refused'
      throw new Error(`the decoder failed on ${stream.toString('hex')}`, { cause: error })
    }
  },
}

function feed(stream: Buffer, random: Random): string {
  const decoder = new FrameDecoder(random.below(4) === 0 ? HELLO_BYTES_MAX : FRAME_BYTES_MAX)
  let outcome = 'cut off'
  for (let at = 0; at < stream.length;) {
    const end = at + 1 + random.below(random.below(2) === 0 ? 10 : 3_000)
    for (const frame of decoder.frames(stream.subarray(at, end))) {
      assert.ok(frame.length <= decoder.frameBytesMax)
      const message = decodeMessage(frame)
      outcome = message === undefined ? 'of an unknown type' : 'read'
      if (message === undefined) continue
      assert.ok(weightOf(message) <= WEIGHT_PER_BYTE * frame.length + 100, 'it made much of little')
      assert.deepEqual(readAgain(message), message)
    }
    at = end
    assert.ok(decoder.allocatedBytes <= Math.max(1024, 2 * at), 'it allocated more than came')
  }
  return outcome
}

function readAgain(message: WireMessage): WireMessage | undefined {
  const [frame] = new FrameDecoder(FRAME_BYTES_MAX).frames(encodeMessage(message))
  assert.ok(frame)
  return decodeMessage(frame)
}

function makeStream(random: Random): Buffer {
  if (random.below(10) === 0) return randomBytes(random.below(400), random)
  const parts = Array.from(
    { length: 1 + random.below(3) },
    () => frames[random.below(frames.length)] ?? Buffer.alloc(0),
  )
  let stream: Buffer = Buffer.concat(parts)
  for (let damages = random.below(6); damages > 0; damages--) stream = damage(stream, random)
  return stream
}

function damage(stream: Buffer, random: Random): Buffer {
  const at = random.below(stream.length + 1)
  const insert = (bytes: Buffer, replaced: number): Buffer =>
    Buffer.concat([stream.subarray(0, at), bytes, stream.subarray(at + replaced)])
  switch (random.below(7)) {
    case 0:
      return insert(Buffer.of(random.below(256)), 1)
    case 1:
      return insert(Buffer.of((stream[at] ?? 0) ^ (1 << random.below(8))), 1)
    case 2:
      return stream.subarray(0, at)
    case 3:
      return insert(randomBytes(random.below(20), random), random.below(20))
    case 4:
      return insert(LARGEST_COUNTS[random.below(LARGEST_COUNTS.length)] ?? Buffer.alloc(0), random.below(2))
    case 5: {
      const other = frames[random.below(frames.length)] ?? Buffer.alloc(0)
      const start = random.below(other.length)
      return insert(other.subarray(start, start + random.below(60)), random.below(60))
    }
    default: {
      // The length is put right again, so that the damage is inside the message.
      const body = stream.subarray(2, 2 + random.below(126))
      return Buffer.concat([Buffer.of(body.length + 1, 1 + random.below(34)), body])
    }
  }
}

function randomBytes(length: number, random: Random): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)))
}

function weightOf(value: unknown): number {
  if (typeof value === 'string') return 1 + value.length
  if (value instanceof Map) return weightOf([...value.keys(), ...value.values()])
  if (typeof value !== 'object' || value === null) return 1
  return Object.values(value).reduce((sum: number, inner) => sum + weightOf(inner), 1)
}
