/**
 * `npm run bench -- NAME [--rounds N] [--seconds N]`: prints the tables that `docs/benchmarks.md` shows. `replication` takes
 * `--only ROW,...`, `--fleets PART_OF_A_NAME` and `--quick` instead.
 */
import { parseArgs } from 'node:util'

const BENCHES: Readonly<Record<string, () => Promise<{ run(options: BenchOptions): Promise<void> }>>> = {
  redis: () => import('./redis.ts'),
  cookie: () => import('./cookie.ts'),
  hops: () => import('./hops.ts'),
  'mesh-memory': () => import('./mesh-memory.ts'),
  replication: () => import('./replication.ts'),
}

export interface BenchOptions {
  /** Alternating rounds; the tables show medians over them. */
  readonly rounds: number
  /** Length of one measurement of one variant. */
  readonly seconds: number
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  strict: false, // a bench may have options of its own
  options: { rounds: { type: 'string', default: '7' }, seconds: { type: 'string', default: '2' } },
})
const load = BENCHES[positionals[0] ?? '']
if (!load) {
  console.error(`usage: npm run bench -- ${Object.keys(BENCHES).join('|')} [--rounds N] [--seconds N]`)
  process.exit(1)
}
const bench = await load()
await bench.run({ rounds: Number(values.rounds), seconds: Number(values.seconds) })
// Node 24 may spin for ever in the clean-up of handles whose peers were killed.
process.exit()
