import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

const root = new URL('../../src/', import.meta.url)
const comparison = /(typeof )?([\w.#)\]]+) *[!=]==? *([\w.#'"]+)/g
/** What an attacker must not learn byte by byte. */
const secretName = /(^|[.#a-z])(tag|mac|signature|digest|secret)(bytes|text)?$/i

/** Comparisons of secrets by their value; whether one is there at all is none. */
function comparisons(text: string): string[] {
  const code = text.replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, '')
  return [...code.matchAll(comparison)]
    .filter(([, isOfType, left = '', right = '']) => {
      const isOfPresence = /^(undefined|null|''|"")$/.test(right) || isOfType !== undefined
      return !isOfPresence && (secretName.test(left) || secretName.test(right))
    })
    .map(([found]) => found)
}

test('tags, digests and secrets are compared through timingSafeEqual alone (a lint rule forbids Buffer.equals)', () => {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  assert(files.length > 50)
  const found = files.flatMap((name) => comparisons(readFileSync(new URL(name, root), 'utf8')).map((each) => `${name}: ${each}`)) // prettier-ignore
  assert.deepEqual(found, [])
})

test('such a comparison would be found', () => {
  for (const line of ['if (tag === other) {', 'return theirs !== expectedTag', 'macBytes == x', 'a.digest === b']) {
    assert.equal(comparisons(line).length, 1, line)
  }
  const harmless = ["secret === undefined || secret === ''", 'tag.length === 16', "typeof secret !== 'string'", 'timingSafeEqual(tag, other)'] // prettier-ignore
  for (const line of harmless) assert.deepEqual(comparisons(line), [], line)
})
