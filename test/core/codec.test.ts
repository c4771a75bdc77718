import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { runInNewContext } from 'node:vm'
import * as fc from 'fast-check'
import { decodeValue, encodeValue } from '../../src/core/codec.ts'
import { SessionInvalidError, UnstorableValueError } from '../../src/core/errors.ts'
import { checkProperty } from '../support/seed.ts'

const throughStore = (value: unknown): unknown => decodeValue('f', encodeValue('f', value))
const unit = fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) // lone surrogates too
const names = fc.oneof(fc.string({ unit }), fc.constantFrom('constructor', 'toString', 'toJSON', 'length', '0', ''))
const leaves = fc.oneof(
  fc.string({ unit }), fc.double(), fc.integer(), fc.boolean(), fc.bigInt(), fc.date(),
  fc.constantFrom(null, undefined, Number.NaN, -0, Infinity, -Infinity, 2 ** 53, 5e-324, '\u2028</script>'),
) // prettier-ignore
const { value: values } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaves,
    fc.array(tie('value')),
    fc.sparseArray(tie('value')),
    fc.dictionary(names, tie('value')),
    fc.array(fc.tuple(tie('value'), tie('value'))).map((entries) => new Map(entries)),
    fc.array(tie('value')).map((items) => new Set(items)),
  ),
}))

suite('codec: exact', () => {
  test('any value decodes to an equal one, with its holes, its dates and its -0', () =>
    checkProperty(
      fc.property(values, (value) => assert.deepEqual(throughStore(value), value)),
      { runs: 400 },
    ))

  test('plain JSON data is stored as JSON, for others to read', () =>
    checkProperty(
      fc.property(fc.json({ stringUnit: unit }), (text) => {
        const value: unknown = JSON.parse(text.replaceAll('-0', '0')) // -0 is no JSON data: JSON.stringify loses it
        assert.equal(encodeValue('f', value), JSON.stringify(value))
      }),
    ))

  test('cycles and shared references keep their shape', () => {
    const parent: { children: object[]; at: Date } = { children: [], at: new Date(0) }
    parent.children.push({ parent }, { parent })
    const copy = throughStore(parent) as { children: { parent: unknown }[] }
    assert.deepEqual(copy, parent)
    assert.equal(copy.children[1]?.parent, copy)
    const shared = { n: 1 }
    assert.deepEqual(throughStore([shared, shared]), [shared, shared])
  })

  test('a wide value that refers to itself on every level is settled at once', () => {
    const tree = Array.from({ length: 50 }, (_, name) => ({ name, siblings: [] as object[] }))
    for (const node of tree) node.siblings.push(...tree)
    const copy = throughStore(tree) as typeof tree
    assert.equal(copy[3]?.siblings[7], copy[7])
  })

  test('deep nesting is kept, or refused by name', () => {
    const nested = (depth: number): unknown => (depth === 0 ? [] : [nested(depth - 1)])
    assert.deepEqual(throughStore(nested(500)), nested(500))
    let deep: unknown = 1
    for (let depth = 0; depth < 200_000; depth += 1) deep = [deep]
    assert.throws(() => encodeValue('deep', deep), { name: 'UnstorableValueError', field: 'deep' })
  })

  test('__proto__ inside plain data is a name like others; beside a Date it is refused; no prototype changes', () => {
    const plain: unknown = JSON.parse('{"__proto__":{"admin":true},"a":[{"__proto__":1}]}')
    const copy = throughStore(plain) as Record<string, unknown>
    assert.deepEqual(Object.keys(copy), ['__proto__', 'a'])
    assert.equal(Object.getPrototypeOf(copy), Object.prototype)
    assert.equal(copy['admin'], undefined)
    const mixed = Object.assign(JSON.parse('{"__proto__":1}') as object, { at: new Date() })
    assert.throws(() => encodeValue('mixed', mixed), { name: 'UnstorableValueError', field: 'mixed' })
    assert.equal(({} as { admin?: boolean }).admin, undefined)
  })
})

suite('codec: refused by the name of the field', () => {
  class Money {
    amount = 1
  }
  class Cart extends Array<number> {}
  class Index extends Map<string, number> {}
  class Day extends Date {}
  const refused: [string, unknown][] = [
    ['a class instance', new Money()],
    ['a class instance inside', { cart: [new Money()] }],
    ['a class instance in a Map', new Map([['a', new Money()]])],
    ['a subclass of Array', new Cart(3)],
    ['a subclass of Map', new Index()],
    ['a subclass of Date', { at: new Day() }],
    ['a Buffer', Buffer.from('a')],
    ['an array with a name beside its items', 'abc'.match(/b/)],
    ['an array with a hole and a name', Object.assign(Array(2).fill(1, 1), { a: 1 })],
    ['a function', () => 1],
    ['a method', { a: { toJSON: () => 1 } }],
    ['a symbol', Symbol('a')],
    ['a symbol inside', [Symbol('a')]],
    ['a name that is a symbol', { [Symbol('a')]: 1 }],
    ['a promise', Promise.resolve(1)],
    ['an error', new Error('a')],
    ['a WeakMap', new WeakMap()],
    ['a proxy of a function', new Proxy(() => {}, {})],
  ]
  for (const [what, value] of refused) {
    test(what, () => {
      assert.throws(
        () => encodeValue('basket', value),
        (error) => {
          assert(error instanceof UnstorableValueError)
          assert.equal(error.code, 'unstorable_value')
          assert.equal(error.field, 'basket')
          assert.match(error.message, /"basket"/)
          return true
        },
      )
    })
  }

  test('not refused: a proxy of plain data, an object without a prototype, bytes, what another realm made', () => {
    assert.deepEqual(throughStore(new Proxy({ a: 1 }, {})), { a: 1 })
    const bare: unknown = Object.assign(Object.create(null) as object, { a: 1 })
    assert.deepEqual(throughStore(bare), bare)
    assert.deepEqual(throughStore(new Uint8Array([1, 2])), new Uint8Array([1, 2]))
    const foreign: unknown = runInNewContext('({ a: [1], at: new Date(0), index: new Map([[1, 2]]) })')
    assert.deepEqual(throughStore(foreign), { a: [1], at: new Date(0), index: new Map([[1, 2]]) })
  })
})

suite('codec: damage', () => {
  const damaged = [
    '',
    '{',
    '~',
    '~[',
    '~5',
    '~[["Money",1]]',
    '~[{"a":9}]',
    'undefined',
    "{'a':1}",
    '\0',
    '~[["Map",[]]]',
    '[1,]',
    'nul',
    '~{}',
    '~[[1,-9]]',
  ]
  for (const text of damaged) {
    test(`${JSON.stringify(text)} is an error that names the field`, () => {
      assert.throws(
        () => decodeValue('cart', text),
        (error) => error instanceof SessionInvalidError && error.code === 'session_invalid' && error.field === 'cart',
      )
    })
  }

  test('the end of a long text may be missing', () => {
    for (const value of [{ card: '4111-1111' }, new Map([['card', '4111-1111']])]) {
      const text = encodeValue('f', value)
      for (let length = 0; length < text.length; length += 1) {
        assert.throws(() => decodeValue('f', text.slice(0, length)), SessionInvalidError)
      }
    }
  })

  test('the message does not tell the content', () => {
    assert.throws(
      () => decodeValue('card', '"4111-1111'),
      (error) => error instanceof SessionInvalidError && !error.message.includes('4111'),
    )
    assert.throws(
      () => decodeValue('card', 'x4111-1111'),
      (error) => error instanceof SessionInvalidError && !error.message.includes('4111'),
    )
  })
})

suite('codec: the reason of a refusal', () => {
  class Cart {
    items = []
  }
  let deep: object = {}
  for (let depth = 0; depth < 20_000; depth++) deep = { deep }
  const cases: [unknown, RegExp][] = [
    [new Cart(), /"f" cannot be stored: cannot keep an instance of Cart; keep plain data/],
    [{ a: [new Cart()] }, /at \.a\[0\]: cannot keep an instance of Cart/],
    [Promise.resolve(1), /a promise \(await it first\)/],
    [() => 1, /keep a function/],
    [Symbol('s'), /keep a Symbol/],
    [deep, /nested too deeply/],
  ]
  for (const [value, message] of cases) {
    test(`is in the words of who keeps a session: ${message.source}`, () => {
      assert.throws(() => encodeValue('f', value), { code: 'unstorable_value', field: 'f', message })
    })
  }
})
