import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMeshNode } from '../../src/stores/mesh/protocol/mesh-node.ts'
import { loadMutant, OutdatedFaultError } from './mutant.ts'
import { PROTOCOL_FAULTS } from './protocol-faults.ts'
import { type RunResult, runSeed } from './run.ts'

const SEEDS_MAX = 200
const FAULTS_MIN = 25

for (const fault of PROTOCOL_FAULTS) {
  const { what, wishes, seed: knownSeed } = fault

  test(`with ${wishes.onPartition}, the simulator finds it when ${what}`, async (t) => {
    const createNode = await loadMutant(fault)
    const findFailure = (seed: number): RunResult | undefined => {
      const result = runSeed(seed, { createNode, wishes })
      // A seed that fails without the fault too shows nothing.
      return result.failure && !runSeed(seed, { createNode: createMeshNode, wishes }).failure ? result : undefined
    }
    let found = findFailure(knownSeed)
    for (let seed = 1; !found && seed <= SEEDS_MAX; seed++) found = findFailure(seed)
    assert.ok(found, `no seed from 1 to ${SEEDS_MAX} shows it`)
    t.diagnostic(`${found.failure?.law}, seed ${found.seed}`)
    if (found.seed !== knownSeed) t.diagnostic(`the list names seed ${knownSeed}, which does not show it any more`)
  })
}

test('the list of faults is long enough, and each of them is another one', () => {
  const edits = new Set(PROTOCOL_FAULTS.map(({ file, text, replacement }) => `${file}\n${text}\n${replacement}`))
  assert.ok(edits.size >= FAULTS_MIN, `${edits.size} faults`)
  assert.equal(new Set(PROTOCOL_FAULTS.map(({ what }) => what)).size, PROTOCOL_FAULTS.length)
})

test('a fault whose text is not in the protocol, or is there twice, is told', async () => {
  const fault = { what: 'x', file: 'merge.ts', replacement: '', wishes: {}, seed: 1 } as const
  for (const text of ['no such text', 'return'])
    await assert.rejects(loadMutant({ ...fault, text }), OutdatedFaultError)
})
