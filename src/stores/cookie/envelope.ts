import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { parseCookie } from 'cookie'
import { SessionTooLargeError, type SessionRecord } from '../../core/index.ts'
import {
  type CookiePolicy,
  createSealCodec,
  type KeyRing,
  type SealCodec,
  shapeOfSeal,
  toClearCookie,
  toSetCookie,
} from '../../token/index.ts'
import {
  CHUNKS_MAX,
  COMPRESSED_FROM_BYTES,
  COOKIE_BYTES_MAX,
  DEFLATE_WINDOW_BYTES,
  INFLATE_BYTES_AT_ONCE,
  PLAIN_BYTES_MAX,
} from './limits.ts'
import { decodePayload, encodePayload, type Payload } from './payload.ts'

/** How sessions are packed. */
export interface EnvelopeSettings {
  readonly keyRing: KeyRing
  readonly cookie: CookiePolicy
  readonly compress: boolean
  readonly chunks: number
}

/** What the data cookies of a request hold. */
export type Unpacked =
  | { readonly kind: 'valid'; readonly payload: Payload }
  | { readonly kind: 'none' | 'refused' | 'unknownSecret' }

/** In the shape byte of a seal: bit 0 tells that it is compressed, bits 1 and 2 how many cookies follow the first. */
const DEFLATED = 1
const SHAPE_MAX: number = DEFLATED | ((CHUNKS_MAX - 1) << 1)

/**
 * Packs a session into cookies beside the token's: `<name>-d`, `<name>-d1`, … hold one sealed text, cut where a cookie
 * is full. It opens whole or not at all, so that no part can be left out, exchanged or taken from another session.
 */
export class Envelope {
  readonly #settings: EnvelopeSettings
  readonly #seals: SealCodec
  readonly #names: readonly string[]
  /** Characters of a value with which its whole Set-Cookie header is as long as browsers keep. */
  readonly #capacity: number

  constructor(settings: EnvelopeSettings) {
    const { keyRing, cookie } = settings
    this.#settings = settings
    this.#seals = createSealCodec(keyRing, 'session', cookie.name)
    this.#names = Array.from({ length: CHUNKS_MAX }, (_, n) => `${cookie.name}-d${n === 0 ? '' : n}`)
    this.#capacity = COOKIE_BYTES_MAX - Buffer.byteLength(toSetCookie(cookie, this.#names.at(-1) ?? '', ''))
  }

  /**
   * The values of the data cookies.
   *
   * @param chunks how many there may be
   * @throws SessionTooLargeError that names the largest fields
   */
  pack(payload: Payload, chunks: number = this.#settings.chunks): string[] {
    const { compress } = this.#settings
    const { key, fields } = payload.record
    const plain = encodePayload(payload)
    if (plain.length > PLAIN_BYTES_MAX) {
      throw tooLarge(`the session has ${plain.length} bytes, and a sealed one at most ${PLAIN_BYTES_MAX}`, fields)
    }
    const deflated = compress && plain.length >= COMPRESSED_FROM_BYTES ? deflate(plain) : undefined
    const isSmaller = deflated !== undefined && deflated.length < plain.length
    const body = isSmaller ? deflated : plain
    const count = Math.ceil(this.#lengthOf(body) / this.#capacity)
    if (count > chunks) {
      const room = `${chunks} ${chunks === 1 ? 'cookie' : 'cookies'}`
      throw tooLarge(
        `the sealed session needs ${this.#lengthOf(body)} characters, and ${room} (chunks) have ${chunks * this.#capacity}`,
        fields,
      )
    }
    const shape = (isSmaller ? DEFLATED : 0) | ((count - 1) << 1)
    const text = this.#seals.seal(body, shape, key)
    return Array.from({ length: count }, (_, n) => text.slice(n * this.#capacity, (n + 1) * this.#capacity))
  }

  /** @param header the Cookie header */
  unpack(key: string, header: string): Unpacked {
    const [name = ''] = this.#names
    if (!header.includes(name)) return { kind: 'none' }
    const cookies = parseCookie(header)
    const first = cookies[name]
    if (first === undefined) return { kind: 'none' }
    const shape = shapeOfSeal(first)
    if (shape === undefined || shape > SHAPE_MAX) return { kind: 'refused' }
    let text = first
    for (let n = 1; n <= shape >> 1; n++) {
      const chunk = cookies[this.#names[n] ?? '']
      if (chunk === undefined) return { kind: 'refused' }
      text += chunk
    }
    const reading = this.#seals.open(text, key)
    if (reading.kind !== 'valid') return reading
    const plain = shape & DEFLATED ? inflate(reading.plaintext) : reading.plaintext
    const payload = plain && decodePayload(key, plain)
    return payload ? { kind: 'valid', payload } : { kind: 'refused' }
  }

  /** Sets these values, and clears what the client presented beyond them. */
  toSetCookies(values: readonly string[], header: string, lifeMs: number): string[] {
    const { cookie } = this.#settings
    const lines = values.map((value, n) => toSetCookie(cookie, this.#names[n] ?? '', value, lifeMs))
    const rest = this.#names.slice(values.length)
    if (!header.includes(`${cookie.name}-d`)) return lines
    const presented = parseCookie(header)
    for (const name of rest) if (presented[name] !== undefined) lines.push(toClearCookie(cookie, name))
    return lines
  }

  /** Characters of the sealed text of this many bytes. */
  #lengthOf(body: Buffer): number {
    return Math.ceil(((body.length + this.#seals.overheadBytes) * 4) / 3)
  }
}

/**
 * Level 1 of deflate: the smallest and the fastest of deflate, brotli and zstd on sessions that do not repeat themselves.
 * A window that is no larger than most sessions, and a buffer of the session's own size, save a quarter of its time, since
 * much of that goes into getting memory and giving it back.
 */
function deflate(plain: Buffer): Buffer {
  const memory = plain.length > DEFLATE_WINDOW_BYTES ? {} : { windowBits: Math.log2(DEFLATE_WINDOW_BYTES), memLevel: 5 }
  return deflateRawSync(plain, { level: 1, chunkSize: plain.length, ...memory })
}

/** `undefined` for what is damaged or expands beyond the bound. */
function inflate(deflated: Buffer): Buffer | undefined {
  try {
    return inflateRawSync(deflated, { maxOutputLength: PLAIN_BYTES_MAX, chunkSize: INFLATE_BYTES_AT_ONCE })
  } catch {
    return undefined
  }
}

function tooLarge(message: string, fields: SessionRecord['fields']): SessionTooLargeError {
  const sizes = [...fields].map(([name, { value }]) => [name, Buffer.byteLength(name + (value ?? ''))] as const)
  return new SessionTooLargeError(message, sizes)
}
