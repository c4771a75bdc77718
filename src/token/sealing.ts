import { randomFillSync } from 'node:crypto'
import type { KeyPurpose, KeyRing } from './keyring.ts'
import { createXaes, XAES_NONCE_BYTES, XAES_TAG_BYTES } from './xaes.ts'

/**
 * `format (1) | key id (1) | shape (1) | nonce (24) | ciphertext | tag (16)` in base64url; XAES-256-GCM. Authenticated
 * with it: the first three bytes, the purpose, the cookie's name, and what the seal is bound to.
 */
const FORMAT = 1
const HEAD_BYTES = 3
/** A seal is bound to a session's key, which has 43 characters. */
const BOUND_TO_BYTES_MAX = 64
const OVERHEAD_BYTES: number = HEAD_BYTES + XAES_NONCE_BYTES + XAES_TAG_BYTES

/** What a presented seal says. */
export type SealReading =
  | { readonly kind: 'valid'; readonly plaintext: Buffer; readonly isOfSigner: boolean }
  /** Well-formed, of a secret that this node does not know. */
  | { readonly kind: 'unknownSecret' }
  /** Forged, mangled, foreign, bound to something else, or not in canonical form. */
  | { readonly kind: 'refused' }

const REFUSED: SealReading = { kind: 'refused' }
const UNKNOWN_SECRET: SealReading = { kind: 'unknownSecret' }

/** Seals and opens the texts of one name. */
export interface SealCodec {
  /**
   * @param shape a byte for the caller, readable without the key by {@link shapeOfSeal}
   * @param boundTo opens only with the same; ASCII
   */
  seal(plaintext: Buffer, shape: number, boundTo: string): string
  open(text: string, boundTo: string): SealReading
  /** Bytes that a seal has beside its plaintext. */
  readonly overheadBytes: number
}

/**
 * @param purpose
 * @param name the cookie's name; both are bound into every seal
 * @param keyPurpose which key of the ring seals
 */
export function createSealCodec(
  ring: KeyRing,
  purpose: string,
  name: string,
  keyPurpose: KeyPurpose = 'seal',
): SealCodec {
  const ciphers = ring.all.map(({ id, derive }) => ({ id, cipher: createXaes(derive(keyPurpose)) }))
  const [sealer] = ciphers
  const context = Buffer.from(`${purpose}\0${name}\0`)
  const boundToAt = HEAD_BYTES + context.length
  const scratch = Buffer.concat([Buffer.alloc(HEAD_BYTES), context], boundToAt + BOUND_TO_BYTES_MAX)
  const additionalOf = (head: Buffer, boundTo: string): Buffer => {
    if (boundTo.length > BOUND_TO_BYTES_MAX) throw new RangeError('a seal is bound to a short text')
    head.copy(scratch)
    return scratch.subarray(0, boundToAt + scratch.write(boundTo, boundToAt, 'latin1'))
  }
  let nonces = Buffer.alloc(0)

  /** Random bytes drawn many at a time: one call for each nonce costs more than the encryption of a small session. */
  const nextNonce = (): Buffer => {
    if (nonces.length === 0) nonces = randomFillSync(Buffer.alloc(XAES_NONCE_BYTES * 128))
    const nonce = nonces.subarray(0, XAES_NONCE_BYTES)
    nonces = nonces.subarray(XAES_NONCE_BYTES)
    return nonce
  }

  return {
    overheadBytes: OVERHEAD_BYTES,
    seal(plaintext, shape, boundTo) {
      if (!sealer) throw new RangeError('a key ring has one secret or more')
      const head = Buffer.from([FORMAT, sealer.id, shape])
      const nonce = nextNonce()
      const sealed = sealer.cipher.seal(nonce, plaintext, additionalOf(head, boundTo))
      return Buffer.concat([head, nonce, sealed]).toString('base64url')
    },

    open(text, boundTo) {
      const bytes = Buffer.from(text, 'base64url')
      if (bytes.length < OVERHEAD_BYTES || bytes[0] !== FORMAT || bytes.toString('base64url') !== text) return REFUSED
      const additional = additionalOf(bytes.subarray(0, HEAD_BYTES), boundTo)
      const nonce = bytes.subarray(HEAD_BYTES, HEAD_BYTES + XAES_NONCE_BYTES)
      let known = false
      for (const each of ciphers) {
        if (each.id !== bytes[1]) continue
        known = true
        const plaintext = each.cipher.open(nonce, bytes.subarray(HEAD_BYTES + XAES_NONCE_BYTES), additional)
        if (plaintext) return { kind: 'valid', plaintext, isOfSigner: each === sealer }
      }
      return known ? REFUSED : UNKNOWN_SECRET
    },
  }
}

/** The shape of a text that may be a seal, before anything is checked; `undefined` where it is none. */
export function shapeOfSeal(text: string): number | undefined {
  const head = Buffer.from(text.slice(0, 4), 'base64url')
  return head.length === HEAD_BYTES && head[0] === FORMAT ? head[2] : undefined
}
