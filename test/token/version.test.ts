import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { compareVersions, formatVersion, parseVersion } from '../../src/token/index.ts'
import { checkProperty } from '../support/seed.ts'

/** Ten digits in base 36: a millisecond for each change since 1970 would fit 2,000 times. */
const counts = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 36 ** 10 - 1 }))
const versions = fc.record({ incarnation: counts, sequence: counts }, { noNullPrototype: true })

suite('hint', () => {
  test('a version that was written is read', () =>
    checkProperty(fc.property(versions, (version) => assert.deepEqual(parseVersion(formatVersion(version)), version))))

  test('only what was written is read: one text for each version', () =>
    checkProperty(
      fc.property(fc.stringMatching(/^[0-9a-zA-Z.+ -]{0,12}\.?[0-9a-z]{0,12}$/), (text) => {
        const version = parseVersion(text)
        if (version) assert.equal(formatVersion(version), text)
      }),
    ))

  test('any other text is no hint', () => {
    const texts = [
      '',
      '.',
      '1',
      '1.',
      '.1',
      '1.1.1',
      '01.1',
      '1.01',
      '-1.1',
      '1.-1',
      '1e3.1 ',
      ' 1.1',
      '1.1\n',
      'A.1',
      '1.A',
      '1,1',
      'NaN.1',
      '1.zzzzzzzzzzz',
      '٣.1',
      '%31.1',
    ]
    for (const text of texts) assert.equal(parseVersion(text), undefined, JSON.stringify(text))
  })

  test('the incarnation orders before the sequence', () => {
    const ordered = [
      { incarnation: 0, sequence: 9 },
      { incarnation: 1, sequence: 0 },
      { incarnation: 1, sequence: 1 },
      { incarnation: 2, sequence: 0 },
    ]
    for (const [index, a] of ordered.entries()) {
      for (const [other, b] of ordered.entries())
        assert.equal(Math.sign(compareVersions(a, b)), Math.sign(index - other))
    }
  })
})
