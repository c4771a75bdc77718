/** Forged cookies: seeded mutations of real ones, each of which must open nothing. */

import assert from 'node:assert/strict'
import { deflateRawSync } from 'node:zlib'
import { parseCookie } from 'cookie'
import { keyOfSelector } from '../../../src/token/index.ts'
import { createKeyRing, createSealCodec, createTokenCodec } from '../../../src/token/index.ts'
import { memoryStore } from '../../../src/stores/memory/index.ts'
import type { Random } from '../../../src/laws/random.ts'
import type { FuzzTarget } from '../../fuzz/fuzz.ts'
import { Client, type Data, makeSessions, type MadeSessions, noise, secret } from './support.ts'

const NAMES = ['__Host-sid', '__Host-sid-d', '__Host-sid-d1', '__Host-sid-d2'] as const
type Pairs = readonly (readonly [name: string, value: string])[]

/** A node, cookies that open a session there, and cookies that open none. */
export interface Forge extends MadeSessions {
  readonly live: readonly Pairs[]
  readonly dead: readonly Pairs[]
}

/** Makes real cookies to be mutated: small ones, ones of several chunks, and those that are dead for every reason. */
export async function createForge(): Promise<Forge> {
  const clock: MadeSessions['clock'] = { time: 1_795_000_000_000, now: () => clock.time }
  const store = { chunks: 3, revocations: memoryStore() }
  const made = makeSessions(store, {}, clock)
  const { sessions } = made
  const live: Pairs[] = []
  const dead: Pairs[] = []
  const begin = async (data: Data, where = sessions): Promise<Client> => {
    const client = new Client()
    await client.visit(where, (s) => void Object.assign(s.data, data))
    return client
  }
  const expired = await begin({ a: 'expired' })
  dead.push([...expired.cookies])
  clock.time += 24 * 3_600_000
  for (const data of [{ a: 1 }, { text: 'tea '.repeat(300) }, { noise: noise(4_000) }, { noise: noise(8_000) }]) {
    live.push([...(await begin(data)).cookies])
  }
  const ended = await begin({ a: 'ended' })
  dead.push([...ended.cookies])
  await ended.visit(sessions, (s) => s.logout())
  const anonymous = await begin({ a: 'before the login' })
  dead.push([...anonymous.cookies])
  await anonymous.visit(sessions, (s) => s.login('ada'))
  live.push([...anonymous.cookies])

  const others = [{ secret: noise(43) }, { cookie: { name: '__Host-other' } }]
  for (const options of others) {
    const other = makeSessions({}, options)
    const { cookies } = await begin({ a: 'another application' }, other.sessions)
    dead.push([...cookies.values()].map((value, n) => [NAMES[n] ?? '', value] as const))
  }
  dead.push(...forgedWithTheKey())
  return { ...made, live, dead }
}

/** What only a node could have sealed, and none does: bombs, garbage, and seals for another purpose. */
function forgedWithTheKey(): Pairs[] {
  const ring = createKeyRing(secret)
  const selector = Buffer.alloc(16, 7)
  const token = createTokenCodec(ring, '__Host-sid').encode(selector, 1)
  const key = keyOfSelector(selector)
  const seals = createSealCodec(ring, 'session', '__Host-sid')
  const bodies: [Buffer, number][] = [
    [deflateRawSync(Buffer.alloc(50 * 1024 * 1024)), 1],
    [Buffer.from('garbage'), 0],
    [Buffer.from('garbage'), 1],
    [Buffer.alloc(0), 0],
    [Buffer.alloc(200, 0x80), 0],
  ]
  const forged = bodies.map(([body, shape]) => seals.seal(body, shape, key).slice(0, 200_000))
  forged.push(createSealCodec(ring, 'another purpose', '__Host-sid').seal(Buffer.from('x'), 0, key))
  return forged.map((value) => [
    ['__Host-sid', token],
    ['__Host-sid-d', value],
  ])
}

type Mutation = (random: Random, pairs: Pairs, other: Pairs) => Pairs

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const ODD = [
  '%',
  '%00',
  '%ff',
  'é',
  '🦊',
  '\0',
  '\u007f',
  '"',
  ',',
  ' ',
  '=',
  '==',
  '+',
  '/',
  '.',
  '*',
  '~2',
  '%2d',
  '\ud800',
]

const change = (random: Random, pairs: Pairs, how: (value: string) => string): Pairs => {
  const chosen = random.below(pairs.length)
  return pairs.map(([name, value], n) => [name, n === chosen ? how(value) : value])
}

/** Each draws what it changes; some of them may change nothing. */
const MUTATIONS: readonly Mutation[] = [
  // a bit of the bytes
  (random, pairs) =>
    change(random, pairs, (value) => {
      const bytes = Buffer.from(value, 'base64url')
      const at = random.below(Math.max(1, bytes.length))
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8))
      return bytes.toString('base64url')
    }),
  // a character, which may be only the spare bits of the last one
  (random, pairs) =>
    change(random, pairs, (value) => {
      const at = random.below(3) === 0 ? value.length - 1 : random.below(value.length)
      return value.slice(0, at) + (ALPHABET[random.below(64)] ?? '') + value.slice(at + 1)
    }),
  // odd text put in
  (random, pairs) =>
    change(random, pairs, (value) => {
      const at = random.below(value.length + 1)
      return value.slice(0, at) + random.of(ODD) + value.slice(at + random.below(2))
    }),
  // cut, and lengthened
  (random, pairs) => change(random, pairs, (value) => value.slice(0, random.below(value.length))),
  (random, pairs) => change(random, pairs, (value) => value.slice(random.below(value.length))),
  (random, pairs) => change(random, pairs, (value) => value + value.slice(0, random.below(value.length))),
  (random, pairs) => change(random, pairs, (value) => value + 'A'.repeat(random.below(20_000))),
  // spliced from two
  (random, pairs, other) =>
    change(random, pairs, (value) => {
      const at = random.below(value.length)
      return value.slice(0, at) + (random.of(other)[1] ?? '').slice(at)
    }),
  // cookies of another session beside these
  (random, pairs, other) => {
    const chosen = random.below(pairs.length)
    return pairs.map((pair, n) => (n === chosen ? (other[n] ?? pair) : pair))
  },
  // missing, reordered, duplicated and renamed
  (random, pairs) => pairs.filter((_, n) => n !== random.below(pairs.length)),
  (random, pairs) => {
    const values = random.shuffled(pairs.map(([, value]) => value))
    return pairs.map(([name], n) => [name, values[n] ?? ''])
  },
  (random, pairs) => {
    const value = random.of(pairs)[1]
    return change(random, pairs, () => value)
  },
  (random, pairs) => pairs.map(([, value]) => [random.of(NAMES), value]),
  (random, pairs) => [[random.of(NAMES), random.of(pairs)[1]], ...pairs],
  // another shape: compressed or not, other chunks
  (random, pairs) =>
    change(random, pairs, (value) => {
      const bytes = Buffer.from(value, 'base64url')
      bytes[random.below(3)] = random.below(256)
      return bytes.toString('base64url')
    }),
  // of the standard alphabet, padded, in capitals, percent-encoded
  (random, pairs) => change(random, pairs, (value) => Buffer.from(value, 'base64url').toString('base64')),
  (random, pairs) => change(random, pairs, (value) => value.toUpperCase()),
  // nothing but noise
  (random, pairs) =>
    change(random, pairs, (value) => Array.from(value, () => ALPHABET[random.below(64)] ?? '').join('')),
  (random, pairs) => change(random, pairs, () => random.of(['', '=', '__proto__', 'null', '{}', '[object Object]'])),
]

/** Surroundings of the cookies that change nothing. */
function headerOf(random: Random, pairs: Pairs): string {
  const ours = pairs.map(([name, value]) => `${name}=${value}`)
  switch (random.below(100)) {
    case 0:
      return [...ours, `big=${'x'.repeat(64 * 1024)}`].join('; ')
    case 1:
      return [...Array.from({ length: 2_000 }, (_, n) => `c${n}=${n}`), ...ours].join('; ')
    case 2:
      return `__proto__=1; constructor=2; ;;; =; ${ours.join(';')}`
    default:
      return ours.join('; ')
  }
}

/** Whether these cookies are, unharmed, those of a live session. */
function isLive(header: string, live: readonly Pairs[]): boolean {
  const seen = parseCookie(header)
  return live.some((pairs) => pairs.every(([name, value]) => seen[name] === value))
}

/**
 * Opens mutated cookies of a forge: never an exception, never a session, never a line in the log. The same seed mutates
 * alike, but cookies of other keys: the forge draws those anew.
 */
export async function createCookieTarget(): Promise<FuzzTarget> {
  const { sessions, live, dead, logged, events } = await createForge()
  const all = [...live, ...dead]
  return {
    async feed(random) {
      let pairs = random.of(all)
      const times = random.below(3) + (live.includes(pairs) ? 1 : 0)
      for (let n = 0; n < times && pairs.length > 0; n++) pairs = random.of(MUTATIONS)(random, pairs, random.of(all))
      const header = headerOf(random, pairs)
      const where = header.slice(0, 300)
      const session = await sessions.open({ headers: { cookie: header } }).catch((error: unknown) => {
        throw new Error(`open() threw at ${where}`, { cause: error })
      })
      const isUnharmed = isLive(header, live)
      assert.equal(session.isNew, !isUnharmed, where)
      if (!isUnharmed) {
        assert.deepEqual([session.user, { ...session.data }], [null, {}], where)
        assert.deepEqual(await sessions.commit(session), [], where)
      }
      assert.deepEqual(logged, [], where)
      events.length = 0
      return isUnharmed ? 'unharmed' : 'refused'
    },
  }
}
