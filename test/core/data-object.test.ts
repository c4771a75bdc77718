import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { inspect } from 'node:util'
import { SessionFields } from '../../src/core/data.ts'
import type { StoredField } from '../../src/core/record.ts'

interface Data {
  theme: string
  cart: { items: number[] }
  at?: Date
}

function open(): { fields: SessionFields; data: Data } {
  const stamp = { incarnation: 0, sequence: 1 }
  const stored = new Map<string, StoredField>([['theme', { stamp, value: '"light"' }]])
  const fields = new SessionFields(stored, { cart: { items: [1] } })
  return { fields, data: fields.proxy as Data }
}

const plain = { theme: 'light', cart: { items: [1] } }

suite('session data is an object like others', () => {
  test('spread, keys, entries, for-in, in, JSON and deepEqual', () => {
    const { data } = open()
    assert.deepEqual({ ...data }, plain)
    assert.deepEqual(Object.keys(data), ['theme', 'cart'])
    assert.deepEqual(Object.entries(data), Object.entries(plain))
    const names: string[] = []
    for (const name in data) names.push(name)
    assert.deepEqual(names, ['theme', 'cart'])
    assert('theme' in data && !('at' in data) && 'toString' in data)
    assert(Object.hasOwn(data, 'cart') && !Object.hasOwn(data, 'toString'))
    assert.equal(JSON.stringify(data), JSON.stringify(plain))
    assert.deepEqual(data, plain)
    assert.deepEqual(plain, data)
    assert.notDeepEqual(data, { ...plain, theme: 'dark' })
    assert.equal(Object.prototype.toString.call(data), '[object Object]')
    assert.equal(Object.getPrototypeOf(data), Object.prototype)
  })

  test('console.log shows the fields', () => {
    const { data } = open()
    data.at = new Date(0)
    assert.equal(inspect(data), inspect({ ...plain, at: new Date(0) }))
    assert.equal(inspect({ data }), inspect({ data: { ...plain, at: new Date(0) } }))
  })

  test('Object.assign, destructuring, delete and a clone of a field', () => {
    const { data } = open()
    Object.assign(data, { theme: 'dark', at: new Date(0) })
    const { theme, ...rest } = data
    assert.equal(theme, 'dark')
    assert.deepEqual(rest, { cart: { items: [1] }, at: new Date(0) })
    assert.equal(delete data.at, true)
    assert.equal(data.at, undefined)
    const clone = structuredClone(data.cart)
    clone.items.push(2)
    assert.deepEqual(data.cart, { items: [1] })
  })

  test('a promise of it settles with it', async () => {
    const { data } = open()
    assert.equal(await Promise.resolve(data), data)
  })

  test('Object.defineProperty makes a field; an accessor, a symbol and another prototype are refused', () => {
    const { fields, data } = open()
    Object.defineProperty(data, 'theme', { value: 'dark', enumerable: true, writable: true, configurable: true })
    assert.equal(fields.get('theme'), 'dark')
    assert.throws(() => Object.defineProperty(data, 'x', { get: () => 1 }), TypeError)
    assert.throws(() => Object.assign(data, { [Symbol('x')]: 1 }), { name: 'TypeError', message: /Symbol\(x\)/ })
    assert.throws(() => Object.setPrototypeOf(data, {}), TypeError)
    assert.throws(() => Object.freeze(data), TypeError)
  })

  test('replacing all of it keeps what is equal and removes what is not there', () => {
    const { fields } = open()
    fields.replace({ cart: { items: [1] }, at: new Date(0) })
    assert.deepEqual([...fields.changes().keys()].toSorted(), ['at', 'theme'])
    assert.equal(fields.changes().get('theme'), null)
    fields.replace(fields.proxy)
    assert.deepEqual({ ...fields.proxy }, { cart: { items: [1] }, at: new Date(0) })
  })

  test('who holds it goes on with the next session when one has ended', () => {
    const { fields, data } = open()
    fields.restart({ theme: 'new' })
    assert.deepEqual({ ...data }, { theme: 'new' })
    data.theme = 'dark'
    assert.deepEqual([...fields.changes()], [['theme', '"dark"']])
  })
})

suite('session data: names of Object.prototype', () => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__', 'then']

  for (const name of names) {
    test(`${name} is a field like others`, () => {
      const before = Object.getOwnPropertyNames(Object.prototype).toString()
      const first = new SessionFields(new Map(), {})
      const data = first.proxy as Record<string, unknown>
      assert.equal(Object.hasOwn(data, name), false)
      data[name] = { admin: true }
      const changes = first.changes()
      assert.deepEqual([...changes], [[name, '{"admin":true}']])

      const stamp = { incarnation: 0, sequence: 1 }
      const stored = new Map([...changes].map(([field, value]) => [field, { stamp, value }]))
      const second = new SessionFields(stored, {})
      const read = second.proxy as Record<string, unknown>
      assert.deepEqual(read[name], { admin: true })
      assert.deepEqual(Object.keys(read), [name])
      assert.equal(JSON.stringify(read), `{"${name}":{"admin":true}}`)
      assert.deepEqual(Object.keys(second.toObject()), [name])
      assert.equal(Object.getPrototypeOf(second.toObject()), Object.prototype)
      delete read[name]
      assert.deepEqual([...second.changes()], [[name, null]])

      assert.equal(({} as { admin?: boolean }).admin, undefined)
      assert.equal(Object.getOwnPropertyNames(Object.prototype).toString(), before)
    })
  }
})
