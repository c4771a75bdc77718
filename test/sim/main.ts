import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import type { CreateNode, Wishes } from './config.ts'
import { CoverageOfSeeds } from './coverage.ts'
import { type RunResult, runSeed } from './run.ts'

const LAST_EVENTS = 60

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    'seed-base': { type: 'string', default: '1' },
    seed: { type: 'string' },
    mode: { type: 'string' },
    nodes: { type: 'string' },
    copies: { type: 'string' },
    without: { type: 'string' },
    'no-chaos': { type: 'boolean', default: false },
    'no-faults': { type: 'boolean', default: false },
    'excuse-away': { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
    node: { type: 'string' },
  },
})

const wishes: Wishes = {
  ...(values.mode === 'serve' || values.mode === 'majority' ? { onPartition: values.mode } : {}),
  ...(values.nodes === undefined ? {} : { nodes: Number(values.nodes) }),
  ...(values.copies === undefined ? {} : { copies: Number(values.copies) }),
  ...(values.without === undefined ? {} : { without: values.without.split(',') }),
  ...(values['no-chaos'] ? { chaos: false } : {}),
  ...(values['excuse-away'] ? { excuseAway: true } : {}),
  ...(values['no-faults'] ? { faults: false } : {}),
}
const nodeModule = values.node
  ? pathToFileURL(values.node).href
  : new URL('../../src/stores/mesh/protocol/mesh-node.ts', import.meta.url).href
const { createMeshNode } = (await import(nodeModule)) as { createMeshNode: CreateNode }

if (values.seed === undefined) runSeeds(Number(values['seed-base']), Number(values.seeds))
else replay(Number(values.seed))

function runSeeds(base: number, count: number): void {
  const coverage = new CoverageOfSeeds()
  const failures: RunResult[] = []
  const startedAt = performance.now()
  for (let seed = base; seed < base + count; seed++) {
    const result = runSeed(seed, { createNode: createMeshNode, wishes })
    coverage.add(result.coverage)
    if (!result.failure) continue
    failures.push(result)
    if (!values['keep-going']) {
      report(result)
      break
    }
    console.log(`seed ${seed}: ${result.failure.law}: ${result.failure.message.split('\n')[0]}`)
  }
  const elapsedMs = performance.now() - startedAt
  console.log(`${coverage.seeds} seeds, ${failures.length} failed, ${(elapsedMs / coverage.seeds).toFixed(1)} ms each`)
  console.log(String(coverage))
  for (const [law, seeds] of Map.groupBy(failures, ({ failure }) => failure?.law)) {
    console.log(`${law}: ${seeds.length} seeds, such as ${seeds.slice(0, 5).map(({ seed }) => seed).join(' ')}`) // prettier-ignore
  }
  const { rare } = coverage
  if (count >= 100 && failures.length === 0 && rare.length > 0 && !values['no-faults']) {
    console.error(`rarer than 1 seed in 10: ${rare.join(', ')}`)
    process.exitCode = 1
  }
  if (failures.length > 0) process.exitCode = 1
}

function replay(seed: number): void {
  const result = runSeed(seed, { createNode: createMeshNode, wishes, trace: (line) => console.log(line) })
  if (result.failure) {
    console.error(`${result.failure.law}: ${result.failure.message}`)
    process.exitCode = 1
  } else console.log(`seed ${seed} keeps the laws`)
}

/** Says what broke and how to see it again, with the last events before. */
function report({ seed, failure, config }: RunResult): void {
  if (!failure) return
  const lines: string[] = []
  runSeed(seed, { createNode: createMeshNode, wishes, trace: (line) => void lines.push(line) })
  console.error(lines.slice(-LAST_EVENTS).map((line) => line.slice(0, 300)).join('\n')) // prettier-ignore
  console.error(`\nseed ${seed}: ${failure.law}\n${failure.message}`)
  console.error(JSON.stringify(config))
  const { mode, nodes, copies, node, without } = values
  const options = Object.entries({ mode, nodes, copies, node, without }).flatMap(([name, value]) =>
    value ? [`--${name} ${value}`] : [],
  )
  if (values['excuse-away']) options.push('--excuse-away')
  if (values['no-chaos']) options.push('--no-chaos')
  if (values['no-faults']) options.push('--no-faults')
  console.error(`node test/sim/main.ts --seed ${seed} ${options.join(' ')}`)
}
