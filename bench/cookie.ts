/**
 * The sealed cookie: what compresses best, what a seal and a whole request cost beside others, and what a
 * million ended sessions cost.
 */
import { createCipheriv, createDecipheriv, createSecretKey, hash, randomBytes } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import * as zlib from 'node:zlib'
import { sealData, unsealData } from 'iron-session'
import { applyChange, type SessionRecord } from '../src/core/index.ts'
import { Ends } from '../src/stores/cookie/ends.ts'
import { Envelope } from '../src/stores/cookie/envelope.ts'
import { decodePayload, encodePayload, type Payload } from '../src/stores/cookie/payload.ts'
import {
  createKeyRing,
  createSealCodec,
  createSelector,
  createTokenCodec,
  createXaes,
  keyOfSelector,
  toCookiePolicy,
} from '../src/token/index.ts'
import { createBenchData } from './apps/session-data.ts'
import { compareRequests } from './cookie-requests.ts'
import { median, toTable } from './load.ts'
import type { BenchOptions } from './main.ts'

const CALLS = 2_000
const SLICE = 50
const ENDED = 1_000_000
const SECRET = randomBytes(32).toString('base64url')

type Work = () => unknown

/** Microseconds of each of several works, as medians over slices that take turns, so that a busy machine is busy for all. */
async function inTurns(works: Readonly<Record<string, Work>>, rounds: number): Promise<Map<string, number>> {
  const times = new Map(Object.keys(works).map((name): [string, number[]] => [name, []]))
  for (let round = 0; round < rounds * (CALLS / SLICE); round++) {
    const names = round % 2 === 0 ? Object.keys(works) : Object.keys(works).toReversed()
    for (const name of names) {
      const work = works[name]
      const before = process.hrtime.bigint()
      for (let n = 0; n < SLICE; n++) {
        const result = work?.()
        if (result instanceof Promise) await result
      }
      times.get(name)?.push(Number(process.hrtime.bigint() - before) / SLICE / 1000)
    }
  }
  return new Map([...times].map(([name, values]) => [name, median(values)]))
}

function payloadOf(key: string, data: object): Payload {
  const now = Date.now()
  const fields = new Map(Object.entries(data).map(([name, value]) => [name, JSON.stringify(value)]))
  const change = { key, operation: { slot: 'bench', count: 1 }, now, expiresAt: now + 1_800_000, generation: 1, fields }
  const { record } = applyChange(undefined, false, { ...change, create: true, login: { user: 'user-4711' } })
  return { record: record as SessionRecord, absoluteEnd: now + 43_200_000, epoch: 0 }
}

/** 940 bytes of JSON whose parts are alike, as the first measurements had it; and the 1 KB session of the other benchmarks. */
function sessionsOf(): Readonly<Record<string, object>> {
  const items = Array.from({ length: 10 }, (_, n) => ({
    sku: `SKU-00${n}`,
    title: `Product number ${n}`,
    qty: 1,
    price: 19.99,
  }))
  const alike = { userId: 4711, theme: 'dark', cart: items, note: '' }
  alike.note = 'tea '.repeat(300).slice(0, Math.max(0, 940 - JSON.stringify(alike).length))
  return { repetitive: alike, 'less repetitive': createBenchData() }
}

const WAYS: Readonly<Record<string, [pack: (plain: Buffer) => Buffer, unpack: (packed: Buffer) => Buffer]>> = {
  'deflate 1': [(plain) => zlib.deflateRawSync(plain, { level: 1 }), (packed) => zlib.inflateRawSync(packed)],
  'deflate 1, 4 KiB': [
    (plain) => zlib.deflateRawSync(plain, { level: 1, windowBits: 12, memLevel: 5, chunkSize: plain.length }),
    (packed) => zlib.inflateRawSync(packed, { chunkSize: 4096 }),
  ],
  'deflate 6': [(plain) => zlib.deflateRawSync(plain, { level: 6 }), (packed) => zlib.inflateRawSync(packed)],
  'brotli 1': [(plain) => brotli(plain, 1), (packed) => zlib.brotliDecompressSync(packed)],
  'brotli 5': [(plain) => brotli(plain, 5), (packed) => zlib.brotliDecompressSync(packed)],
  'zstd 1': [(plain) => zstd(plain, 1), (packed) => zlib.zstdDecompressSync(packed)],
  'zstd 6': [(plain) => zstd(plain, 6), (packed) => zlib.zstdDecompressSync(packed)],
}

function brotli(plain: Buffer, quality: number): Buffer {
  return zlib.brotliCompressSync(plain, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: quality } })
}

function zstd(plain: Buffer, level: number): Buffer {
  return zlib.zstdCompressSync(plain, { params: { [zlib.constants.ZSTD_c_compressionLevel]: level } })
}

/** What a seal adds to its plaintext, in bytes. */
const OVERHEAD_BYTES = 43

async function compareCompression(plain: Buffer, rounds: number): Promise<void> {
  const packed = new Map(Object.entries(WAYS).map(([name, [pack]]) => [name, pack(plain)]))
  const packing = await inTurns(
    mapValues(
      WAYS,
      ([pack]) =>
        () =>
          pack(plain),
    ),
    rounds,
  )
  const unpacking = await inTurns(
    mapValues(
      WAYS,
      ([, unpack], name) =>
        () =>
          unpack(packed.get(name) ?? Buffer.alloc(0)),
    ),
    rounds,
  )
  const rows = Object.keys(WAYS).map((name) => {
    const bytes = packed.get(name)?.length ?? 0
    const ratioOf = (times: Map<string, number>): string =>
      ((times.get(name) ?? 0) / (times.get('deflate 1') ?? 1)).toFixed(2)
    return [name, bytes, Math.ceil(((bytes + OVERHEAD_BYTES) * 4) / 3), ratioOf(packing), ratioOf(unpacking)]
  })
  console.log(toTable(['way', 'bytes', 'characters sealed', 'time to pack', 'time to unpack'], rows))
}

const headerOf = (values: readonly string[]): string => `__Host-sid-d=${values[0] ?? ''}`

/** How many times as fast as another. */
const speed = (times: Map<string, number>, name: string, other: string): string =>
  ((times.get(other) ?? 0) / (times.get(name) ?? 1)).toFixed(2)

async function compareSeals(data: object, rounds: number): Promise<void> {
  const text = JSON.stringify(data)
  const ring = createKeyRing(SECRET)
  const key = createSecretKey(randomBytes(32))
  const selector = createSelector()
  const sessionKey = keyOfSelector(selector)
  const payload = payloadOf(sessionKey, data)
  const settings = { keyRing: ring, cookie: toCookiePolicy(), chunks: 1 }
  const [plain, packed] = [false, true].map((compress) => new Envelope({ ...settings, compress }))
  const sealed = {
    aes: sealAes(text),
    plain: headerOf(plain?.pack(payload) ?? []),
    packed: headerOf(packed?.pack(payload) ?? []),
    iron: await sealData(data, { password: SECRET }),
  }
  function sealAes(json: string): string {
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', key, nonce)
    return Buffer.concat([nonce, cipher.update(json, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString(
      'base64url',
    )
  }
  function openAes(value: string): unknown {
    const bytes = Buffer.from(value, 'base64url')
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12)).setAuthTag(bytes.subarray(-16))
    return decipher.update(bytes.subarray(12, -16), undefined, 'utf8') + decipher.final('utf8')
  }
  const sealing = await inTurns(
    {
      'AES-256-GCM alone': () => sealAes(text),
      sojourn: () => plain?.pack(payload),
      'sojourn, compressed': () => packed?.pack(payload),
      'iron-session': () => sealData(data, { password: SECRET }),
    },
    rounds,
  )
  const opening = await inTurns(
    {
      'AES-256-GCM alone': () => openAes(sealed.aes),
      sojourn: () => plain?.unpack(sessionKey, sealed.plain),
      'sojourn, compressed': () => packed?.unpack(sessionKey, sealed.packed),
      'iron-session': () => unsealData(sealed.iron, { password: SECRET }),
    },
    rounds,
  )
  const token = createTokenCodec(ring, '__Host-sid').encode(selector, 1).length
  const lengths: Readonly<Record<string, string>> = {
    'AES-256-GCM alone': String(sealed.aes.length),
    sojourn: `${sealed.plain.length - 13} and a token of ${token}`,
    'sojourn, compressed': `${sealed.packed.length - 13} and a token of ${token}`,
    'iron-session': String(sealed.iron.length),
  }
  const rows = [...sealing.keys()].map((name) => [
    name,
    lengths[name] ?? '',
    ...['AES-256-GCM alone', 'iron-session'].flatMap((other) => [
      speed(sealing, name, other),
      speed(opening, name, other),
    ]),
  ])
  const header = [
    'way',
    'characters',
    'seals, AES = 1',
    'opens, AES = 1',
    'seals, iron-session = 1',
    'opens, iron-session = 1',
  ]
  console.log(toTable(header, rows))
}

/** Where the time of an open goes, without compression. */
async function profileOpen(data: object, rounds: number): Promise<void> {
  const cookie = toCookiePolicy()
  const ring = createKeyRing(SECRET)
  const key = keyOfSelector(createSelector())
  const envelope = new Envelope({ keyRing: ring, cookie, chunks: 1, compress: false })
  const payload = payloadOf(key, data)
  const [plain, seals, xaes] = [
    encodePayload(payload),
    createSealCodec(ring, 'session', cookie.name),
    createXaes(randomBytes(32)),
  ]
  const [text = ''] = envelope.pack(payload)
  const [nonce, additional, bytes] = [randomBytes(24), randomBytes(80), randomBytes(32)]
  const kept = createSecretKey(bytes)
  const sealed = xaes.seal(nonce, plain, additional)
  const times = await inTurns(
    {
      'the whole open': () => envelope.unpack(key, headerOf([text])),
      'the seal, from its text': () => seals.open(text, key),
      'XAES-256-GCM': () => xaes.open(nonce, sealed, additional),
      'a decipher made for a kept key': () => createDecipheriv('aes-256-gcm', kept, nonce.subarray(0, 12)),
      'a decipher made for a key of its own': () =>
        createDecipheriv('aes-256-gcm', createSecretKey(bytes), nonce.subarray(0, 12)),
      'the record, from its bytes': () => decodePayload(key, plain),
    },
    rounds,
  )
  const whole = times.get('the whole open') ?? 1
  const rows = [...times].map(([name, time]) => [name, time.toFixed(2), (time / whole).toFixed(2)])
  console.log(toTable(['part of an open, not compressed', 'µs', 'of the whole'], rows))
}

/** A full collection, without a flag on the command line. */
function collect(): void {
  setFlagsFromString('--expose-gc')
  const gc: unknown = runInNewContext('gc')
  if (typeof gc === 'function') Reflect.apply(gc, undefined, [])
}

async function measureEnds(rounds: number): Promise<void> {
  const keys = Array.from({ length: 2_000 }, (_, n) => hash('sha256', `live ${n}`, 'base64url'))
  const [none, many] = [new Ends(43_200_000), new Ends(43_200_000)]
  collect()
  const before = process.memoryUsage().rss
  const now = Date.now()
  for (let n = 0; n < ENDED; n++)
    many.take({ kind: 'ended', key: hash('sha256', `ended ${n}`, 'base64url'), at: now }, n)
  collect()
  const bytes = (process.memoryUsage().rss - before) / ENDED
  let at = 0
  const ask = (ends: Ends) => () => {
    const key = keys[(at = (at + 1) % keys.length)] ?? ''
    return ends.isEnded(key) || ends.isOver('ada', 1) || ends.generationsOf(key)
  }
  const times = await inTurns({ none: ask(none), many: ask(many) }, rounds)
  const row = [
    ENDED.toLocaleString('en'),
    bytes.toFixed(0),
    ...['none', 'many'].map((name) => (times.get(name) ?? 0).toFixed(2)),
  ]
  console.log(toTable(['ended sessions', 'resident bytes each', 'µs to ask with none', 'µs to ask with all'], [row]))
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, to: (value: A, name: string) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, to(value, name)]))
}

export async function run(options: BenchOptions): Promise<void> {
  const { rounds } = options
  for (const [name, data] of Object.entries(sessionsOf())) {
    const plain = encodePayload(payloadOf('key', data))
    console.log(
      `\nThe ${name} session: ${JSON.stringify(data).length} bytes of JSON, ${plain.length} with its life and user\n`,
    )
    await compareCompression(plain, rounds)
    await compareSeals(data, rounds)
    await profileOpen(data, rounds)
  }
  console.log(`\nWhat a node keeps of ${ENDED.toLocaleString('en')} ended sessions\n`)
  await measureEnds(rounds)
  console.log('\nWhole requests on Express, the less repetitive session')
  await compareRequests(options)
}
