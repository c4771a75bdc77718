import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import * as errors from '../../src/core/errors.ts'

const root = new URL('../../', import.meta.url)
const sourceOf = (path: string): string => readFileSync(new URL(path, root), 'utf8')

const union = /type SojournErrorCode =([^]*?)\n\n/.exec(sourceOf('src/core/errors.ts'))?.[1] ?? ''
const codes = [...union.matchAll(/'(\w+)'/g)].map(([, code]) => code ?? '')

/** The rows of the table in the documentation: code, status, class, meaning, what to do. */
const rows = sourceOf('docs/errors.md')
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.replaceAll('`', '').trim()),
  )

const instances: errors.SojournError[] = [
  new errors.StoreUnavailableError(''),
  new errors.StoreTimeoutError(''),
  new errors.StoreFullError(''),
  new errors.SessionSupersededError(),
  new errors.SessionGoneError(),
  new errors.SessionTooLargeError(''),
  new errors.UnstorableValueError('f', ''),
  new errors.SessionInvalidError(''),
]

suite('errors', () => {
  test('the documentation lists every code, in the order of the type, with meaning and advice', () => {
    assert(codes.length > 10)
    assert.deepEqual(
      rows.map(([code]) => code),
      codes,
    )
    for (const row of rows) assert(row.length === 5 && row.every((cell) => cell !== ''), row[0])
  })

  test('the documented status and class are those of the code', () => {
    const documented = new Map(rows.map(([code, status, name]) => [code, `${status} ${name}`]))
    for (const { code, status, name } of instances) assert.equal(documented.get(code), `${status} ${name}`)

    const inline = new Set<string>()
    for (const file of readdirSync(new URL('src/core/', root), { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts')) continue
      const made = sourceOf(`src/core/${file}`).matchAll(/new SojournError\(\s*'(\w+)',\s*(\d{3})/g)
      for (const [, code = '', status = ''] of made) {
        inline.add(code)
        assert.equal(documented.get(code)?.split(' ')[0], status, code)
      }
    }
    const ofClasses = instances.map(({ code }) => code)
    assert.deepEqual([...new Set([...inline, ...ofClasses])].toSorted(), codes, 'every code is raised somewhere')
  })

  test('every one has what frameworks answer by, and is known by its class', () => {
    for (const error of instances) {
      assert(error instanceof errors.SojournError && error instanceof Error)
      assert.equal(error.statusCode, error.status)
      assert.deepEqual(error.headers, error.status === 503 ? { 'retry-after': '1' } : {})
      assert.match(error.stack ?? '', new RegExp(`^${error.name}`))
    }
  })
})
