import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { encodeFrame, FrameDecoder } from '../../../../src/stores/mesh/wire/frame.ts'
import { FRAME_BYTES_MAX } from '../../../../src/stores/mesh/wire/limits.ts'
import { checkProperty } from '../../../support/seed.ts'

const bodies = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.integer({ min: 0, max: 40_000 }).map((length) => new Uint8Array(length).fill(length)),
  ),
  { maxLength: 10 },
)

suite('frames in a stream', () => {
  test('come out as they went in, wherever the network cut it', () =>
    checkProperty(
      fc.property(bodies, fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1 }), (bodies, cuts) => {
        const stream = Buffer.concat(bodies.map((body, index) => frame(index, body)))
        const decoder = new FrameDecoder(FRAME_BYTES_MAX)
        const decoded: Buffer[] = []
        for (let at = 0, piece = 0; at < stream.length; piece += 1) {
          const length = cuts[piece % cuts.length] ?? 1
          for (const frame of decoder.frames(stream.subarray(at, at + length))) decoded.push(Buffer.from(frame))
          at += length
        }
        assert.deepEqual(
          decoded,
          bodies.map((body, index) => Buffer.concat([Buffer.of(index), body])),
        )
        assert.equal(decoder.pendingBytes, 0)
      }),
    ))

  test('byte for byte', () => {
    const decoder = new FrameDecoder(FRAME_BYTES_MAX)
    const stream = Buffer.concat([frame(7, Buffer.alloc(20_000, 1)), frame(8, Buffer.alloc(0))])
    const lengths = [...stream].flatMap((_, index) =>
      [...decoder.frames(stream.subarray(index, index + 1))].map(({ length }) => length),
    )
    assert.deepEqual(lengths, [20_001, 1])
  })

  test('the largest goes, and one byte more is refused by its first four', () => {
    const largest = frame(1, Buffer.alloc(FRAME_BYTES_MAX - 1))
    assert.equal([...new FrameDecoder(FRAME_BYTES_MAX).frames(largest)][0]?.length, FRAME_BYTES_MAX)
    assert.throws(() => [...new FrameDecoder(FRAME_BYTES_MAX - 1).frames(largest.subarray(0, 4))], {
      name: 'WireFormatError',
      message: `a frame of ${FRAME_BYTES_MAX} bytes, where ${FRAME_BYTES_MAX - 1} is the most`,
    })
    assert.throws(() => frame(1, Buffer.alloc(FRAME_BYTES_MAX)), RangeError)
  })

  test('an empty one and a length that is none are refused', () => {
    assert.throws(() => [...new FrameDecoder(100).frames(Buffer.of(0))], /empty/)
    assert.throws(() => [...new FrameDecoder(100).frames(Buffer.of(0x80, 0x80, 0x80, 0x80))], /no length/)
  })

  test('an announced length is not allocated before its bytes come', () => {
    const decoder = new FrameDecoder(FRAME_BYTES_MAX)
    const stream = frame(1, Buffer.alloc(FRAME_BYTES_MAX - 1))
    for (const length of [10, 100_000, 1_000_000]) {
      for (const _ of decoder.frames(stream.subarray(decoder.pendingBytes, length))) assert.fail('it is not whole')
      assert.ok(decoder.allocatedBytes <= Math.max(1024, 2 * length), `${decoder.allocatedBytes} of ${length}`)
    }
  })
})

function frame(type: number, body: Uint8Array): Buffer {
  return encodeFrame(type, (writer) => writer.bytes(body))
}
