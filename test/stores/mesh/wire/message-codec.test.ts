import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import type { Member, Message } from '../../../../src/stores/mesh/protocol/messages.ts'
import { WireFormatError } from '../../../../src/stores/mesh/wire/bytes.ts'
import { encodeFrame, FrameDecoder } from '../../../../src/stores/mesh/wire/frame.ts'
import { FRAME_BYTES_MAX, HELLO_BYTES_MAX, MEMBERS_MAX } from '../../../../src/stores/mesh/wire/limits.ts'
import { decodeMessage, encodeMessage, type WireMessage } from '../../../../src/stores/mesh/wire/message-codec.ts'
import { checkProperty } from '../../../support/seed.ts'
import { recordOf } from '../../changes.ts'
import { typicalReplication, wireMessages } from './message-support.ts'

const view = { number: 1, id: 'AAAAAAAAAAA' }
const key = 'A'.repeat(43)

suite('a message as a frame', () => {
  test('every message comes back equal, its maps in their order', () =>
    checkProperty(
      fc.property(wireMessages, (message) => {
        const decoded = decodeMessage(frameOf(encodeMessage(message)))
        assert.deepEqual(decoded, message)
        assert.deepEqual(orders(decoded), orders(message))
      }),
      { runs: 2_000 },
    ))

  test('sections that a later minor version adds are skipped in every message', () =>
    checkProperty(
      fc.property(wireMessages, fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 4 }), (message, contents) => {
        const sections = contents.map((bytes, index) => Buffer.concat([Buffer.of(index + 1, bytes.length), bytes]))
        const frame = Buffer.concat([frameOf(encodeMessage(message)), ...sections])
        assert.deepEqual(decodeMessage(frame), message)
      }),
      { runs: 500 },
    ))

  test('cut off anywhere, it is refused', () =>
    checkProperty(
      fc.property(wireMessages, fc.nat(), (message, at) => {
        const frame = frameOf(encodeMessage(message))
        if (frame.length === 1) return
        assert.throws(() => decodeMessage(frame.subarray(0, 1 + (at % (frame.length - 1)))), WireFormatError)
      }),
      { runs: 500 },
    ))

  test('a type that there is not decodes to nothing', () => {
    assert.equal(decodeMessage(Buffer.of(200, 1, 2, 3)), undefined)
  })

  test('a hello of another major version is refused with both versions', () => {
    const hello = encodeFrame(1, (writer) => {
      writer.count(2)
      writer.count(7)
      writer.bytes(Buffer.from('what version 2 says'))
    })
    assert.throws(() => decodeMessage(frameOf(hello)), {
      name: 'WireVersionError',
      message: 'it speaks version 2.7 of the mesh, and this node 1.1',
    })
  })

  test('a hello fits into what is read of a peer that is not known', () => {
    const member = { id: 'i'.repeat(64), address: 'a'.repeat(270), zone: 'z'.repeat(128) }
    const hello = encodeMessage({ type: 'hello', member, major: 1, minor: 999, wallClockMs: 0.1 })
    assert.ok(hello.length < HELLO_BYTES_MAX, `${hello.length} bytes`)
  })

  test('one field of 200 bytes and its acknowledgement take less than 360 bytes with two TLS records', () => {
    const kept = encodeMessage({ type: 'replicated', request: 100_000, state: 'kept' })
    const bytes = encodeMessage(typicalReplication()).length + kept.length + 2 * 22
    assert.ok(bytes < 360, `${bytes} bytes`)
  })
})

suite('what no node may send is refused where it is sent', () => {
  const member: Member = { id: 'n', address: 'h:1', zone: '' }
  const heartbeat: Message = {
    type: 'heartbeat',
    view,
    sentAt: 0,
    hears: [],
    isLeaving: false,
    isSettled: true,
    isFull: false,
  }
  const refused: Record<string, WireMessage> = {
    'too many members': { ...heartbeat, hears: Array<string>(MEMBERS_MAX + 1).fill('n') },
    'a long id': { ...heartbeat, hears: ['n'.repeat(100)] },
    'a long address': {
      type: 'hello',
      member: { ...member, address: 'a'.repeat(300) },
      major: 1,
      minor: 0,
      wallClockMs: 0,
    },
    'a count that is none': { type: 'offered', request: -1 },
    'a key that is none': { type: 'fetch', view, request: 1, key: 'short' },
    'a large frame': {
      type: 'offer',
      view,
      request: 1,
      holdings: [recordOf(key, { user: 'x'.repeat(FRAME_BYTES_MAX) })],
    },
  }
  for (const [name, message] of Object.entries(refused)) {
    test(name, () => assert.throws(() => encodeMessage(message), RangeError))
  }

  test('and what is sent next is as it should be', () => {
    assert.throws(() => encodeMessage(refused['a large frame'] ?? heartbeat), RangeError)
    assert.deepEqual(decodeMessage(frameOf(encodeMessage(heartbeat))), heartbeat)
  })
})

suite('what lies about its lengths is refused before anything is allocated', () => {
  const most = Buffer.from('ffffffffffffff0f', 'hex')
  const ballot = Buffer.from('0100', 'hex')
  const refused: Record<string, [type: number, body: Buffer[], message: RegExp]> = {
    'an id': [1, [Buffer.of(1, 0), most], /kind|most/],
    'an address': [1, [Buffer.of(1, 0, 0), most], /text of/],
    'who is heard': [16, [Buffer.of(0), ballot, Buffer.alloc(8), most], /list of/],
    'where peers are': [4, [most], /list of/],
    members: [18, [ballot, Buffer.of(0), most], /list of/],
    'more members than bytes': [18, [ballot, Buffer.of(0, 100)], /list of 100 in 0 bytes/],
    holdings: [28, [ballot, Buffer.of(0), most], /list of/],
    'a holding': [28, [ballot, Buffer.of(0, 1), most], /cut off/],
    fields: [22, [ballot, Buffer.of(0, 1), Buffer.alloc(32), Buffer.of(4, 0, 0, 1, 1, 0), most], /list of/],
    'a section': [2, [Buffer.of(1), most], /cut off/],
  }
  for (const [name, [type, body, message]] of Object.entries(refused)) {
    test(name, () => {
      const frame = Buffer.concat([Buffer.of(type), ...body])
      assert.throws(() => decodeMessage(frame), { name: 'WireFormatError', message })
    })
  }
})

/** The frame without its length, as the decoder gives it. */
function frameOf(bytes: Buffer): Buffer {
  const frames = [...new FrameDecoder(FRAME_BYTES_MAX).frames(bytes)]
  assert.equal(frames.length, 1)
  return frames[0] ?? Buffer.alloc(0)
}

/** The order of every map in it, which deep equality does not compare. */
function orders(value: unknown): unknown[] {
  if (value instanceof Map) return [[...value.keys()], ...[...value.values()].flatMap(orders)]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(orders) : []
}
