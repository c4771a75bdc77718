import { hash, hkdfSync } from 'node:crypto'
import { isPublishedSecret } from './secret.ts'

/** One secret, or several: the first signs, all open. `undefined` type-checks, so that `process.env` fits, and is refused at start. */
export type SecretOption = string | undefined | readonly (string | undefined)[]

/** What a key is for. Each purpose has a key of its own, so that one never stands for another. */
export type KeyPurpose = 'token tag' | 'seal' | 'encryption at rest' | 'mesh'

/** Keys of one secret. */
export interface SecretKeys {
  /** First byte of HKDF(secret, "key id"): tells which secret made a token. Two secrets may share it. */
  readonly id: number
  /** 32 bytes for one purpose, by HKDF-SHA-256 (RFC 5869). */
  readonly derive: (purpose: KeyPurpose) => Buffer
}

/** Every key is derived from these secrets; the first signs. */
export interface KeyRing {
  readonly signing: SecretKeys
  readonly all: readonly SecretKeys[]
}

const SECRET_CHARACTERS_MIN = 32
const SECRET_DISTINCT_MIN = 10
const GUESSABLE = /secret|passw|change.?me|keyboard.?cat|example|default|sojourn|0123456789|abcdefgh/i
const HOW_TO_MAKE_ONE =
  "make one with: npx sojourn keys new, or node -e \"console.log(require('crypto').randomBytes(32).toString('base64url'))\""

/**
 * Derives the keys of one or several secrets.
 *
 * @throws TypeError when a secret is missing, shorter than 32 characters, or guessable
 */
export function createKeyRing(option: SecretOption): KeyRing {
  const secrets = Array.isArray(option) ? option : [option]
  const all = secrets.map((secret, index) => keysOf(checkSecret(secret, index)))
  const signing = all[0]
  if (!signing) throw new TypeError(`secret: the list is empty; ${HOW_TO_MAKE_ONE}`)
  return { signing, all }
}

function checkSecret(secret: unknown, index: number): string {
  const where = index === 0 ? 'secret' : `secret ${index + 1}`
  if (secret !== undefined && secret !== null && typeof secret !== 'string') {
    throw new TypeError(`${where} is not text; for bytes give them as text, such as bytes.toString('base64url')`)
  }
  if (secret === undefined || secret === null || secret === '') {
    throw new TypeError(`${where} is missing (is the environment variable set?); ${HOW_TO_MAKE_ONE}`)
  }
  if (secret.length < SECRET_CHARACTERS_MIN) {
    throw new TypeError(`${where} has ${secret.length} characters, at least 32 are needed; ${HOW_TO_MAKE_ONE}`)
  }
  if (isPublishedSecret(secret)) {
    throw new TypeError(`${where} stands in the README, where everybody reads it; ${HOW_TO_MAKE_ONE}`)
  }
  if (new Set(secret).size < SECRET_DISTINCT_MIN || GUESSABLE.test(secret)) {
    throw new TypeError(
      `${where} is guessable (too few different characters, or a word that everybody uses); ${HOW_TO_MAKE_ONE}`,
    )
  }
  return secret
}

function keysOf(secret: string): SecretKeys {
  const derive = (purpose: string): Buffer => Buffer.from(hkdfSync('sha256', secret, '', `sojourn ${purpose}`, 32))
  return { id: derive('key id')[0] ?? 0, derive }
}

const BLOCK_BYTES = 64

/**
 * HMAC-SHA-256 (RFC 2104) with both pads made once, as two one-shot hashes with string output: 0.7 µs where
 * `createHmac` takes 2.5 µs with a KeyObject and 20 µs with a raw key. The result is a latin1 string of 32 characters.
 */
export function createMac(key: Buffer, messageBytesMax: number): (message: Buffer) => string {
  const inner = Buffer.alloc(BLOCK_BYTES + messageBytesMax, 0x36)
  const outer = Buffer.alloc(BLOCK_BYTES + 32, 0x5c)
  for (const [index, byte] of key.entries()) {
    inner[index] = byte ^ 0x36
    outer[index] = byte ^ 0x5c
  }
  return (message) => {
    message.copy(inner, BLOCK_BYTES)
    outer.write(hash('sha256', inner.subarray(0, BLOCK_BYTES + message.length), 'binary'), BLOCK_BYTES, 'latin1')
    return hash('sha256', outer, 'binary')
  }
}
