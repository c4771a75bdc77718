import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { RecordMemory } from '../../../src/stores/mesh/slab/record-memory.ts'
import { checkProperty } from '../../support/seed.ts'
import { assertSame, keyOf, ModelledMemory, recordWith } from './memory-model.ts'

const nowMs = 1_800_000_000_000
const KIBI = 1024
const MEBI = KIBI * KIBI

suite('record memory beside a Map', () => {
  const sizes = fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 700 }) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 9_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 30_000, max: 200_000 }) },
  )
  const lives = fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: -5_000, max: 60_000 }) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 12 * 3_600_000 }) },
    { weight: 1, arbitrary: fc.constantFrom(Infinity, -Infinity, 4096_000, 4095_000, 2 ** 53) },
  )
  const kinds = fc.constantFrom<('session' | 'tombstone')[]>('session', 'session', 'tombstone')
  const keys = fc.integer({ min: 0, max: 40 })
  const tags = fc.constantFrom(0, 1, 2, 0xffffffff)
  const jumps = fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 3_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: -20_000, max: 5_000_000 }) },
    { weight: 1, arbitrary: fc.constantFrom(-100 * 86_400_000, 100 * 86_400_000) },
  )
  const steps = fc.oneof(
    { weight: 5, arbitrary: fc.tuple(fc.constant('put' as const), keys, sizes, lives, kinds, tags) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('delete' as const), keys) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('get' as const), keys) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('tick' as const), jumps, fc.integer({ min: 1, max: 50 })) },
    { weight: 1, arbitrary: fc.constant(['tickAll' as const] as const) },
  )

  test('any sequence of calls leaves both the same', () =>
    checkProperty(
      fc.property(fc.array(steps, { minLength: 1, maxLength: 300, size: 'max' }), (sequence) => {
        let time = nowMs
        const modelled = new ModelledMemory({ nowMs })
        for (const [salt, step] of sequence.entries()) {
          if (step[0] === 'put') {
            const [, key, size, life, kind] = step
            modelled.put(recordWith(keyOf(key), size, salt), time + life, kind)
          } else if (step[0] === 'delete') modelled.delete(keyOf(step[1]))
          else if (step[0] === 'get') modelled.get(keyOf(step[1]))
          else if (step[0] === 'tick') {
            time += step[1]
            modelled.tick(time, step[2])
          } else while (!modelled.tick(time, 1_000));
        }
        modelled.check()
      }),
      { runs: 300 },
    ))

  test('growth to 20,000 and back, with deletes and updates all the way', () =>
    checkProperty(
      fc.property(fc.infiniteStream(fc.nat()), (numbers) => {
        const modelled = new ModelledMemory({ nowMs })
        const draw = (): number => numbers.next().value ?? 0
        for (let number = 0; number < 20_000; number++) {
          modelled.put(recordWith(keyOf(number), draw() % 100, number), nowMs + 60_000, 'session', number % 5)
          if (number % 3 === 0) modelled.delete(keyOf(draw() % (number + 1)))
          if (number % 5 === 0) modelled.get(keyOf(draw() % (number + 1)))
        }
        modelled.check()
        for (let number = 0; number < 20_000; number++) {
          modelled.delete(keyOf(number))
          if (number % 3 === 0) modelled.put(recordWith(keyOf(draw() % 20_000), draw() % 100, number), nowMs + 60_000)
          if (number % 5_000 === 0) modelled.check()
        }
        while (!modelled.tick(nowMs + 61_000, 1_000));
        modelled.check()
        assert.equal(modelled.entries.size, 0)
      }),
      { runs: 2 },
    ))
})

suite('a scan', () => {
  test('shows once each record that is there all the time, while others come and go and all change their size', () =>
    checkProperty(
      fc.property(fc.infiniteStream(fc.nat()), fc.integer({ min: 1, max: 500 }), (numbers, placesMax) => {
        const draw = (): number => numbers.next().value ?? 0
        const memory = new RecordMemory({ nowMs })
        const put = (number: number): void => memory.put(recordWith(keyOf(number), draw() % 400, 0), nowMs)
        for (let number = 0; number < 12_000; number++) put(number)
        const seen = new Map<number, number>()
        let calls = 0
        for (let cursor: number | undefined = 0; cursor !== undefined;) {
          let places = 0
          cursor = memory.scan(cursor, placesMax, (record) => {
            const number = record.readUInt32BE(28)
            assertSame(record, recordWith(keyOf(number), record.length - 32, 0))
            seen.set(number, (seen.get(number) ?? 0) + 1)
            places++
          })
          assert.ok(places <= placesMax)
          calls++
          // Even numbers stay, odd ones go and come, and new ones come; fewer than are scanned, or it would go on.
          for (let count = Math.ceil(placesMax / 4); count > 0; count--) {
            put((draw() % 6_000) * 2)
            memory.delete(keyOf((draw() % 6_000) * 2 + 1))
            put((draw() % 6_000) * 2 + 1)
            if (count % 4 === 0) put(100_000 + calls * 1_000 + count)
          }
        }
        for (let number = 0; number < 12_000; number += 2) assert.equal(seen.get(number), 1, `${number}`)
      }),
      { runs: 10 },
    ))

  test('passes over what was removed in few calls, and ends at once where nothing is', () => {
    const memory = new RecordMemory({ nowMs })
    assert.equal(
      memory.scan(0, 1, () => assert.fail()),
      undefined,
    )
    for (let number = 0; number < 50_000; number++) memory.put(keyOf(number), nowMs)
    for (let number = 0; number < 49_999; number++) memory.delete(keyOf(number))
    let calls = 0
    let found = 0
    for (let cursor: number | undefined = 0; cursor !== undefined; calls++)
      cursor = memory.scan(cursor, 500, () => found++)
    assert.equal(found, 1)
    assert.ok(calls < 12, `${calls}`)
  })
})

suite('memory', () => {
  test('random sizes for long leave at most a tenth unused beside one slab for each size', () =>
    checkProperty(
      fc.property(fc.infiniteStream(fc.nat()), (numbers) => {
        const draw = (): number => numbers.next().value ?? 0
        const memory = new RecordMemory({ nowMs })
        const put = (number: number): void => memory.put(recordWith(keyOf(number), 200 + (draw() % 400), 0), nowMs)
        for (let number = 0; number < 40_000; number++) put(number)
        for (let count = 0; count < 100_000; count++) {
          if (draw() % 4 === 0) memory.delete(keyOf(draw() % 40_000))
          else put(draw() % 40_000)
        }
        const check = (): void => {
          const { bytesLive, bytesUsed, bytesReserved } = memory.stats
          const { sessions } = memory.stats
          assert.ok(bytesUsed - bytesLive < 0.06 * bytesLive + 40 * sessions, `${bytesUsed} used for ${bytesLive}`)
          assert.ok(
            bytesReserved < bytesUsed + 20 * 256 * KIBI + 1.5 * MEBI,
            `${bytesReserved} reserved for ${bytesUsed}`,
          )
        }
        check()
        for (let number = 0; number < 40_000; number++) if (number % 10 > 0) memory.delete(keyOf(number))
        check()
      }),
      { runs: 2 },
    ))

  test('nothing is kept once all were deleted', () => {
    const memory = new RecordMemory({ nowMs })
    const empty = memory.stats
    for (let round = 0; round < 2; round++) {
      for (let number = 0; number < 50_000; number++) memory.put(recordWith(keyOf(number), number % 600, 0), nowMs)
      for (let number = 50_000; number < 50_010; number++) memory.put(recordWith(keyOf(number), MEBI, 0), nowMs)
      assert.ok(memory.stats.bytesReserved > 20 * MEBI)
      for (let number = 0; number < 50_010; number++) memory.delete(keyOf((number * 7919) % 50_010))
      assert.deepEqual(memory.stats, empty)
    }
    assert.ok(empty.bytesReserved < 64 * KIBI, `${empty.bytesReserved}`)
  })

  test('slabs are given back as records go', () => {
    const memory = new RecordMemory({ nowMs })
    for (let number = 0; number < 50_000; number++) memory.put(recordWith(keyOf(number), 300, 0), nowMs)
    const { bytesReserved } = memory.stats
    for (let number = 0; number < 50_000; number++) if (number % 4 > 0) memory.delete(keyOf(number))
    assert.ok(memory.stats.bytesReserved < bytesReserved * 0.4, `${memory.stats.bytesReserved} of ${bytesReserved}`)
  })
})

suite('bounds', () => {
  test('it is full from sessionsMax on, tombstones not counted, and keeps what is put in all the same', () => {
    const memory = new RecordMemory({ nowMs, sessionsMax: 2 })
    memory.put(keyOf(1), nowMs)
    memory.put(keyOf(3), nowMs, 'tombstone')
    assert.equal(memory.isFull, false)
    memory.put(keyOf(2), nowMs)
    assert.equal(memory.isFull, true)
    memory.put(keyOf(3), nowMs)
    assert.ok(memory.get(keyOf(3)))
    assert.deepEqual([memory.stats.sessions, memory.stats.tombstones], [3, 0])
    for (const number of [1, 2]) memory.put(keyOf(number), nowMs, 'tombstone')
    assert.equal(memory.isFull, false)
  })

  test('it is full from bytesMax on, until enough is gone', () => {
    const memory = new RecordMemory({ nowMs, bytesMax: 10_000 })
    let count = 0
    while (!memory.isFull) memory.put(recordWith(keyOf(count++), 300, 0), nowMs)
    assert.ok(count >= 24 && count <= 29, `${count}`)
    memory.put(recordWith(keyOf(0), 0, 1), nowMs)
    assert.equal(memory.isFull, false)
    for (let number = 1_000; !memory.isFull; number++) memory.put(keyOf(number), nowMs, 'tombstone')
    memory.delete(keyOf(1))
    assert.equal(memory.isFull, false)
  })

  test('what is no record, or no time, is refused', () => {
    const memory = new RecordMemory({ nowMs })
    assert.throws(() => memory.put(Buffer.alloc(31), nowMs), RangeError)
    assert.throws(() => memory.put(keyOf(1), Number.NaN), RangeError)
    assert.throws(() => memory.get(Buffer.alloc(0)), RangeError)
    assert.equal(memory.stats.sessions, 0)
  })
})

suite('tick', () => {
  test('a record goes in the second after its time, however often it was prolonged', () => {
    const modelled = new ModelledMemory({ nowMs })
    modelled.put(keyOf(1), nowMs + 1_500)
    modelled.put(keyOf(1), nowMs + 3 * 86_400_000 + 1)
    modelled.put(keyOf(2), nowMs + 2_000)
    for (let time = nowMs; time < nowMs + 3 * 86_400_000; time += 600_000) while (!modelled.tick(time, 500));
    modelled.tick(nowMs + 3 * 86_400_000, 5_000)
    assert.equal(modelled.entries.size, 1)
    modelled.tick(nowMs + 3 * 86_400_000 + 1_000, 5_000)
    assert.equal(modelled.entries.size, 0)
  })

  test('one that was shortened goes at its new time', () => {
    const modelled = new ModelledMemory({ nowMs })
    modelled.put(keyOf(1), nowMs + 3_600_000)
    modelled.put(keyOf(1), nowMs + 5_000)
    modelled.tick(nowMs + 4_999, 100)
    assert.equal(modelled.entries.size, 1)
    modelled.tick(nowMs + 5_000, 100)
    assert.equal(modelled.entries.size, 0)
  })

  test('a clock that ran ahead for a day and came back forgets nothing early and nothing for good', () => {
    const modelled = new ModelledMemory({ nowMs })
    modelled.put(keyOf(1), nowMs + 30 * 86_400_000)
    while (!modelled.tick(nowMs + 86_400_000, 1_000));
    modelled.put(keyOf(2), nowMs + 10_000)
    while (!modelled.tick(nowMs, 1_000));
    modelled.put(keyOf(3), nowMs + 10_000)
    while (!modelled.tick(nowMs + 11_000, 1_000));
    assert.equal(modelled.memory.get(keyOf(3)), undefined)
    while (!modelled.tick(nowMs + 4_200_000, 1_000));
    assert.deepEqual([...modelled.entries.keys()], [keyOf(1).toString('latin1')])
  })

  test('however many records end at once, a call does its budget and the next goes on', () => {
    const modelled = new ModelledMemory({ nowMs })
    for (let number = 0; number < 1_000; number++) modelled.put(keyOf(number), nowMs + 1_000)
    let calls = 0
    while (!modelled.tick(nowMs + 1_000, 100)) calls++
    assert.equal(calls, 10)
    modelled.check()
  })
})
