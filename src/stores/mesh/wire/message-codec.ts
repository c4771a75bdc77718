import type { Message } from '../protocol/messages.ts'
import type { UserMessage } from '../users/messages.ts'
import { Reader, WireFormatError, type Writer } from './bytes.ts'
import { encodeFrame } from './frame.ts'
import {
  ADDRESS_BYTES_MAX,
  HOLDINGS_MAX,
  ID_BYTES_MAX,
  MEMBERS_MAX,
  PROTOCOL_MAJOR,
  PROTOCOL_MINOR,
  REASON_BYTES_MAX,
  VIEWS_MAX,
} from './limits.ts'
import { readOneOf, readOperation, readOutcome, writeOperation, writeOutcome } from './operation-codec.ts'
import { readDelta, readHolding, writeDelta, writeHolding } from './record-parts.ts'
import { findUserCodec, foundUserCodec } from './user-codec.ts'
import { readBallot, readMember, readView, writeBallot, writeMember, writeView } from './view-codec.ts'

/*
 * A frame's body: the message's fields in a fixed order, then sections (tag, length, bytes) up to the frame's end. Version
 * 1.0 has no sections; a later minor version adds what it has to say there, and an older node skips it.
 */

/** Why a connection is closed, for the other side to know: the number is the code on the wire. */
export const CLOSE_CODES = ['closing', 'self', 'duplicate', 'version', 'clock', 'full', 'format', 'silence'] as const
export type CloseCode = (typeof CLOSE_CODES)[number]

/** What connections say to each other beside the protocol's messages. */
export type WireMessage =
  | Message
  | UserMessage
  /** The side that took the connection has taken the hello of the one that dialed. */
  | { readonly type: 'welcome' }
  /** First after the welcome, both ways: where the other peers of the sender are, whom the receiver may not know. */
  | { readonly type: 'peers'; readonly addresses: readonly string[] }
  /** The last of a connection. `code` is `undefined` where a later version says one that this does not know. */
  | { readonly type: 'close'; readonly code: CloseCode | undefined; readonly reason: string }

/** A peer of a major version with which this node cannot speak. */
export class WireVersionError extends WireFormatError {
  override readonly name: string = 'WireVersionError'
}

/** How one type of message is written. */
export interface Codec<T> {
  /** The frame's type. Numbers are never used again. */
  readonly number: number
  write(writer: Writer, message: T): void
  read(reader: Reader): T
}

type OfType<T> = Extract<WireMessage, { type: T }>

const STATES = ['kept', 'needsWhole', 'wrongView'] as const
const HEARTBEAT = { leaving: 1, settled: 2, full: 4 }
const REPLICATE = { delta: 1, whole: 2, sure: 4 }
const HOLDING = { holding: 1, wrongView: 2 }

const codecs: { readonly [T in WireMessage['type']]: Codec<OfType<T>> } = {
  hello: {
    number: 1,
    write(writer, { member, major, minor, wallClockMs }) {
      writer.count(major)
      writer.count(minor)
      writeMember(writer, member)
      writer.time(wallClockMs, 0)
    },
    read(reader) {
      const major = reader.count()
      const minor = reader.count()
      if (major !== PROTOCOL_MAJOR) {
        const own = `${PROTOCOL_MAJOR}.${PROTOCOL_MINOR}`
        throw new WireVersionError(`it speaks version ${major}.${minor} of the mesh, and this node ${own}`)
      }
      return { type: 'hello', major, minor, member: readMember(reader), wallClockMs: reader.time(0) }
    },
  },
  welcome: { number: 2, write() {}, read: () => ({ type: 'welcome' }) },
  close: {
    number: 3,
    write(writer, { code, reason }) {
      writer.byte(code ? CLOSE_CODES.indexOf(code) : CLOSE_CODES.length)
      writer.text(reason, REASON_BYTES_MAX)
    },
    read: (reader) => ({ type: 'close', code: CLOSE_CODES[reader.byte()], reason: reader.text(REASON_BYTES_MAX) }),
  },
  peers: {
    number: 4,
    write: (writer, { addresses }) =>
      writer.list(addresses, MEMBERS_MAX, (address) => writer.text(address, ADDRESS_BYTES_MAX)),
    read: (reader) => ({ type: 'peers', addresses: reader.list(MEMBERS_MAX, () => reader.text(ADDRESS_BYTES_MAX)) }),
  },
  heartbeat: {
    number: 16,
    write(writer, { view, sentAt, hears, isLeaving, isSettled, isFull }) {
      writer.byte(
        (isLeaving ? HEARTBEAT.leaving : 0) + (isSettled ? HEARTBEAT.settled : 0) + (isFull ? HEARTBEAT.full : 0),
      )
      writeBallot(writer, view)
      writer.number(sentAt)
      writer.list(hears, MEMBERS_MAX, (id) => writer.id(id, ID_BYTES_MAX))
    },
    read(reader) {
      const flags = reader.flags(HEARTBEAT.leaving + HEARTBEAT.settled + HEARTBEAT.full)
      return {
        type: 'heartbeat',
        view: readBallot(reader),
        sentAt: reader.number(),
        hears: reader.list(MEMBERS_MAX, () => reader.id(ID_BYTES_MAX)),
        isLeaving: (flags & HEARTBEAT.leaving) !== 0,
        isSettled: (flags & HEARTBEAT.settled) !== 0,
        isFull: (flags & HEARTBEAT.full) !== 0,
      }
    },
  },
  heartbeatAnswer: {
    number: 17,
    write(writer, { view, sentAt, granted }) {
      writer.bool(granted)
      writeBallot(writer, view)
      writer.number(sentAt)
    },
    read(reader) {
      const granted = reader.bool()
      return { type: 'heartbeatAnswer', view: readBallot(reader), sentAt: reader.number(), granted }
    },
  },
  propose: {
    number: 18,
    write: (writer, { view }) => writeView(writer, view),
    read: (reader) => ({ type: 'propose', view: readView(reader) }),
  },
  accept: {
    number: 19,
    write(writer, { ballot, installed, accepted, settled }) {
      writeBallot(writer, ballot)
      writeView(writer, installed)
      writer.list(accepted, VIEWS_MAX, (view) => writeView(writer, view))
      writer.list(settled, 2 * MEMBERS_MAX, (id) => writer.id(id, ID_BYTES_MAX))
    },
    read: (reader) => ({
      type: 'accept',
      ballot: readBallot(reader),
      installed: readView(reader),
      accepted: reader.list(VIEWS_MAX, () => readView(reader)),
      settled: reader.list(2 * MEMBERS_MAX, () => reader.id(ID_BYTES_MAX)),
    }),
  },
  refuse: {
    number: 20,
    write(writer, { ballot, seen, installed }) {
      writeBallot(writer, ballot)
      writeBallot(writer, seen)
      writeView(writer, installed)
    },
    read: (reader) => ({
      type: 'refuse',
      ballot: readBallot(reader),
      seen: readBallot(reader),
      installed: readView(reader),
    }),
  },
  install: {
    number: 21,
    write: (writer, { view }) => writeView(writer, view),
    read: (reader) => ({ type: 'install', view: readView(reader) }),
  },
  ask: {
    number: 22,
    write(writer, { view, request, operation }) {
      writeBallot(writer, view)
      writer.count(request)
      writeOperation(writer, operation)
    },
    read: (reader) => ({
      type: 'ask',
      view: readBallot(reader),
      request: reader.count(),
      operation: readOperation(reader),
    }),
  },
  answer: {
    number: 23,
    write(writer, { request, outcome }) {
      writer.count(request)
      writeOutcome(writer, outcome)
    },
    read: (reader) => ({ type: 'answer', request: reader.count(), outcome: readOutcome(reader) }),
  },
  replicate: {
    number: 24,
    write(writer, { view, request, key, isSure, delta, whole }) {
      writer.byte((delta ? REPLICATE.delta : 0) + (whole ? REPLICATE.whole : 0) + (isSure ? REPLICATE.sure : 0))
      writeBallot(writer, view)
      writer.count(request)
      writer.key(key)
      if (delta) writeDelta(writer, key, delta)
      if (whole) writeHolding(writer, whole)
    },
    read(reader) {
      const flags = reader.flags(REPLICATE.delta + REPLICATE.whole + REPLICATE.sure)
      const view = readBallot(reader)
      const request = reader.count()
      const key = reader.key()
      return {
        type: 'replicate',
        view,
        request,
        key,
        isSure: (flags & REPLICATE.sure) !== 0,
        ...(flags & REPLICATE.delta ? { delta: readDelta(reader, key) } : {}),
        ...(flags & REPLICATE.whole ? { whole: readHolding(reader) } : {}),
      }
    },
  },
  replicated: {
    number: 25,
    write(writer, { request, state }) {
      writer.count(request)
      writer.byte(STATES.indexOf(state))
    },
    read: (reader) => ({ type: 'replicated', request: reader.count(), state: readOneOf(reader, STATES) }),
  },
  fetch: {
    number: 26,
    write(writer, { view, request, key }) {
      writeBallot(writer, view)
      writer.count(request)
      writer.key(key)
    },
    read: (reader) => ({ type: 'fetch', view: readBallot(reader), request: reader.count(), key: reader.key() }),
  },
  holding: {
    number: 27,
    write(writer, { request, holding, isWrongView }) {
      writer.byte((holding ? HOLDING.holding : 0) + (isWrongView ? HOLDING.wrongView : 0))
      writer.count(request)
      if (holding) writeHolding(writer, holding)
    },
    read(reader) {
      const flags = reader.flags(HOLDING.holding + HOLDING.wrongView)
      return {
        type: 'holding',
        request: reader.count(),
        ...(flags & HOLDING.holding ? { holding: readHolding(reader) } : {}),
        ...(flags & HOLDING.wrongView ? { isWrongView: true } : {}),
      }
    },
  },
  offer: {
    number: 28,
    write(writer, { view, request, holdings }) {
      writeBallot(writer, view)
      writer.count(request)
      writer.list(holdings, HOLDINGS_MAX, (holding) => writeHolding(writer, holding))
    },
    read: (reader) => ({
      type: 'offer',
      view: readBallot(reader),
      request: reader.count(),
      holdings: reader.list(HOLDINGS_MAX, () => readHolding(reader)),
    }),
  },
  offered: {
    number: 29,
    write(writer, { request, isWrongView }) {
      writer.bool(isWrongView === true)
      writer.count(request)
    },
    read(reader) {
      const isWrongView = reader.bool()
      return { type: 'offered', request: reader.count(), ...(isWrongView ? { isWrongView: true } : {}) }
    },
  },
  digest: {
    number: 30,
    write(writer, { view, entries }) {
      writeBallot(writer, view)
      writer.list(entries, HOLDINGS_MAX, ({ key, version }) => {
        writer.key(key)
        writer.bool(version !== undefined)
        if (version) writer.version(version)
      })
    },
    read: (reader) => ({
      type: 'digest',
      view: readBallot(reader),
      entries: reader.list(HOLDINGS_MAX, () => {
        const key = reader.key()
        return reader.bool() ? { key, version: reader.version() } : { key }
      }),
    }),
  },
  lacks: {
    number: 31,
    write(writer, { view, keys }) {
      writeBallot(writer, view)
      writer.list(keys, HOLDINGS_MAX, (key) => writer.key(key))
    },
    read: (reader) => ({
      type: 'lacks',
      view: readBallot(reader),
      keys: reader.list(HOLDINGS_MAX, () => reader.key()),
    }),
  },
  findUser: findUserCodec,
  foundUser: foundUserCodec,
}

const codecOfNumber = new Map<number, Codec<WireMessage>>(
  Object.values(codecs).map((codec) => [codec.number, codec as Codec<WireMessage>]),
)

/**
 * A message as a frame.
 *
 * @throws RangeError for one that no node may send: larger than a frame, with more members than a fleet has, with a count
 * that is none
 */
export function encodeMessage(message: WireMessage): Buffer {
  const codec = codecs[message.type] as Codec<WireMessage>
  return encodeFrame(codec.number, (writer) => codec.write(writer, message))
}

/**
 * The message of a frame, without its length; `undefined` for a type that this version does not know.
 *
 * @throws WireFormatError for what is no message, {@link WireVersionError} for a hello of another major version
 */
export function decodeMessage(frame: Buffer): WireMessage | undefined {
  const codec = codecOfNumber.get(frame[0] ?? 0)
  if (!codec) return undefined
  const reader = new Reader(frame.subarray(1))
  const message = codec.read(reader)
  reader.skipSections()
  return message
}
