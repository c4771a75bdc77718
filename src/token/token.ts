import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import { createMac, type KeyRing } from './keyring.ts'

/**
 * `format (1) | key id (1) | selector (16) | generation (varint) | tag (16)` in base64url. The tag is HMAC-SHA-256,
 * truncated to 16 bytes, over all before it and the cookie's name, so that a token of one cookie is none of another.
 */
const FORMAT = 1
const SELECTOR_BYTES = 16
const TAG_BYTES = 16
const GENERATION_MAX = 2 ** 31 - 1
const GENERATION_BYTES_MAX = 5
const BODY_BYTES_MAX = 2 + SELECTOR_BYTES + GENERATION_BYTES_MAX
const TOKEN_BYTES_MIN = 2 + SELECTOR_BYTES + 1 + TAG_BYTES
const TOKEN_BYTES_MAX = BODY_BYTES_MAX + TAG_BYTES
const TOKEN_CHARACTERS_MAX = Math.ceil((TOKEN_BYTES_MAX * 4) / 3)

/** What a presented token says. */
export type TokenReading =
  | { readonly kind: 'valid'; readonly selector: Buffer; readonly generation: number }
  /** Well-formed, of a secret that this node does not know: another node's newer one, or one that was dropped. */
  | { readonly kind: 'unknownSecret' }
  /** Forged, mangled, foreign, or not in canonical form. */
  | { readonly kind: 'refused' }

const REFUSED: TokenReading = { kind: 'refused' }
const UNKNOWN_SECRET: TokenReading = { kind: 'unknownSecret' }

/** Writes and reads the tokens of one cookie name. */
export interface TokenCodec {
  encode(selector: Buffer, generation: number): string
  read(text: string): TokenReading
}

/** @param name the cookie's name, bound into every tag */
export function createTokenCodec(ring: KeyRing, name: string): TokenCodec {
  const nameBytes = Buffer.from(name)
  const macs = ring.all.map(({ id, derive }) => ({
    id,
    mac: createMac(derive('token tag'), BODY_BYTES_MAX + nameBytes.length),
  }))
  const scratch = Buffer.alloc(BODY_BYTES_MAX + nameBytes.length)
  const tagScratch = Buffer.alloc(32)

  const tagOf = (body: Buffer, mac: (message: Buffer) => string): Buffer => {
    body.copy(scratch)
    nameBytes.copy(scratch, body.length)
    tagScratch.write(mac(scratch.subarray(0, body.length + nameBytes.length)), 0, 'latin1')
    return tagScratch.subarray(0, TAG_BYTES)
  }

  return {
    encode(selector, generation) {
      const signer = macs[0]
      if (!signer || selector.length !== SELECTOR_BYTES) throw new RangeError('a selector has 16 bytes')
      const body = Buffer.concat([Buffer.from([FORMAT, signer.id]), selector, encodeVarint(generation)])
      return Buffer.concat([body, tagOf(body, signer.mac)]).toString('base64url')
    },

    read(text) {
      const bytes = bytesOf(text)
      if (!bytes) return REFUSED
      const body = bytes.subarray(0, bytes.length - TAG_BYTES)
      const generation = decodeVarint(body.subarray(2 + SELECTOR_BYTES))
      if (generation === undefined) return REFUSED
      let known = false
      for (const { id, mac } of macs) {
        if (id !== bytes[1]) continue
        known = true
        if (timingSafeEqual(tagOf(body, mac), bytes.subarray(body.length))) {
          return { kind: 'valid', selector: body.subarray(2, 2 + SELECTOR_BYTES), generation }
        }
      }
      return known ? REFUSED : UNKNOWN_SECRET
    },
  }
}

/** The bytes of a token of this format, in canonical form; `undefined` for any other text. */
function bytesOf(text: string): Buffer | undefined {
  if (text.length > TOKEN_CHARACTERS_MAX) return undefined
  const bytes = Buffer.from(text, 'base64url')
  const fits = bytes.length >= TOKEN_BYTES_MIN && bytes[0] === FORMAT && bytes.toString('base64url') === text
  return fits ? bytes : undefined
}

/**
 * The key that a token claims, read without any secret, so that nothing may be believed of it: good for choosing a
 * server and for nothing else. `undefined` for what has not the form of a token.
 */
export function claimedKeyOf(token: string): string | undefined {
  const bytes = bytesOf(token)
  return bytes && keyOfSelector(bytes.subarray(2, 2 + SELECTOR_BYTES))
}

/** 16 random bytes: the secret that names a session to its client alone. */
export function createSelector(): Buffer {
  return randomBytes(SELECTOR_BYTES)
}

/** SHA-256 of the selector in base64url, 43 characters: the only name under which a store knows a session. Safe to log. */
export function keyOfSelector(selector: Buffer): string {
  return hash('sha256', selector, 'base64url')
}

/** LEB128, least significant group first. */
function encodeVarint(value: number): Buffer {
  if (!Number.isSafeInteger(value) || value < 0 || value > GENERATION_MAX) {
    throw new RangeError(`a generation is a whole number from 0 to ${GENERATION_MAX}, not ${value}`)
  }
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest])
    bytes.push((rest % 128) | 128)
  }
}

/** Only the shortest form is read, so that one token has one text. */
function decodeVarint(bytes: Buffer): number | undefined {
  const last = bytes.length - 1
  if (last < 0 || last >= GENERATION_BYTES_MAX || (last > 0 && bytes[last] === 0)) return undefined
  let value = 0
  for (const [index, byte] of bytes.entries()) {
    if (byte >= 128 !== index < last) return undefined
    value += (byte & 127) * 128 ** index
  }
  return value <= GENERATION_MAX ? value : undefined
}
