import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { isTombstone } from '../../src/core/index.ts'
import { createMeshNode } from '../../src/stores/mesh/protocol/mesh-node.ts'
import type { CreateNode } from './config.ts'
import { createMeshNode as createFakeNode, type Twist } from './fake-node.ts'
import { type RunResult, runSeed } from './run.ts'

const SEEDS = 50

function seedsFrom(base: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => base + index)
}

function failuresOf(seeds: readonly number[], run: (seed: number) => RunResult): string[] {
  return seeds
    .map(run)
    .flatMap(({ seed, failure }) => (failure ? [`seed ${seed}: ${failure.law}: ${failure.message}`] : []))
}

function hashOfRun(seed: number): string {
  const hash = createHash('sha256')
  runSeed(seed, { createNode: createFakeNode, wishes: { copies: 1 }, trace: (line) => void hash.update(line) })
  return hash.digest('hex')
}

test('a seed gives the same run each time', () => {
  assert.equal(hashOfRun(7), hashOfRun(7))
})

test('without faults, even a node that replicates nothing keeps the laws', () => {
  const wishes = { copies: 1, faults: false }
  assert.deepEqual(
    failuresOf(seedsFrom(1, 10), (seed) => runSeed(seed, { createNode: createFakeNode, wishes })),
    [],
  )
})

test('with faults, a node that replicates nothing is found out', () => {
  const failures = failuresOf(seedsFrom(1, 20), (seed) => runSeed(seed, { createNode: createFakeNode }))
  assert.ok(failures.length > 10, `${failures.length} of 20 seeds fail`)
})

/** One fault for each law that the checker watches, in a node that keeps them all without it. */
const TWISTS: readonly { readonly what: string; readonly law: string; readonly twist: Twist }[] = [
  {
    what: 'an end that leaves the session',
    law: '1. Gone is gone',
    twist: { kept: (holding) => (isTombstone(holding) ? 'unchanged' : holding) },
  },
  {
    what: 'an expected stamp that is not compared',
    law: '2. No lost update',
    twist: {
      operation: (operation) => {
        if (operation.kind !== 'apply') return operation
        const { expect: _expect, ...change } = operation.change
        return { ...operation, change }
      },
    },
  },
  {
    what: 'operation ids that are forgotten',
    law: '2. No lost update',
    twist: { kept: (holding) => (isTombstone(holding) ? holding : { ...holding, operations: new Map() }) },
  },
  {
    what: 'the value of another session',
    law: '3. Nobody else’s',
    twist: {
      kept: (holding) =>
        isTombstone(holding)
          ? holding
          : {
              ...holding,
              fields: new Map(holding.fields).set('f0', { stamp: { incarnation: 9, sequence: 9 }, value: 'x' }),
            },
    },
  },
  {
    what: 'a login that supersedes nothing',
    law: '5. No fixation',
    twist: { kept: (holding) => (isTombstone(holding) ? holding : { ...holding, floor: 1 }) },
  },
  {
    what: 'a session that is forgotten',
    law: '6. No loss',
    twist: { kept: (holding) => (isTombstone(holding) || holding.version.sequence < 5 ? holding : undefined) },
  },
  {
    what: 'a field that is forgotten',
    law: '7. Read your writes',
    twist: {
      kept: (holding) =>
        isTombstone(holding) ? holding : { ...holding, fields: new Map([...holding.fields].slice(0, 2)) },
    },
  },
  {
    what: 'a grace that is forgotten',
    law: '8. Theft shows',
    twist: { kept: (holding) => (isTombstone(holding) ? holding : { ...holding, retired: [] }) },
  },
  {
    what: 'two outcomes of one request',
    law: 'answered once',
    twist: { outcome: (outcome) => [outcome, outcome] },
  },
]

function twisted(twist: Twist): CreateNode {
  return (nowMs, options) => createFakeNode(nowMs, options, twist)
}

for (const { what, law, twist } of TWISTS) {
  test(`the checker finds ${what}`, () => {
    const createNode = twisted(twist)
    const wishes = { copies: 1, faults: false }
    const laws = Array.from({ length: 10 }, (_, index) => runSeed(index + 1, { createNode, wishes }).failure?.law)
    assert.ok(laws.includes(law), `found: ${laws.join(', ')}`)
  })
}

for (const onPartition of ['serve', 'majority'] as const) {
  // Fixed seeds, so that a run of the tests says the same twice; `npm run sim` takes as many others as it is asked for.
  test(`with ${onPartition}, the mesh keeps the laws under faults in a bounded sample`, () => {
    const seeds = seedsFrom(1, SEEDS)
    const failures = failuresOf(seeds, (seed) => runSeed(seed, { createNode: createMeshNode, wishes: { onPartition } }))
    assert.deepEqual(failures, [])
  })
}
