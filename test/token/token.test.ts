import assert from 'node:assert/strict'
import { createHash, createHmac, hkdfSync } from 'node:crypto'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { createSelector, keyOfSelector } from '../../src/token/index.ts'
import { checkProperty } from '../support/seed.ts'
import { codecOf, createSecret, createSecretBeside } from './secrets.ts'

const generationMax = 2 ** 31 - 1
const boundaries = [
  0,
  1,
  2,
  127,
  128,
  129,
  2 ** 14 - 1,
  2 ** 14,
  2 ** 21 - 1,
  2 ** 21,
  2 ** 28 - 1,
  2 ** 28,
  generationMax,
]
const generations = fc.oneof(fc.constantFrom(...boundaries), fc.integer({ min: 0, max: generationMax }))
const issues = fc.oneof(fc.constantFrom(0, 1, 2 ** 24 - 1), fc.integer({ min: 0, max: 2 ** 24 - 1 }))
const selectors = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes))

const texts = fc.string({
  unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)),
  maxLength: 60,
})

const secret = createSecret()
const codec = codecOf(secret)

const keyOf = (purpose: string): Buffer => Buffer.from(hkdfSync('sha256', secret, '', `sojourn ${purpose}`, 32))

/** The bytes of a token as the format's documentation says them, with node's own HKDF and HMAC. */
function documentedToken(selector: Buffer, generation: readonly number[], name = 'sid'): string {
  const body = Buffer.concat([Buffer.of(1), keyOf('key id').subarray(0, 1), selector, Buffer.from(generation)])
  const tag = createHmac('sha256', keyOf('token tag')).update(body).update(name).digest().subarray(0, 16)
  return Buffer.concat([body, tag]).toString('base64url')
}

suite('token', () => {
  test('what was written is read, at every length of the generation, with an issue and without', () =>
    checkProperty(
      fc.property(selectors, generations, issues, (selector, generation, issue) => {
        const token = codec.encode(selector, generation, issue)
        for (const time of ['first', 'again']) {
          const reading = codec.read(token)
          assert.ok(reading.kind === 'valid', time)
          assert.deepEqual(reading.selector, selector)
          const { key, isOfSigner } = reading
          assert.deepEqual([key, reading.generation, reading.issue], [keyOfSelector(selector), generation, issue])
          assert.equal(isOfSigner, true)
        }
      }),
    ))

  test('the bytes are those of the documentation, the tag is the HMAC of node', () => {
    const selector = createSelector()
    const varints: [number, number[]][] = [
      [0, [0]],
      [1, [1]],
      [127, [127]],
      [128, [0x80, 1]],
      [300, [0xac, 2]],
      [2 ** 14, [0x80, 0x80, 1]],
      [generationMax, [0xff, 0xff, 0xff, 0xff, 7]],
    ]
    for (const [generation, varint] of varints) {
      assert.equal(codec.encode(selector, generation), documentedToken(selector, varint))
    }
    assert.equal(codec.encode(selector, 300, 0x010203), documentedToken(selector, [0xac, 2, 1, 2, 3]))
    const longName = '__Host-'.padEnd(200, 'x')
    assert.equal(codecOf(secret, longName).encode(selector, 5), documentedToken(selector, [5], longName))
  })

  test('a generation or a selector out of bounds is a programming error', () => {
    for (const generation of [-1, 0.5, generationMax + 1, Number.NaN]) {
      assert.throws(() => codec.encode(createSelector(), generation), RangeError)
    }
    assert.throws(() => codec.encode(Buffer.alloc(15), 1), RangeError)
  })

  test('a selector is random; its key is its SHA-256 in base64url', () => {
    const selector = createSelector()
    assert.equal(selector.length, 16)
    assert.notDeepEqual(selector, createSelector())
    assert.equal(keyOfSelector(selector), createHash('sha256').update(selector).digest('base64url'))
    assert.equal(keyOfSelector(selector).length, 43)
  })
})

suite('token: what is refused', () => {
  test('every single flipped bit, as forged; of the key id, as of an unknown secret', () => {
    for (const generation of [1, 200]) {
      const bytes = Buffer.from(codec.encode(createSelector(), generation), 'base64url')
      for (let bit = 0; bit < bytes.length * 8; bit += 1) {
        const flipped = Buffer.from(bytes)
        const index = bit >> 3
        flipped[index] = (flipped[index] ?? 0) ^ (1 << (bit & 7))
        const expected = index === 1 ? 'unknownSecret' : 'refused'
        assert.equal(codec.read(flipped.toString('base64url')).kind, expected, `bit ${bit}`)
      }
    }
  })

  test('every text but the canonical one: padding, the other alphabet, white space, trailing bits', () => {
    const withBoth = (): string => {
      for (;;) {
        const token = codec.encode(createSelector(), 1)
        if (token.includes('-') && token.includes('_')) return token
      }
    }
    const token = withBoth()
    assert.equal(codec.read(token).kind, 'valid')
    const last = token.at(-1) ?? ''
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const trailing = alphabet[alphabet.indexOf(last) + 1] ?? ''
    assert.deepEqual(Buffer.from(token.slice(0, -1) + trailing, 'base64url'), Buffer.from(token, 'base64url'))
    const spellings = [
      `${token}=`, `${token}==`, token.replaceAll('-', '+'), token.replaceAll('_', '/'), ` ${token}`, `${token} `,
      `${token}\n`, `${token.slice(0, 9)}\n${token.slice(9)}`, `${token.slice(0, 9)}.${token.slice(9)}`, `"${token}"`,
      `${token}\0`, `${token}A`, token.slice(0, -1), token.slice(0, -1) + trailing, '', '=', token.repeat(2),
    ] // prettier-ignore
    for (const spelling of spellings) assert.equal(codec.read(spelling).kind, 'refused', JSON.stringify(spelling))
  })

  test('a generation that is not in its shortest form, or above the largest, although its tag is right', () => {
    const selector = createSelector()
    assert.equal(codec.read(documentedToken(selector, [5])).kind, 'valid')
    const forms = [
      [],
      [0x85, 0],
      [0x85, 0x80, 0],
      [0x80],
      [5, 5],
      [5, 0, 1],
      [5, 0, 0, 0],
      [5, 0, 0, 0, 1],
      [0xff, 0xff, 0xff, 0xff, 8],
      [0x80, 0x80, 0x80, 0x80, 0x80, 1],
    ]
    for (const form of forms) assert.equal(codec.read(documentedToken(selector, form)).kind, 'refused', String(form))
  })

  test('arbitrary bytes and arbitrary text, without a throw', () =>
    checkProperty(
      fc.property(fc.uint8Array({ maxLength: 60 }), texts, (bytes, text) => {
        assert.notEqual(codec.read(Buffer.from([1, ...bytes]).toString('base64url')).kind, 'valid')
        assert.notEqual(codec.read(text).kind, 'valid')
      }),
    ))

  test('a token of another cookie name', () => {
    for (const [written, read] of [
      ['sid', 'sid2'],
      ['sid2', 'sid'],
      ['__Host-sid', 'sid'],
    ] as const) {
      const token = codecOf(secret, written).encode(createSelector(), 1)
      assert.equal(codecOf(secret, read).read(token).kind, 'refused')
    }
  })

  test('a token of another secret: as unknown, or as forged where both have one key id', () => {
    const token = codec.encode(createSelector(), 1)
    assert.equal(codecOf(createSecretBeside(secret, false)).read(token).kind, 'unknownSecret')
    assert.equal(codecOf(createSecretBeside(secret, true)).read(token).kind, 'refused')
  })
})

suite('token: rolling secrets', () => {
  test('the first signs, all open', () => {
    const [first, second] = [createSecret(), createSecret()]
    const token = codecOf([first, second]).encode(createSelector(), 1)
    assert.equal(codecOf(first).read(token).kind, 'valid')
    const opened = codecOf([second, first]).read(token)
    assert(opened.kind === 'valid' && !opened.isOfSigner)
    assert.notEqual(codecOf(second).read(token).kind, 'valid')
  })

  test('two secrets with one key id both open', () => {
    const other = createSecretBeside(secret, true)
    for (const ring of [
      [secret, other],
      [other, secret],
    ]) {
      for (const signer of ring) {
        assert.equal(codecOf(ring).read(codecOf(signer).encode(createSelector(), 7)).kind, 'valid')
      }
    }
  })

  test('[old, new], then [new, old], then [new]: no node refuses a token of its neighbour in the roll', () => {
    const [old, young] = [createSecret(), createSecret()]
    const steps = [[old], [old, young], [young, old], [young]]
    for (const [index, step] of steps.entries()) {
      for (const neighbour of steps.slice(Math.max(0, index - 1), index + 2)) {
        const isRolledPast = step.length === 1 && neighbour[0] !== step[0]
        const token = codecOf(neighbour).encode(createSelector(), 1)
        assert.equal(codecOf(step).read(token).kind === 'valid', !isRolledPast, `${index}`)
      }
    }
  })
})
