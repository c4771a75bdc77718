import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { KeyIndex } from '../../../src/stores/mesh/slab/key-index.ts'
import { checkProperty } from '../../support/seed.ts'

suite('index of keys', () => {
  /** Hashes that spread; that are alike in their first, in their last or in all bits; and few different ones. */
  const shapes: [name: string, shape: (number: number) => number, count: number][] = [
    ['spread', (number) => Math.imul(number, 0x9e3779b1) >>> 0, 30_000],
    ['first bits', (number) => (number & 0xfff) >>> 0, 6_000],
    ['last bits', (number) => ((number & 0xffff) << 16) >>> 0, 5_000],
    ['all ones', (number) => (0xffffffff - (number % 7)) >>> 0, 3_000],
    ['equal', () => 0x80000000, 3_000],
  ]
  for (const [name, shape, count] of shapes) {
    test(`every id is found, and none that was removed: ${name}`, () =>
      checkProperty(
        fc.property(fc.infiniteStream(fc.nat()), (numbers) => {
          const { index, find } = createIndex()
          const { bytesReserved } = index
          const present = new Set<number>()
          for (let id = 1; id <= count; id++) {
            index.add(shape(id), id)
            present.add(id)
            const other = ((numbers.next().value ?? 0) % id) + 1
            if (id % 3 > 0 || !present.delete(other)) continue
            index.remove(shape(other), other)
            assert.equal(find(shape(other), other), 0)
          }
          for (let id = 1; id <= count; id++) assert.equal(find(shape(id), id), present.has(id) ? id : 0)
          for (const id of present) {
            index.remove(shape(id), id)
            present.delete(id)
            if (id % 512 > 0) continue
            for (let other = 1; other <= count; other++)
              assert.equal(find(shape(other), other) === other, present.has(other))
          }
          for (let id = 1; id <= count; id++) assert.equal(find(shape(id), id), 0)
          assert.equal(index.bytesReserved, bytesReserved)
        }),
        { runs: 2 },
      ))
  }

  test('an empty part beside a full one is not merged with what is left of that', () => {
    const { index, find } = createIndex()
    for (let id = 1; id <= 5_000; id++) index.add(crowded(id), id)
    index.add(0x60000001, 5_001)
    index.remove(0x60000001, 5_001)
    for (let id = 1; id <= 5_000; id++) assert.equal(find(crowded(id), id), id)
  })

  test('an id that is not in it cannot be removed', () => {
    const { index } = createIndex()
    index.add(1, 1)
    assert.throws(() => index.remove(1, 2), RangeError)
    assert.throws(() => index.remove(2, 1), RangeError)
  })
})

/** An index of hashes that may be equal, where the id is the key. */
function createIndex() {
  let wanted = 0
  const index = new KeyIndex((id) => id === wanted)
  return { index, find: (hash: number, id: number): number => ((wanted = id), index.find(hash)) }
}

/** Hashes that all begin with 0000. */
function crowded(id: number): number {
  return (Math.imul(id, 0x9e3779b1) >>> 0) >>> 4
}
