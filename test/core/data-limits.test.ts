import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { SessionFields } from '../../src/core/data.ts'
import { FIELD_BYTES_MAX, FIELD_NAME_LENGTH_MAX, FIELDS_MAX } from '../../src/core/limits.ts'

function openEmpty(): { fields: SessionFields; data: Record<string, unknown> } {
  const fields = new SessionFields(new Map(), {})
  return { fields, data: fields.proxy as Record<string, unknown> }
}

suite('session data: limits', () => {
  test('a field of 256 KiB is kept, one byte more is refused by its name; bytes count, not characters', () => {
    const { fields, data } = openEmpty()
    data['text'] = 'a'.repeat(FIELD_BYTES_MAX - 2)
    assert.equal(fields.changes().get('text')?.length, FIELD_BYTES_MAX)
    data['text'] = 'a'.repeat(FIELD_BYTES_MAX - 1)
    assert.throws(() => fields.changes(), { code: 'session_too_large', status: 413, field: 'text', message: /"text"/ })
    data['text'] = 'é'.repeat(FIELD_BYTES_MAX / 2)
    assert.throws(() => fields.changes(), { code: 'session_too_large' })
  })

  test('a session above its limit is refused, and its largest fields are named', () => {
    const { fields, data } = openEmpty()
    Object.assign(data, { a: 'x'.repeat(10), b: 'x'.repeat(400), c: 'x'.repeat(300), d: 'x'.repeat(200) })
    const changes = fields.changes()
    const bytes = 10 + 400 + 300 + 200 + 4 * 2 + 4
    fields.checkSize(changes, bytes)
    assert.throws(() => fields.checkSize(changes, bytes - 1), {
      code: 'session_too_large',
      field: 'b',
      message: /"b" \(403 bytes\), "c" \(303 bytes\), "d" \(203 bytes\)/,
    })
  })

  test('what is stored counts, what is replaced or removed does not', () => {
    const { fields, data } = openEmpty()
    data['a'] = 'x'.repeat(100)
    data['b'] = 'x'.repeat(100)
    fields.applied(fields.changes(), { incarnation: 0, sequence: 1 })
    data['c'] = 1
    assert.throws(() => fields.checkSize(fields.changes(), 150), { code: 'session_too_large' })
    delete data['a']
    fields.checkSize(fields.changes(), 150)
  })

  test('more than 1000 different fields are refused', () => {
    const { fields, data } = openEmpty()
    for (let index = 0; index < FIELDS_MAX; index += 1) data[`f${index}`] = 1
    fields.checkSize(fields.changes(), Infinity)
    data['one more'] = 1
    assert.throws(() => fields.checkSize(fields.changes(), Infinity), { code: 'session_too_large', message: /1001/ })
  })

  test('a name that is too long or not well-formed text is refused', () => {
    const longest = 'n'.repeat(FIELD_NAME_LENGTH_MAX)
    for (const name of [longest, '', ' ', 'a.b', '😀', '\0']) {
      const { fields, data } = openEmpty()
      data[name] = 1
      assert.equal(fields.changes().get(name), '1')
    }
    for (const name of [`${longest}n`, '\ud800', 'a\udc00b']) {
      const { fields, data } = openEmpty()
      data[name] = 1
      assert.throws(() => fields.changes(), { code: 'unstorable_value', status: 500 })
      assert.deepEqual(fields.changedNames, [name])
    }
  })
})
