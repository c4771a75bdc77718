import assert from 'node:assert/strict'
import { mock, suite, test } from 'node:test'
import { encodeValue } from '../../src/core/codec.ts'
import { SessionFields } from '../../src/core/data.ts'
import { checkProperty } from '../support/seed.ts'
import * as fc from 'fast-check'
import type { StoredField } from '../../src/core/record.ts'

const stamp = { incarnation: 0, sequence: 1 }

/** Stored fields, encoded from values; what a test needs broken it gives as `damaged`. */
function storedFields(values: object, damaged: Record<string, string | null> = {}): Map<string, StoredField> {
  const encoded = Object.entries(values).map(([name, value]): [string, string] => [name, encodeValue(name, value)])
  return new Map([...encoded, ...Object.entries(damaged)].map(([name, value]) => [name, { stamp, value }]))
}

function open<Data extends object>(values: Data, initial: object = {}): { fields: SessionFields; data: Data } {
  const fields = new SessionFields(storedFields(values), initial)
  return { fields, data: fields.proxy as Data }
}

const changesOf = (fields: SessionFields): object => Object.fromEntries(fields.changes())

suite('session data: what is noticed', () => {
  test('nested mutation, in plain data and in exact data', () => {
    const { fields, data } = open({ cart: { items: [{ n: 1 }] }, seen: new Map([['a', new Set([1])]]), other: [1] })
    data.cart.items[0] = { n: 2 }
    data.seen.get('a')?.add(2)
    assert.deepEqual([...fields.changes().keys()], ['cart', 'seen'])
    assert.equal(fields.changes().get('cart'), '{"items":[{"n":2}]}')
  })

  test('nothing, where a field was read only, or changed and changed back', () => {
    const { fields, data } = open({ cart: [1], at: new Date(5), n: 1 })
    assert.deepEqual([data.cart.length, data.at.getTime(), data.n], [1, 5, 1])
    data.cart.push(2)
    data.cart.pop()
    assert.deepEqual(changesOf(fields), {})
    assert.equal(fields.isChanged, false)
  })

  test('an assignment of an equal value is no change, of another it is', () => {
    const { fields, data } = open({ n: 1, cart: [1], at: new Date(5) }, { theme: 'light' })
    Object.assign(data, { n: 1, cart: [1], at: new Date(5), theme: 'light' })
    assert.deepEqual(changesOf(fields), {})
    Object.assign(data, { n: -0, cart: [1, 2] })
    assert.deepEqual(changesOf(fields), { n: '~-6', cart: '[1,2]' })
  })

  test('deletion, of a stored field and of one from initial; what was never there is not deleted', () => {
    const { fields, data } = open<Record<string, unknown>>({ a: 1 }, { b: 2 })
    delete data['a']
    delete data['b']
    delete data['c']
    assert.deepEqual(changesOf(fields), { a: null, b: null })
    assert.deepEqual(Object.keys(data), [])
    data['a'] = 1
    assert.deepEqual(changesOf(fields), { b: null })
  })

  test('random edits leave what a plain object would have', () =>
    checkProperty(
      fc.property(
        fc.array(
          fc.record({
            edit: fc.constantFrom('assign', 'delete', 'push', 'read', 'write'),
            name: fc.constantFrom('a', 'b', 'c', '__proto__', 'toString'),
            value: fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 2 }),
          }),
        ),
        (steps) => {
          const stored = storedFields({ a: [0] })
          const initial = Object.defineProperty({ b: [1] }, '__proto__', { value: [2], enumerable: true })
          const fields = new SessionFields(stored, initial)
          const data = fields.proxy as Record<string, number[]>
          const model = new Map<string, number[]>([
            ['a', [0]],
            ['b', [1]],
            ['__proto__', [2]],
          ])
          let sequence = 1
          for (const { edit, name, value } of steps) {
            if (edit === 'assign') {
              data[name] = [...value]
              model.set(name, [...value])
            }
            if (edit === 'delete') assert.equal(delete data[name], model.delete(name) || true)
            if (edit === 'push') for (const list of [data[name], model.get(name)]) if (model.has(name)) list?.push(9)
            if (edit === 'read' && model.has(name)) assert.deepEqual(data[name], model.get(name))
            if (edit === 'write') {
              const changes = fields.changes()
              sequence += 1
              for (const [field, text] of changes)
                stored.set(field, { stamp: { incarnation: 0, sequence }, value: text })
              fields.applied(changes, { incarnation: 0, sequence })
              assert.equal(fields.isChanged, false)
            }
          }
          for (const [field, text] of fields.changes()) stored.set(field, { stamp, value: text })
          const later = new SessionFields(stored, initial).proxy as Record<string, number[]>
          assert.deepEqual(new Map(Object.entries(later)), model)
          assert.deepEqual(Object.keys(data).toSorted(), [...model.keys()].toSorted())
        },
      ),
      { runs: 500 },
    ))
})

/** What JSON does while the work runs: the codec decodes and encodes plain data by nothing else. */
function countJson(work: () => void): { decoded: string[]; encodedCount: number } {
  const parse = mock.method(JSON, 'parse')
  const stringify = mock.method(JSON, 'stringify')
  try {
    work()
    return { decoded: parse.mock.calls.map((call) => call.arguments[0]), encodedCount: stringify.mock.callCount() }
  } finally {
    parse.mock.restore()
    stringify.mock.restore()
  }
}

suite('session data: what is not touched costs nothing', () => {
  test('a field is decoded when it is read, once, and encoded again only where it was read as an object', () => {
    const { fields, data } = open({ cart: [1], big: ['x'], n: 1, text: 'a' })
    const { decoded, encodedCount } = countJson(() => {
      assert.equal(data.n + data.n, 2)
      data.cart.push(data.cart.length)
      assert.deepEqual([...fields.changes().keys()], ['cart'])
      fields.checkSize(fields.changes(), 1000)
    })
    assert.deepEqual(decoded, ['1', '[1]'])
    assert.equal(encodedCount, 2, 'once for each of the two calls of changes')
  })

  test('a damaged field does no harm until it is read, and can be overwritten', () => {
    const fields = new SessionFields(storedFields({ a: 1 }, { bad: '{' }), {})
    const data = fields.proxy as { a: number; bad: unknown }
    assert.equal(data.a, 1)
    assert('bad' in data)
    assert.deepEqual(changesOf(fields), {})
    assert.throws(() => data.bad, { code: 'session_invalid', field: 'bad' })
    data.bad = 'new'
    assert.equal(data.bad, 'new')
    assert.deepEqual(changesOf(fields), { bad: '"new"' })
  })
})

suite('session data: initial', () => {
  test('a field new in initial reads as its value there, and is written only once it is changed', () => {
    const { fields, data } = open<{ a: number; list: number[]; n: number }>({ a: 1 } as never, {
      a: 5,
      list: [1],
      n: 2,
    })
    assert.deepEqual([data.a, data.list, data.n], [1, [1], 2])
    assert.deepEqual(changesOf(fields), {})
    data.list.push(2)
    assert.deepEqual(changesOf(fields), { list: '[1,2]' })
  })

  test('a removed field stays removed, although initial has it', () => {
    const fields = new SessionFields(storedFields({}, { a: null }), { a: 1, b: 2 })
    assert.deepEqual(fields.names, ['b'])
    assert.deepEqual([...fields.changes(true).keys()], ['b'])
  })

  test('objects of initial are not shared between visitors, read, written or replaced', () => {
    const shared = { list: [] as number[], deep: { at: new Map<string, number>() } }
    for (const prepare of ['read', 'write'] as const) {
      const fields = new SessionFields(new Map(), shared)
      const data = fields.proxy as typeof shared
      if (prepare === 'write') fields.applied(fields.changes(true), stamp)
      data.list.push(1)
      data.deep.at.set('a', 1)
      assert.deepEqual([...fields.changes().keys()], ['list', 'deep'])
    }
    assert.deepEqual(shared, { list: [], deep: { at: new Map() } })
  })

  test('a new session is written whole', () => {
    const { fields, data } = open<Record<string, unknown>>({}, { a: 1, b: [2], c: 3 })
    assert.equal(fields.isChanged, false)
    delete data['c']
    assert.equal(fields.isChanged, true)
    assert.deepEqual(Object.fromEntries(fields.changes(true)), { a: '1', b: '[2]', c: null })
  })

  test('reset gives the initial value, or removes', () => {
    const { fields, data } = open({ a: 9, b: 9 })
    fields.reset('a', { a: 1 })
    fields.reset('b', { a: 1 })
    assert.deepEqual({ ...data }, { a: 1 })
    assert.deepEqual(changesOf(fields), { a: '1', b: null })
  })
})
