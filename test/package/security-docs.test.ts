import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { laws } from '../../src/laws/index.ts'

const root = new URL('../../', import.meta.url)
const text = readFileSync(new URL('docs/security.md', root), 'utf8')

test('docs/security.md names tests that exist, by file and title', () => {
  const named = [...text.matchAll(/`(test\/[\w./-]+)`: "([^"]+)"/g)]
  assert(named.length > 10)
  for (const [, file = '', title = ''] of named) {
    assert(readFileSync(new URL(file, root), 'utf8').includes(`test('${title}'`), `${file} has no test "${title}"`)
  }
  const files = [...text.matchAll(/`test\//g)]
  assert.equal(files.length, named.length, 'each file comes with a title')
})

test('docs/security.md names laws that exist', () => {
  const known = new Set(laws.map(({ id }) => id))
  const named = [...text.matchAll(/\blaws? ((?:`[\w-]+`(?:, )?)+)/g)].flatMap(
    ([, list = '']) => list.match(/[\w-]+/g) ?? [],
  )
  assert(named.length > 20)
  for (const id of named) assert(known.has(id), `there is no law ${id}`)
})

test('docs/security.md has a line for each requirement of ASVS 5.0 V7', () => {
  const counts = { '7.1': 3, '7.2': 4, '7.3': 2, '7.4': 5, '7.5': 3, '7.6': 2 }
  const wanted = Object.entries(counts).flatMap(([section, count]) => Array.from({ length: count }, (_, n) => `${section}.${n + 1}`)) // prettier-ignore
  assert.deepEqual(
    [...text.matchAll(/^\| (7\.\d\.\d) +\|/gm)].map(([, id]) => id),
    wanted,
  )
})
