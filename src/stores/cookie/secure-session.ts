import * as crypto from 'node:crypto'
import { createRequire } from 'node:module'
import type * as Ciphers from '@noble/ciphers/salsa.js'
import { type Duration, toMilliseconds } from '../../core/index.ts'
import { type OldCookieOptions, type OldCookies, parseObject } from './old-cookies.ts'

/** Options of {@link fastifySecureSession}: those that @fastify/secure-session was given, `key` or `secret`. */
export interface FastifySecureSessionOptions extends OldCookieOptions {
  /** 32 bytes, or several keys; every one opens. Text is taken as hexadecimal or base64. */
  key?: Uint8Array | string | readonly (Uint8Array | string)[] | undefined
  /** The secret from which the key was derived, with `salt`; needs Node 24.7 or newer. */
  secret?: string | undefined
  /** 16 bytes. Default: the one that @fastify/secure-session takes. */
  salt?: string | Uint8Array | undefined
  /** Default: `'session'`. */
  cookieName?: string | undefined
  /** How long a cookie is good, from when it was made. Default: as there, a day and a second. */
  expiry?: Duration | undefined
}

const KEY_BYTES = 32
const NONCE_BYTES = 24
const EXPIRY_MS = 86_401_000
const DEFAULT_SALT = 'mq9hDxBVDbspDR6n'

/**
 * Reads the cookies of @fastify/secure-session: libsodium's secretbox (XSalsa20-Poly1305) over JSON. Node has no such
 * cipher: install `@noble/ciphers` for as long as you move.
 *
 * @example
 * ```ts
 * cookieStore({ migrateFrom: fastifySecureSession({ key: readFileSync('secret-key'), cookieName: 'session' }) })
 * ```
 */
export function fastifySecureSession(options: FastifySecureSessionOptions): OldCookies {
  const { cookieName = 'session', user } = options
  const keys = keysOf(options)
  const openBox = loadOpener()
  const expiryMs = toMilliseconds('expiry', options.expiry ?? EXPIRY_MS)
  return {
    cookieName,
    user,
    namesIn: (cookies) => (cookies[cookieName] === undefined ? [] : [cookieName]),
    read(cookies, now) {
      const [box = '', nonce = '', ...others] = (cookies[cookieName] ?? '').split(';')
      const nonceBytes = Buffer.from(nonce, 'base64')
      if (nonceBytes.length !== NONCE_BYTES || others.length > 0) return undefined
      for (const key of keys) {
        const text = openBox(key, nonceBytes, Buffer.from(box, 'base64'))
        if (text !== undefined) return dataOf(text, now - expiryMs)
      }
      return undefined
    },
  }
}

/** @throws TypeError where the package is not there */
function loadOpener(): (key: Uint8Array, nonce: Uint8Array, box: Uint8Array) => string | undefined {
  const { xsalsa20poly1305 } = loadCiphers()
  return (key, nonce, box) => {
    try {
      return Buffer.from(xsalsa20poly1305(key, nonce).decrypt(box)).toString('utf8')
    } catch {
      return undefined
    }
  }
}

/** Loaded when it is asked for, since nobody else needs it. */
function loadCiphers(): typeof Ciphers {
  try {
    return createRequire(import.meta.url)('@noble/ciphers/salsa.js') as typeof Ciphers
  } catch (error) {
    throw new TypeError(
      'fastifySecureSession needs the package @noble/ciphers; install it: npm install @noble/ciphers',
      {
        cause: error,
      },
    )
  }
}

/** `__ts` is when it was made, in seconds; a cookie without it is from a version that kept none. */
function dataOf(text: string, madeAfterMs: number): object | undefined {
  const parsed = parseObject(text)
  if (!parsed) return undefined
  const { __ts: madeAt, ...data } = parsed as { __ts?: unknown }
  return typeof madeAt === 'number' && madeAt * 1000 <= madeAfterMs ? undefined : data
}

function keysOf({ key, secret, salt = DEFAULT_SALT }: FastifySecureSessionOptions): Uint8Array[] {
  if (secret !== undefined) return [keyOfSecret(secret, salt)]
  const given = key === undefined ? [] : typeof key === 'string' || key instanceof Uint8Array ? [key] : key
  const keys = given.map((each) =>
    typeof each === 'string' ? Buffer.from(each, /^[\da-f]{64}$/i.test(each) ? 'hex' : 'base64') : each,
  )
  if (keys.length === 0 || keys.some(({ length }) => length !== KEY_BYTES)) {
    throw new TypeError(
      'fastifySecureSession: give the key (32 bytes) or the secret that @fastify/secure-session was given',
    )
  }
  return keys
}

/** libsodium's crypto_pwhash with its moderate limits: Argon2id, three passes over 256 MiB. Half a second, at start. */
function keyOfSecret(secret: string, salt: string | Uint8Array): Uint8Array {
  if (typeof crypto.argon2Sync !== 'function') {
    throw new TypeError(
      'fastifySecureSession: deriving a key from a secret needs Node 24.7 or newer; give the key itself',
    )
  }
  const options = { message: secret, nonce: salt, parallelism: 1, tagLength: KEY_BYTES, memory: 256 * 1024, passes: 3 }
  return crypto.argon2Sync('argon2id', options)
}
