/** Recorded frames, damaged, and garbage, for the decoder that reads what peers send. */

import assert from 'node:assert/strict'
import { WireFormatError } from '../../../../src/stores/mesh/wire/bytes.ts'
import { FrameDecoder } from '../../../../src/stores/mesh/wire/frame.ts'
import { FRAME_BYTES_MAX, HELLO_BYTES_MAX } from '../../../../src/stores/mesh/wire/limits.ts'
import { decodeMessage, encodeMessage } from '../../../../src/stores/mesh/wire/message-codec.ts'
import { readFrameVectors } from './frame-vectors.ts'

/** What a decoded message may hold for each byte that it took: values, and characters of texts. */
const WEIGHT_PER_BYTE = 8
const LARGEST_COUNTS = ['ffffffff0f', 'ffffffffffffff0f', 'ffffffffffffffffff7f', 'ff7f', '80808000'].map((hex) =>
  Buffer.from(hex, 'hex'),
)

export interface FuzzCount {
  inputs: number
  /** Streams that were refused. */
  refused: number
  messages: number
  unknown: number
}

/**
 * Feeds so many streams to the decoder. Throws where it throws anything but {@link WireFormatError}, keeps more than it may,
 * makes more of a frame than its bytes warrant, or reads a message that it cannot write.
 */
export function fuzzFrames(seed: number, count: number): FuzzCount {
  const random = createRandom(seed)
  const frames = readFrameVectors().map(({ frame }) => frame)
  const result: FuzzCount = { inputs: 0, refused: 0, messages: 0, unknown: 0 }
  for (; result.inputs < count; result.inputs++) {
    const stream = makeStream(frames, random)
    try {
      feed(stream, random, result)
    } catch (error) {
      if (!(error instanceof WireFormatError)) {
        throw new Error(`seed ${seed}, input ${result.inputs}: ${stream.toString('hex')}`, { cause: error })
      }
      result.refused += 1
    }
  }
  return result
}

type Random = (below: number) => number

function feed(stream: Buffer, random: Random, result: FuzzCount): void {
  const decoder = new FrameDecoder(random(4) === 0 ? HELLO_BYTES_MAX : FRAME_BYTES_MAX)
  for (let at = 0; at < stream.length;) {
    const end = at + 1 + random(random(2) === 0 ? 10 : 3_000)
    for (const frame of decoder.frames(stream.subarray(at, end))) {
      assert.ok(frame.length <= decoder.frameBytesMax)
      const message = decodeMessage(frame)
      if (message === undefined) result.unknown += 1
      else {
        result.messages += 1
        assert.ok(weightOf(message) <= WEIGHT_PER_BYTE * frame.length + 100, 'it made much of little')
        encodeMessage(message)
      }
    }
    at = end
    assert.ok(decoder.allocatedBytes <= Math.max(1024, 2 * at), 'it allocated more than came')
  }
}

function makeStream(frames: readonly Buffer[], random: Random): Buffer {
  if (random(10) === 0) return randomBytes(random(400), random)
  const parts = Array.from({ length: 1 + random(3) }, () => frames[random(frames.length)] ?? Buffer.alloc(0))
  let stream: Buffer = Buffer.concat(parts)
  for (let damages = random(6); damages > 0; damages--) stream = damage(stream, frames, random)
  return stream
}

function damage(stream: Buffer, frames: readonly Buffer[], random: Random): Buffer {
  const at = random(stream.length + 1)
  const insert = (bytes: Buffer, replaced: number): Buffer =>
    Buffer.concat([stream.subarray(0, at), bytes, stream.subarray(at + replaced)])
  switch (random(7)) {
    case 0:
      return insert(Buffer.of(random(256)), 1)
    case 1:
      return insert(Buffer.of((stream[at] ?? 0) ^ (1 << random(8))), 1)
    case 2:
      return stream.subarray(0, at)
    case 3:
      return insert(randomBytes(random(20), random), random(20))
    case 4:
      return insert(LARGEST_COUNTS[random(LARGEST_COUNTS.length)] ?? Buffer.alloc(0), random(2))
    case 5: {
      const other = frames[random(frames.length)] ?? Buffer.alloc(0)
      const start = random(other.length)
      return insert(other.subarray(start, start + random(60)), random(60))
    }
    default: {
      // The length is put right again, so that the damage is inside the message.
      const body = stream.subarray(2, 2 + random(126))
      return Buffer.concat([Buffer.of(body.length + 1, 1 + random(30)), body])
    }
  }
}

function randomBytes(length: number, random: Random): Buffer {
  return Buffer.from(Array.from({ length }, () => random(256)))
}

/** Mulberry32. */
function createRandom(seed: number): Random {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

function weightOf(value: unknown): number {
  if (typeof value === 'string') return 1 + value.length
  if (value instanceof Map) return weightOf([...value.keys(), ...value.values()])
  if (typeof value !== 'object' || value === null) return 1
  return Object.values(value).reduce((sum: number, inner) => sum + weightOf(inner), 1)
}
