import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { createKeyRing, createSealCodec, type SealCodec, shapeOfSeal } from '../../src/token/index.ts'
import { checkProperty } from '../support/seed.ts'
import { createSecret, createSecretBeside } from './secrets.ts'

function codec(secret: string | string[], purpose = 'session', name = 'sid'): SealCodec {
  return createSealCodec(createKeyRing(secret), purpose, name)
}

suite('seals', () => {
  const secret = createSecret()
  const plain = Buffer.from('a session')

  test('any bytes come back, with the shape readable from outside', () =>
    checkProperty(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 0, max: 255 }), (bytes, shape) => {
        const text = codec(secret).seal(Buffer.from(bytes), shape, 'key')
        assert.match(text, /^[\w-]+$/)
        assert.equal(shapeOfSeal(text), shape)
        const opened = { kind: 'valid', plaintext: Buffer.from(bytes), isOfSigner: true }
        assert.deepEqual(codec(secret).open(text, 'key'), opened)
      }),
    ))

  test('one of another key, cookie name, purpose or binding is refused', () => {
    const text = codec(secret).seal(plain, 0, 'key')
    const sameId = codec(createSecretBeside(secret, true))
    for (const other of [
      sameId,
      codec(secret, 'session', 'sid2'),
      codec(secret, 'flash'),
      codec(secret, 'sessio', 'nsid'),
      createSealCodec(createKeyRing(secret), 'session', 'sid', 'encryption at rest'),
    ]) {
      assert.deepEqual(other.open(text, 'key'), { kind: 'refused' })
    }
    for (const boundTo of ['', 'ke', 'key2']) assert.deepEqual(codec(secret).open(text, boundTo), { kind: 'refused' })
  })

  test('two seals of one text share nothing, so that no nonce is used twice', () => {
    const texts = Array.from({ length: 1_000 }, () => codec(secret).seal(plain, 0, 'key'))
    const one = codec(secret)
    for (let n = 0; n < 1_000; n++) texts.push(one.seal(plain, 0, 'key'))
    assert.equal(new Set(texts.map((text) => text.slice(4, 36))).size, texts.length)
  })

  test('secrets roll: the first seals, all open, and one that is not there is told from a forgery', () => {
    const next = createSecretBeside(secret, false)
    const old = codec(secret).seal(plain, 0, 'key')
    const both = codec([next, secret])
    assert.partialDeepStrictEqual(both.open(old, 'key'), { kind: 'valid', isOfSigner: false })
    const fresh = both.seal(plain, 0, 'key')
    assert.equal(codec([secret, next]).open(fresh, 'key').kind, 'valid')
    assert.equal(codec(next).open(fresh, 'key').kind, 'valid')
    assert.equal(codec(secret).open(fresh, 'key').kind, 'unknownSecret')
    const alike = codec([createSecretBeside(secret, true), secret])
    assert.equal(alike.open(old, 'key').kind, 'valid', 'two secrets with one key id')
  })

  test('a text with any bit changed, cut, lengthened or spelled otherwise is never opened', () => {
    const opener = codec(secret)
    const text = opener.seal(plain, 3, 'key')
    const bytes = Buffer.from(text, 'base64url')
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const copy = Buffer.from(bytes)
      copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      assert.notEqual(opener.open(copy.toString('base64url'), 'key').kind, 'valid', `bit ${bit}`)
    }
    const spellings = [
      `${text}=`,
      `${text}A`,
      ` ${text}`,
      `${text}\n`,
      text.slice(1),
      text.slice(0, -1),
      '',
      'é',
      text + text,
    ]
    const standard = bytes.toString('base64')
    if (standard !== text) spellings.push(standard)
    for (const spelling of spellings)
      assert.notEqual(opener.open(spelling, 'key').kind, 'valid', JSON.stringify(spelling))
  })

  test('the spare bits of the last character count', () => {
    const opener = codec(secret)
    const text = opener.seal(Buffer.from('123456'), 0, 'key') // 49 bytes: four spare bits
    const last = text.at(-1) ?? ''
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const other = text.slice(0, -1) + (alphabet[alphabet.indexOf(last) + 1] ?? '')
    assert.deepEqual(Buffer.from(other, 'base64url'), Buffer.from(text, 'base64url'))
    assert.deepEqual(opener.open(other, 'key'), { kind: 'refused' })
  })
})
