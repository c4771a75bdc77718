import { hash } from 'node:crypto'

/** Bytes of a secret that is made by a generator, as `sojourn keys` makes and checks them. */
export const SECRET_BYTES_MIN = 32
const DISTINCT_BYTES_MIN = 16

/** SHA-256 of the secrets that the documentation shows, in base64url; everybody has read them. */
const PUBLISHED: ReadonlySet<string> = new Set(['Rjp-FpRZEakJeuLKobmwEbl7IHWesp5qNcij-YlAwXA'])

/** Whether the documentation shows this secret. */
export function isPublishedSecret(secret: string): boolean {
  return PUBLISHED.has(hash('sha256', secret, 'base64url'))
}

/** What is wrong with a secret that is to be the text of random bytes; `undefined` for nothing. Never tells the secret. */
export function faultOfSecret(text: string): string | undefined {
  const bytes = bytesOf(text)
  if (!bytes) return 'it is neither base64 nor hex'
  if (isPublishedSecret(text)) return 'it stands in the README of Sojourn, where everybody reads it'
  if (bytes.length < SECRET_BYTES_MIN) return `it has ${bytes.length} bytes, at least ${SECRET_BYTES_MIN} are needed`
  const distinct = new Set(bytes).size
  if (distinct >= DISTINCT_BYTES_MIN) return undefined
  return `it has ${distinct} different bytes, at least ${DISTINCT_BYTES_MIN} are needed: it was not drawn at random`
}

/** Hex where it can be hex, else base64 or base64url, padded or not. */
function bytesOf(text: string): Buffer | undefined {
  if (/^([0-9a-f]{2})+$/i.test(text)) return Buffer.from(text, 'hex')
  return /^[\w+/-]+={0,2}$/.test(text) ? Buffer.from(text, 'base64url') : undefined
}
