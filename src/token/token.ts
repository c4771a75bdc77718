import { hash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { createMac, type KeyRing } from './keyring.ts'

/**
 * `format (1) | key id (1) | selector (16) | generation (varint) | issue (0 or 3) | tag (16)` in base64url. The tag is
 * HMAC-SHA-256, truncated to 16 bytes, over all before it and the cookie's name, so that a token of one cookie is none of
 * another.
 */
const FORMAT = 1
const SELECTOR_BYTES = 16
const TAG_BYTES = 16
const GENERATION_MAX = 2 ** 31 - 1
const GENERATION_BYTES_MAX = 5
const ISSUE_BYTES = 3
const BODY_BYTES_MAX = 2 + SELECTOR_BYTES + GENERATION_BYTES_MAX + ISSUE_BYTES
const TOKEN_BYTES_MIN = 2 + SELECTOR_BYTES + 1 + TAG_BYTES
const TOKEN_BYTES_MAX = BODY_BYTES_MAX + TAG_BYTES
const TOKEN_CHARACTERS_MAX = Math.ceil((TOKEN_BYTES_MAX * 4) / 3)

/** Tokens that were verified lately, about 300 bytes each: those of the visitors that a process serves within minutes. */
const VERIFIED_MAX = 10_000

/** A token of ours. */
export interface ValidToken {
  readonly kind: 'valid'
  readonly selector: Buffer
  /** {@link keyOfSelector} of it. */
  readonly key: string
  readonly generation: number
  /** Of {@link createIssue}, or 0. */
  readonly issue: number
  /** Whether the first of several secrets made it; the others only open. */
  readonly isOfSigner: boolean
}

/** What a presented token says. */
export type TokenReading =
  | ValidToken
  /** Well-formed, of a secret that this node does not know: another node's newer one, or one that was dropped. */
  | { readonly kind: 'unknownSecret' }
  /** Forged, mangled, foreign, or not in canonical form. */
  | { readonly kind: 'refused' }

const REFUSED: TokenReading = { kind: 'refused' }
const UNKNOWN_SECRET: TokenReading = { kind: 'unknownSecret' }

/** Writes and reads the tokens of one cookie name. */
export interface TokenCodec {
  /** @param issue of {@link createIssue}; 0 for none */
  encode(selector: Buffer, generation: number, issue?: number): string
  read(text: string): TokenReading
}

/** @param name the cookie's name, bound into every tag */
export function createTokenCodec(ring: KeyRing, name: string): TokenCodec {
  const nameBytes = Buffer.from(name)
  const macs = ring.all.map(({ id, derive }) => ({
    id,
    mac: createMac(derive('token tag'), BODY_BYTES_MAX + nameBytes.length),
  }))
  /** By the token's SHA-256, so that no token, nor anything that would make one, outlives its request here. */
  const verified = new LRUCache<string, Verified>({ max: VERIFIED_MAX })
  const scratch = Buffer.alloc(BODY_BYTES_MAX + nameBytes.length)
  const tagScratch = Buffer.alloc(32)

  const tagOf = (body: Buffer, mac: (message: Buffer) => string): Buffer => {
    body.copy(scratch)
    nameBytes.copy(scratch, body.length)
    tagScratch.write(mac(scratch.subarray(0, body.length + nameBytes.length)), 0, 'latin1')
    return tagScratch.subarray(0, TAG_BYTES)
  }

  return {
    encode(selector, generation, issue = 0) {
      const signer = macs[0]
      if (!signer || selector.length !== SELECTOR_BYTES) throw new RangeError('a selector has 16 bytes')
      const head = Buffer.from([FORMAT, signer.id])
      const body = Buffer.concat([head, selector, encodeVarint(generation), encodeIssue(issue)])
      return Buffer.concat([body, tagOf(body, signer.mac)]).toString('base64url')
    },

    read(text) {
      if (text.length > TOKEN_CHARACTERS_MAX) return REFUSED
      const digest = hash('sha256', text, 'binary')
      const seen = verified.get(digest)
      if (seen) return new Reading(text, seen)
      const bytes = bytesOf(text)
      if (!bytes) return REFUSED
      const body = bytes.subarray(0, bytes.length - TAG_BYTES)
      const count = decodeCount(body.subarray(2 + SELECTOR_BYTES))
      if (count === undefined) return REFUSED
      let known = false
      for (const [index, { id, mac }] of macs.entries()) {
        if (id !== bytes[1]) continue
        known = true
        if (timingSafeEqual(tagOf(body, mac), bytes.subarray(body.length))) {
          const found = { key: keyOfSelector(selectorIn(bytes)), ...count, isOfSigner: index === 0 }
          verified.set(digest, found)
          return new Reading(text, found)
        }
      }
      return known ? REFUSED : UNKNOWN_SECRET
    },
  }
}

/** What is remembered of a token whose tag was right. */
type Verified = Pick<ValidToken, 'key' | 'generation' | 'issue' | 'isOfSigner'>

class Reading implements ValidToken {
  readonly kind = 'valid'
  readonly key: string
  readonly generation: number
  readonly issue: number
  readonly isOfSigner: boolean
  readonly #text: string

  constructor(text: string, { key, generation, issue, isOfSigner }: Verified) {
    this.#text = text
    this.key = key
    this.generation = generation
    this.issue = issue
    this.isOfSigner = isOfSigner
  }

  /** Only who sets a token needs it. */
  get selector(): Buffer {
    return selectorIn(Buffer.from(this.#text, 'base64url'))
  }
}

function selectorIn(bytes: Buffer): Buffer {
  return bytes.subarray(2, 2 + SELECTOR_BYTES)
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
  return bytes && keyOfSelector(selectorIn(bytes))
}

/** 16 random bytes: the secret that names a session to its client alone. */
export function createSelector(): Buffer {
  return randomBytes(SELECTOR_BYTES)
}

/**
 * Tells apart the tokens in which one generation was handed out, so that two who were given it at once are not one for
 * ever. Not a secret; two are alike once in 16 million.
 */
export function createIssue(): number {
  return randomInt(1, 2 ** (8 * ISSUE_BYTES))
}

/** SHA-256 of the selector in base64url, 43 characters: the only name under which a store knows a session. Safe to log. */
export function keyOfSelector(selector: Buffer): string {
  return hash('sha256', selector, 'base64url')
}

const KEY = /^[\w-]{42}[AEIMQUYcgkosw048]$/

/** Whether a text has the form of what {@link keyOfSelector} makes. */
export function isKey(text: string): boolean {
  return KEY.test(text)
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

function encodeIssue(issue: number): Buffer {
  const bytes = Buffer.alloc(issue === 0 ? 0 : ISSUE_BYTES)
  if (issue !== 0) bytes.writeUIntBE(issue, 0, ISSUE_BYTES)
  return bytes
}

/** A generation and an issue. */
function decodeCount(bytes: Buffer): { generation: number; issue: number } | undefined {
  const length = bytes.findIndex((byte) => byte < 128) + 1
  const generation = decodeVarint(bytes.subarray(0, length))
  const rest = bytes.subarray(length)
  if (generation === undefined || (rest.length !== 0 && rest.length !== ISSUE_BYTES)) return undefined
  if (rest.length === 0) return { generation, issue: 0 }
  const issue = rest.readUIntBE(0, ISSUE_BYTES)
  return issue === 0 ? undefined : { generation, issue }
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
