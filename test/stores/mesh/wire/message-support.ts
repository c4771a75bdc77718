/** Every kind of message, legal and hostile, for tests of the wire. */

import { randomBytes } from 'node:crypto'
import * as fc from 'fast-check'
import type { Digest, Message, MessageType } from '../../../../src/stores/mesh/protocol/messages.ts'
import type { CloseCode, WireMessage } from '../../../../src/stores/mesh/wire/message-codec.ts'
import { CLOSE_CODES } from '../../../../src/stores/mesh/wire/message-codec.ts'
import { keys, sessions, tombstones } from '../record-support.ts'

type OfType<T> = Extract<WireMessage, { type: T }>

const counts = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  fc.constantFrom(0, 127, 128, 2 ** 14, 2 ** 31, Number.MAX_SAFE_INTEGER),
)
const times = fc.oneof(
  fc.integer({ min: 1_600_000_000_000, max: 2_000_000_000_000 }),
  fc.double({ noNaN: true }),
  fc.constantFrom(0, -0, -1, Infinity, 1.5, 2 ** 51, -(2 ** 51), 2 ** 52),
)
const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.constantFrom('', '__proto__', '\uD800', 'a\uDC00b', '\uFFFD', '\0'),
)
const ids = fc.oneof(
  fc.uint8Array({ minLength: 8, maxLength: 9 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
  fc.string({ unit: 'binary', maxLength: 15 }),
  fc.constantFrom('', 'A', 'AB', '\uD800', 'AAAAAAAAAAB', '='),
)
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record<T>(model, { noNullPrototype: true })
/** An object of which some properties may be left out. */
const partly = <T>(
  model: { [P in keyof T]-?: fc.Arbitrary<Exclude<T[P], undefined>> },
  requiredKeys: (keyof T)[],
): fc.Arbitrary<T> =>
  fc.record(model, { requiredKeys, noNullPrototype: true }) as fc.Arbitrary<unknown> as fc.Arbitrary<T>
const someOf = <T>(items: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(items, { maxLength: 4 })
const mapOf = <T>(name: fc.Arbitrary<string>, value: fc.Arbitrary<T>): fc.Arbitrary<Map<string, T>> =>
  fc.uniqueArray(fc.tuple(name, value), { selector: ([name]) => name, maxLength: 8 }).map((entries) => new Map(entries))

const versions = record({ incarnation: counts, sequence: counts })
const ballots = record({ number: counts, id: ids })
const members = record({ id: ids, address: texts, zone: texts })
const losses = record({ members: someOf(members), away: someOf(ids), dead: someOf(ids) })
const views = record({
  ballot: ballots,
  incarnation: counts,
  members: someOf(members),
  leaving: someOf(members),
  previous: fc.option(ballots),
  placements: someOf(someOf(members)),
  losses: someOf(losses),
})
const holdings = fc.oneof(sessions, tombstones)
const values = fc.option(texts)
const fields = mapOf(texts, values)
const yes = fc.constant(true)

const changeOf = (key: string): fc.Arbitrary<OperationOf<'apply'>['change']> =>
  partly<OperationOf<'apply'>['change']>(
    {
      key: fc.constant(key),
      operation: record({ slot: ids, count: counts }),
      now: times,
      expiresAt: times,
      unattended: yes,
      generation: counts,
      create: yes,
      fields,
      expect: record({ field: texts, stamp: fc.option(versions) }),
      rotate: yes,
      confirm: record({ generation: counts, graceEndsAt: times }),
      login: record({ user: texts }),
    },
    ['key', 'operation', 'now', 'expiresAt', 'generation'],
  )

type OperationOf<K> = Extract<OfType<'ask'>['operation'], { kind: K }>

const operations: fc.Arbitrary<OfType<'ask'>['operation']> = keys.chain((key) =>
  fc.oneof(
    partly<OperationOf<'read'>>({ kind: fc.constant('read' as const), key: fc.constant(key), atLeast: versions }, [
      'kind',
      'key',
    ]),
    record<OperationOf<'apply'>>({ kind: fc.constant('apply' as const), key: fc.constant(key), change: changeOf(key) }),
    record<OperationOf<'end'>>({
      kind: fc.constant('end' as const),
      key: fc.constant(key),
      end: partly<OperationOf<'end'>['end']>(
        { key: fc.constant(key), endedAt: times, forgetAt: times, generation: counts },
        ['key', 'endedAt', 'forgetAt'],
      ),
    }),
    record<OperationOf<'install'>>({ kind: fc.constant('install' as const), key: fc.constant(key), whole: holdings }),
  ),
)

const storedFields = record({ stamp: versions, value: values })
const outcomes: fc.Arbitrary<OfType<'answer'>['outcome']> = fc.oneof(
  record({ kind: fc.constant('read' as const), record: fc.option(sessions, { nil: undefined }) }),
  record({
    kind: fc.constant('apply' as const),
    result: fc.oneof(
      record({
        outcome: fc.constant('applied' as const),
        version: versions,
        generation: counts,
        pending: fc.boolean(),
      }),
      record({ outcome: fc.constant('gone' as const) }),
      record({ outcome: fc.constant('conflict' as const), field: fc.option(storedFields, { nil: undefined }) }),
      record({ outcome: fc.constant('superseded' as const) }),
    ),
  }),
  record({ kind: fc.constant('end' as const), result: fc.constantFrom('ended' as const, 'gone', 'superseded') }),
  fc.constantFrom(
    { kind: 'install' as const },
    { kind: 'retry' as const },
    { kind: 'underReplicated' as const },
    { kind: 'full' as const },
  ),
)

/** A change of a session by a few fields, with all that the rules would and would not make. */
const deltas = fc
  .tuple(sessions, versions, mapOf(ids, record({ count: counts, version: versions })), mapOf(texts, storedFields))
  .map(([session, base, operations, fields]) => {
    const { fields: _, ...meta } = session
    return { base, meta: { ...meta, operations }, fields }
  })
const replications: fc.Arbitrary<OfType<'replicate'>> = fc
  .tuple(ballots, counts, keys, fc.boolean(), fc.option(deltas), fc.option(holdings))
  .map(([view, request, key, isSure, delta, whole]) => ({
    type: 'replicate',
    view,
    request,
    key,
    isSure,
    ...(delta ? { delta: { ...delta, meta: { ...delta.meta, key } } } : {}),
    ...(whole ? { whole } : {}),
  }))

const arbitraries: { [T in WireMessage['type']]: fc.Arbitrary<OfType<T>> } = {
  hello: record({
    type: fc.constant('hello' as const),
    member: members,
    major: fc.constant(1),
    minor: counts,
    wallClockMs: times,
  }),
  welcome: fc.constant({ type: 'welcome' }),
  peers: record({ type: fc.constant('peers' as const), addresses: someOf(texts) }),
  close: record({
    type: fc.constant('close' as const),
    code: fc.constantFrom<(CloseCode | undefined)[]>(...CLOSE_CODES, undefined),
    reason: texts,
  }),
  heartbeat: record({
    type: fc.constant('heartbeat' as const),
    view: ballots,
    sentAt: times,
    hears: someOf(ids),
    isLeaving: fc.boolean(),
    isSettled: fc.boolean(),
    isFull: fc.boolean(),
  }),
  heartbeatAnswer: record({
    type: fc.constant('heartbeatAnswer' as const),
    view: ballots,
    sentAt: times,
    granted: fc.boolean(),
  }),
  propose: record({ type: fc.constant('propose' as const), view: views }),
  accept: record({
    type: fc.constant('accept' as const),
    ballot: ballots,
    installed: views,
    accepted: someOf(views),
    settled: someOf(ids),
  }),
  refuse: record({ type: fc.constant('refuse' as const), ballot: ballots, seen: ballots, installed: views }),
  install: record({ type: fc.constant('install' as const), view: views }),
  ask: record({ type: fc.constant('ask' as const), view: ballots, request: counts, operation: operations }),
  answer: record({ type: fc.constant('answer' as const), request: counts, outcome: outcomes }),
  replicate: replications,
  replicated: record({
    type: fc.constant('replicated' as const),
    request: counts,
    state: fc.constantFrom('kept' as const, 'needsWhole', 'wrongView'),
  }),
  fetch: record({ type: fc.constant('fetch' as const), view: ballots, request: counts, key: keys }),
  holding: partly<OfType<'holding'>>(
    { type: fc.constant('holding' as const), request: counts, holding: holdings, isWrongView: yes },
    ['type', 'request'],
  ),
  offer: record({ type: fc.constant('offer' as const), view: ballots, request: counts, holdings: someOf(holdings) }),
  offered: partly<OfType<'offered'>>({ type: fc.constant('offered' as const), request: counts, isWrongView: yes }, [
    'type',
    'request',
  ]),
  digest: record({
    type: fc.constant('digest' as const),
    view: ballots,
    entries: someOf(partly<Digest>({ key: keys, version: versions }, ['key'])),
  }),
  lacks: record({ type: fc.constant('lacks' as const), view: ballots, keys: someOf(keys) }),
  findUser: record({
    type: fc.constant('findUser' as const),
    view: ballots,
    request: counts,
    user: texts,
    cursor: counts,
  }),
  foundUser: record({
    type: fc.constant('foundUser' as const),
    request: counts,
    isWrongView: fc.boolean(),
    hasDropped: fc.boolean(),
    next: counts,
    entries: someOf(record({ key: keys, at: times })),
  }),
}

/** What version 1.1 added: its frames are recorded in a file of their own. */
export const messageTypesSince11: readonly WireMessage['type'][] = ['findUser', 'foundUser']

export const messageTypes = Object.keys(arbitraries) as WireMessage['type'][]

/** Each is as frequent as any other. */
export const wireMessages: fc.Arbitrary<WireMessage> = fc.oneof(...messageTypes.map((type) => arbitraryOf(type)))

export function arbitraryOf(type: WireMessage['type']): fc.Arbitrary<WireMessage> {
  return arbitraries[type]
}

/** Some messages of each type that the protocol sends, the same for the same seed. */
export function sampleMessages(countOfEach: number, seed: number): Message[] {
  return messageTypes
    .filter(
      (type): type is MessageType => !['hello', 'welcome', 'peers', 'close', ...messageTypesSince11].includes(type),
    )
    .flatMap((type) => fc.sample(arbitraryOf(type), { numRuns: countOfEach, seed }) as Message[])
}

/** What an owner sends its backup for one field of 200 characters, with figures such as a fleet has after some days. */
export function typicalReplication({ user = null, nodes = 1 }: { user?: string | null; nodes?: number } = {}): Message {
  const key = randomBytes(32).toString('base64url')
  const incarnation = 37 * 2 ** 20 + 123_456
  const now = 1_763_954_000_000
  const version = { incarnation, sequence: 1234 }
  const operations = new Map(
    Array.from({ length: nodes }, (_, index) => {
      const sequence = version.sequence - (nodes - 1 - index)
      return [randomBytes(9).toString('base64url'), { count: 100_000, version: { incarnation, sequence } }]
    }),
  )
  const meta = {
    key,
    version,
    generation: 3,
    pending: false,
    floor: 2,
    retired: [],
    user,
    startedAt: now - 3_000_000,
    createdAt: now - 3_456_789,
    lastSeenAt: now,
    expiresAt: now + 1_800_000,
    operations,
  }
  return {
    type: 'replicate',
    view: { number: 37, id: randomBytes(8).toString('base64url') },
    request: 100_000,
    isSure: true,
    key,
    delta: {
      base: { incarnation, sequence: 1233 },
      meta,
      fields: new Map([['profile', { stamp: version, value: 'v'.repeat(200) }]]),
    },
  }
}
