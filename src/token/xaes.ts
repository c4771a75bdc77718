import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'

/**
 * XAES-256-GCM, as C2SP specifies it (https://c2sp.org/XAES-256-GCM): AES-256-GCM under a key that the first half of a
 * 24-byte nonce derives, so that random nonces never run out.
 */
export interface Xaes {
  /** Ciphertext and tag. @param nonce 24 random bytes, never used twice */
  seal(nonce: Buffer, plaintext: Buffer, additional: Buffer): Buffer
  /** The plaintext; `undefined` where nonce, ciphertext, tag or additional data are not those of {@link seal}. */
  open(nonce: Buffer, sealed: Buffer, additional: Buffer): Buffer | undefined
}

export const XAES_NONCE_BYTES = 24
export const XAES_TAG_BYTES = 16

const ALGORITHM = 'aes-256-gcm'
/** Without it Node would take shorter tags. */
const TAG = { authTagLength: XAES_TAG_BYTES }
const BLOCK_BYTES = 16
const PREFIX_BYTES = 4
const KEY_NONCE_BYTES = 12

/** @param key 32 bytes */
export function createXaes(key: Buffer): Xaes {
  // One cipher for every derivation: in ECB each block stands alone. Made for each call it costs a third of a seal.
  const ecb = createCipheriv('aes-256-ecb', createSecretKey(key), null).setAutoPadding(false)
  const mask = maskOf(ecb.update(Buffer.alloc(BLOCK_BYTES)))

  /** The blocks 00 01 58 00 and 00 02 58 00, each followed by half the nonce, xored with K1: written again for each nonce. */
  const blocks = Buffer.alloc(2 * BLOCK_BYTES)
  for (const block of [0, 1]) {
    const prefix = [0, block + 1, 0x58, 0]
    for (const [index, byte] of prefix.entries()) blocks[block * BLOCK_BYTES + index] = byte ^ (mask[index] ?? 0)
  }

  /** CMAC of both blocks (SP 800-108 in counter mode). */
  const deriveKey = (nonce: Buffer): KeyObject => {
    for (let index = 0; index < KEY_NONCE_BYTES; index++) {
      const byte = (nonce[index] ?? 0) ^ (mask[PREFIX_BYTES + index] ?? 0)
      blocks[PREFIX_BYTES + index] = byte
      blocks[BLOCK_BYTES + PREFIX_BYTES + index] = byte
    }
    return createSecretKey(ecb.update(blocks)) // a cipher made from a raw key costs ten times as much
  }

  return {
    seal(nonce, plaintext, additional) {
      checkNonce(nonce)
      const cipher = createCipheriv(ALGORITHM, deriveKey(nonce), nonce.subarray(KEY_NONCE_BYTES), TAG)
      cipher.setAAD(additional)
      const ciphertext = cipher.update(plaintext)
      cipher.final() // empty in GCM
      return Buffer.concat([ciphertext, cipher.getAuthTag()])
    },

    open(nonce, sealed, additional) {
      checkNonce(nonce)
      const end = sealed.length - XAES_TAG_BYTES
      if (end < 0) return undefined
      const key = deriveKey(nonce)
      const decipher = createDecipheriv(ALGORITHM, key, nonce.subarray(KEY_NONCE_BYTES), TAG)
      decipher.setAAD(additional).setAuthTag(sealed.subarray(end))
      const plaintext = decipher.update(sealed.subarray(0, end))
      try {
        decipher.final() // empty in GCM
        return plaintext
      } catch {
        return undefined
      }
    },
  }
}

function checkNonce(nonce: Buffer): void {
  if (nonce.length !== XAES_NONCE_BYTES) throw new RangeError(`a nonce has ${XAES_NONCE_BYTES} bytes`)
}

/** K1 of CMAC: the encrypted zero block, doubled in GF(2^128). */
function maskOf(zero: Buffer): Buffer {
  const mask = Buffer.alloc(BLOCK_BYTES)
  for (let index = 0; index < BLOCK_BYTES; index++) {
    mask[index] = ((zero[index] ?? 0) << 1) | ((zero[index + 1] ?? 0) >> 7)
  }
  if ((zero[0] ?? 0) & 0x80) mask[BLOCK_BYTES - 1] = (mask[BLOCK_BYTES - 1] ?? 0) ^ 0x87
  return mask
}
