import assert from 'node:assert/strict'
import { createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { createKeyRing, createMac } from '../../src/token/index.ts'
import { checkProperty } from '../support/seed.ts'
import { createSecret } from './secrets.ts'

suite('key ring', () => {
  const good = createSecret()

  test('a missing secret is refused, and the message says how to make one', () => {
    for (const option of [undefined, '', [], [undefined]]) {
      assert.throws(() => createKeyRing(option), { name: 'TypeError', message: /^secret.*randomBytes/ })
    }
    assert.throws(() => createKeyRing([good, undefined]), { name: 'TypeError', message: /^secret 2 is missing/ })
  })

  test('a secret that is no text is refused as such, since it is not missing', () => {
    for (const option of [42, Buffer.from(good), {}]) {
      assert.throws(() => createKeyRing(option as never), { name: 'TypeError', message: /^secret is not text/ })
    }
  })

  test('a short or guessable secret is refused, and the message does not tell it', () => {
    const bad = [
      'Tr0ub4dor&3', good.slice(0, 31), 'a'.repeat(64), 'abcabcabc'.repeat(5), 'keyboard cat keyboard cat keyboard',
      'my-Secret-my-Secret-my-Secret-1234', 'please-change-me-please-change-me-1', 'correct-password-battery-staple-99',
      '0123456789012345678901234567890123', 'this is the default value of our app',
    ] // prettier-ignore
    for (const secret of bad) {
      for (const option of [secret, [good, secret]]) {
        assert.throws(
          () => createKeyRing(option),
          (error) =>
            error instanceof TypeError && !error.message.includes(secret) && /characters|guessable/.test(error.message),
          secret,
        )
      }
    }
  })

  test('a secret as openssl and node make them is accepted', () => {
    for (const encoding of ['hex', 'base64', 'base64url'] as const) createKeyRing(randomBytes(32).toString(encoding))
  })

  test('every purpose has a key of its own, by HKDF-SHA-256', () => {
    const { signing } = createKeyRing(good)
    const purposes = ['token tag', 'seal', 'encryption at rest', 'mesh'] as const
    const keys = purposes.map((purpose) => signing.derive(purpose).toString('hex'))
    assert.equal(new Set(keys).size, purposes.length)
    assert.equal(keys[1], Buffer.from(hkdfSync('sha256', good, '', 'sojourn seal', 32)).toString('hex'))
  })

  test('the first of several secrets signs', () => {
    const other = createSecret()
    const ring = createKeyRing([other, good])
    assert.deepEqual(ring.signing.derive('seal'), createKeyRing(other).signing.derive('seal'))
    assert.equal(ring.all.length, 2)
  })

  test('the fast HMAC equals the one of node, in any order of lengths', () =>
    checkProperty(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.array(fc.uint8Array({ maxLength: 200 }), { minLength: 1, maxLength: 5 }),
        (key, messages) => {
          const mac = createMac(Buffer.from(key), 200)
          for (const message of messages) {
            assert.equal(
              mac(Buffer.from(message)),
              createHmac('sha256', key).update(message).digest().toString('latin1'),
            )
          }
        },
      ),
    ))
})
