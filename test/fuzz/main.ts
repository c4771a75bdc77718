/**
 * `npm run fuzz -- --target wire|cookie --runs 1000000 [--seed N]`: feeds damaged and random bytes to what reads those of
 * strangers. Ends with the first input that it should have refused, and the command that makes it again.
 */

import { parseArgs } from 'node:util'
import { fuzz, type FuzzTarget } from './fuzz.ts'

const RUNS = '1000000'

const targets: Readonly<Record<string, () => Promise<FuzzTarget>>> = {
  wire: async () => (await import('../stores/mesh/wire/fuzz.ts')).wireTarget,
  cookie: async () => (await import('../stores/cookie/mutations.ts')).createCookieTarget(),
}

const { values } = parseArgs({
  options: {
    target: { type: 'string', default: 'wire' },
    runs: { type: 'string', default: RUNS },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
})
const open = targets[values.target]
const [seed, runs] = [Number(values.seed), Number(values.runs)]
if (!open || !Number.isSafeInteger(seed) || !(runs >= 1)) {
  console.error(`npm run fuzz -- --target ${Object.keys(targets).join('|')} [--runs ${RUNS}] [--seed N]`)
  process.exit(2)
}

const target = await open()
console.log(`fuzzing ${values.target}, seed ${seed}`)
const startedAt = performance.now()
const { counts, failure } = await fuzz(target, seed, runs)
const seconds = Math.round((performance.now() - startedAt) / 1_000)
const outcomes = [...counts].map(([outcome, count]) => `${count} ${outcome}`).join(', ')
console.log(`${[...counts.values()].reduce((sum, count) => sum + count, 0)} inputs in ${seconds} s: ${outcomes}`)
if (failure) {
  console.error(failure.error)
  console.error(`again: npm run fuzz -- --target ${values.target} --runs 1 --seed ${failure.seed}`)
  process.exitCode = 1
}
