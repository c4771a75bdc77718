import { createHmac, hash, randomBytes, timingSafeEqual } from 'node:crypto'
import { parseCookie } from 'cookie'

/** How a library puts the identifier of a session into a cookie. */
export interface SignedIdFormat {
  readonly cookieName: string
  /** What stands before the identifier: `s:` where express-session wrote it. */
  readonly valuePrefix: string
  /** The first signs, all verify. */
  readonly secrets: readonly string[]
  /** Of the HMAC. */
  readonly algorithm: string
}

/** `prefix id . signature`, where the signature is an HMAC in base64 without padding, as the package cookie-signature makes it. */
export function toSignedValue(id: string, { valuePrefix, secrets, algorithm }: SignedIdFormat): string {
  return `${valuePrefix}${id}.${signatureOf(id, secrets[0] ?? '', algorithm)}`
}

/** The identifier in a Cookie header; `undefined` where there is none, or its signature is of no secret. */
export function readSignedId(header: string, format: SignedIdFormat): string | undefined {
  const { cookieName, valuePrefix, secrets, algorithm } = format
  if (!header.includes(cookieName)) return undefined
  const value = parseCookie(header)[cookieName]
  if (!value?.startsWith(valuePrefix)) return undefined
  const end = value.lastIndexOf('.')
  const id = value.slice(valuePrefix.length, end)
  if (end <= valuePrefix.length || id === '') return undefined
  const given = Buffer.from(value.slice(end + 1))
  const isSigned = secrets.some((secret) => {
    const expected = Buffer.from(signatureOf(id, secret, algorithm))
    return expected.length === given.length && timingSafeEqual(expected, given)
  })
  return isSigned ? id : undefined
}

function signatureOf(id: string, secret: string, algorithm: string): string {
  return createHmac(algorithm, secret).update(id).digest('base64').replace(/=+$/, '')
}

const SELECTOR_BYTES = 16
const SECRET_BYTES = 16
/** Of ours; the other libraries take any text for an identifier. */
const OWN_ID = /^sojourn-([\w-]{22})-[\w-]{22}$/

/**
 * The selector of the session that takes over the old one with this identifier. It does not depend on our secrets, which
 * differ between nodes while they roll; nobody can make a token of a selector without them.
 */
export function selectorOfId(id: string): Buffer {
  const own = OWN_ID.exec(id)?.[1]
  if (own !== undefined) return Buffer.from(own, 'base64url')
  return Buffer.from(hash('sha256', `sojourn old session ${id}`, 'base64url'), 'base64url').subarray(0, SELECTOR_BYTES)
}

/** A new identifier that leads to this selector. */
export function createIdFor(selector: Buffer): string {
  return `sojourn-${selector.toString('base64url')}-${randomBytes(SECRET_BYTES).toString('base64url')}`
}
