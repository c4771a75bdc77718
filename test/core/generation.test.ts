import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { type GenerationJudgement, judgeGeneration } from '../../src/core/generation.ts'
import { RETIRED_MAX } from '../../src/core/limits.ts'
import { checkProperty } from '../support/seed.ts'

suite('what a presented generation means', () => {
  const record = { generation: 9, floor: 4, retired: [300, 200, 100] }
  const cases: [presented: number, now: number, expected: GenerationJudgement][] = [
    [9, 0, 'current'], [10, 0, 'successor'], [99, 0, 'successor'],
    [8, 300, 'grace'], [8, 301, 'stolen'], [7, 200, 'grace'], [7, 201, 'stolen'], [6, 101, 'stolen'],
    [5, 0, 'stolen'], [4, 0, 'stolen'], [3, 0, 'superseded'], [0, 0, 'superseded'],
  ] // prettier-ignore
  for (const [presented, now, expected] of cases) {
    test(`generation ${presented} at ${now} is ${expected}`, () => {
      assert.equal(judgeGeneration(record, presented, now), expected)
    })
  }

  test('more predecessors than are remembered share the grace of the oldest', () => {
    const retired = Array.from({ length: RETIRED_MAX }, (_, index) => 1000 - index)
    const full = { generation: 50, floor: 1, retired }
    const last = retired.at(-1) ?? 0
    assert.equal(judgeGeneration(full, 2, last), 'grace')
    assert.equal(judgeGeneration(full, 2, last + 1), 'stolen')
  })

  test('time never turns a thief into a predecessor in grace', () =>
    checkProperty(
      fc.property(fc.nat({ max: 20 }), fc.nat({ max: 400 }), fc.nat({ max: 400 }), (presented, now, later) => {
        if (judgeGeneration(record, presented, now) === 'stolen') {
          assert.equal(judgeGeneration(record, presented, now + later), 'stolen')
        }
      }),
    ))
})
