import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { suite, test } from 'node:test'
import { createXaes } from '../../src/token/index.ts'

/** The two fixed vectors of the specification (c2sp.org/XAES-256-GCM, v1.0.1): one for each top bit of L. */
const FIXED = [
  {
    key: '01'.repeat(32),
    nonce: '4142434445464748494a4b4c4d4e4f505152535455565758',
    plaintext: '584145532d3235362d47434d',
    additional: '',
    sealed: 'ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271',
  },
  {
    key: '03'.repeat(32),
    nonce: '4142434445464748494a4b4c4d4e4f505152535455565758',
    plaintext: '584145532d3235362d47434d',
    additional: '633273702e6f72672f584145532d3235362d47434d',
    sealed: '986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d',
  },
].map((vector) => ({
  key: Buffer.from(vector.key, 'hex'),
  nonce: Buffer.from(vector.nonce, 'hex'),
  plaintext: Buffer.from(vector.plaintext, 'hex'),
  additional: Buffer.from(vector.additional, 'hex'),
  sealed: Buffer.from(vector.sealed, 'hex'),
}))

/** SHAKE-128 of all ciphertexts of the specification's accumulated test. */
const ACCUMULATED = {
  10_000: 'e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939',
  1_000_000: '2163ae1445985a30b60585ee67daa55674df06901b890593e824b8a7c885ab15',
}

/** The specification's source of inputs: SHAKE-128 of nothing, as one long output. */
function createStream(bytes: number): (length: number) => Buffer {
  const output = createHash('shake128', { outputLength: bytes }).digest()
  let at = 0
  return (length) => {
    at += length
    if (at > output.length) throw new RangeError('the stream is over')
    return output.subarray(at - length, at)
  }
}

function accumulate(iterations: number): string {
  const next = createStream(iterations * (32 + 24 + 2 + 2 * 255))
  const digest = createHash('shake128', { outputLength: 32 })
  for (let n = 0; n < iterations; n++) {
    const [key, nonce] = [next(32), next(24)]
    const plaintext = next(next(1)[0] ?? 0)
    const additional = next(next(1)[0] ?? 0)
    const xaes = createXaes(key)
    const sealed = xaes.seal(nonce, plaintext, additional)
    digest.update(sealed)
    if (n % 10 === 0) assert.deepEqual(xaes.open(nonce, sealed, additional), plaintext)
  }
  return digest.digest('hex')
}

suite('XAES-256-GCM', () => {
  test('seals and opens the fixed vectors of the specification', () => {
    for (const { key, nonce, plaintext, additional, sealed } of FIXED) {
      const xaes = createXaes(key)
      assert.deepEqual(xaes.seal(nonce, plaintext, additional), sealed)
      assert.deepEqual(xaes.open(nonce, sealed, additional), plaintext)
    }
  })

  const iterations = process.env['XAES_ALL'] === '1' ? 1_000_000 : 10_000
  test(`agrees with the specification on ${iterations} accumulated seals (XAES_ALL=1: a million)`, () => {
    assert.equal(accumulate(iterations), ACCUMULATED[iterations])
  })

  test('opens nothing with one bit of nonce, ciphertext, tag or additional data changed, nor a part of it', () => {
    for (const { key, nonce, additional, sealed } of FIXED) {
      const xaes = createXaes(key)
      for (const bit of bitsOf(sealed)) assert.equal(xaes.open(nonce, flip(sealed, bit), additional), undefined)
      for (const bit of bitsOf(nonce)) assert.equal(xaes.open(flip(nonce, bit), sealed, additional), undefined)
      for (const bit of bitsOf(additional)) assert.equal(xaes.open(nonce, sealed, flip(additional, bit)), undefined)
      for (let length = 0; length < sealed.length; length++) {
        assert.equal(xaes.open(nonce, sealed.subarray(0, length), additional), undefined, `${length} bytes`)
        assert.equal(xaes.open(nonce, sealed.subarray(length + 1), additional), undefined)
      }
      assert.equal(xaes.open(nonce, sealed, Buffer.concat([additional, Buffer.from([0])])), undefined)
      assert.equal(createXaes(flip(key, 7)).open(nonce, sealed, additional), undefined)
    }
  })

  test('a nonce of another length is a mistake of the caller', () => {
    const xaes = createXaes(Buffer.alloc(32, 9))
    for (const length of [0, 12, 23, 25]) {
      assert.throws(() => xaes.seal(Buffer.alloc(length), Buffer.alloc(1), Buffer.alloc(0)), RangeError)
    }
  })
})

function bitsOf(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length * 8 }, (_, bit) => bit)
}

function flip(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return copy
}
