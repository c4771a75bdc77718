/**
 * Frames as version 1.0 wrote them, from `test/vectors/mesh/v1-frames.json`, and those that version 1.1 added, from
 * `v1.1-frames.json`. Once a version is released its file is never written again: a node of that version may be in any fleet.
 *
 * `node test/stores/mesh/wire/frame-vectors.ts` writes the latter.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import * as devalue from 'devalue'
import * as fc from 'fast-check'
import { encodeMessage, type WireMessage } from '../../../../src/stores/mesh/wire/message-codec.ts'
import { arbitraryOf, messageTypesSince11 } from './message-support.ts'

const folder = new URL('../../../vectors/mesh/', import.meta.url)
const SAMPLES = 8
/** Larger ones say nothing more. */
const FRAME_BYTES_MAX = 600

export interface FrameVector {
  readonly type: WireMessage['type']
  readonly frame: Buffer
  readonly message: WireMessage
}

interface WrittenVector {
  readonly type: WireMessage['type']
  /** The frame with its length. */
  readonly hex: string
  /** What it says, as devalue writes it. */
  readonly message: string
}

export function readFrameVectors(): FrameVector[] {
  const written = ['v1-frames.json', 'v1.1-frames.json'].flatMap(
    (file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as WrittenVector[],
  )
  return written.map(({ type, hex, message }) => ({
    type,
    frame: Buffer.from(hex, 'hex'),
    message: devalue.parse(message) as WireMessage,
  }))
}

if (import.meta.main) {
  const vectors = messageTypesSince11
    .flatMap((type) => fc.sample(arbitraryOf(type), { numRuns: SAMPLES, seed: 1 }))
    .map((message) => ({ message, frame: encodeMessage(message) }))
    .filter(({ frame }) => frame.length <= FRAME_BYTES_MAX)
    .map(({ message, frame }) => ({
      type: message.type,
      hex: frame.toString('hex'),
      message: devalue.stringify(message),
    }))
  writeFileSync(
    new URL('v1.1-frames.json', folder),
    `[\n${vectors.map((vector) => JSON.stringify(vector)).join(',\n')}\n]\n`,
  )
}
