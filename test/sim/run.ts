import { LawBrokenError } from './law-broken.ts'
import { Clients } from './clients.ts'
import { type CreateNode, drawConfig, type SimConfig, type Wishes } from './config.ts'
import type { Coverage } from './coverage.ts'
import { Faults } from './faults.ts'
import { proveLiveness } from './liveness.ts'
import { createRandom } from './random.ts'
import { World } from './world.ts'

/** How long clients go on after everything has healed. */
const AFTERMATH_MS = 2_000

/** The longest that a request takes: what it thinks, and every deadline that it may miss. */
const REQUEST_MS_MAX = 8_000

export interface RunOptions {
  readonly createNode: CreateNode
  readonly wishes?: Wishes
  readonly trace?: (line: string) => void
}

export interface RunResult {
  readonly seed: number
  readonly config: SimConfig
  readonly coverage: Coverage
  /** Simulated milliseconds. */
  readonly ranMs: number
  readonly failure?: { readonly law: string; readonly message: string; readonly atMs: number }
}

/** Runs one seed: a safety phase under faults, then, when all has healed, a liveness phase. */
export function runSeed(seed: number, { createNode, wishes = {}, trace }: RunOptions): RunResult {
  const random = createRandom(seed)
  const config = drawConfig(random.fork(), wishes)
  const world = new World(random.fork(), config, createNode, trace)
  trace?.(JSON.stringify(config))
  const result = (): RunResult => ({ seed, config, coverage: world.coverage, ranMs: world.now })
  try {
    const clients = new Clients(world)
    world.run(2_500)
    const faults = new Faults(world)
    world.run(2_500 + config.safetyMs)
    faults.heal()
    trace?.('everything heals')
    world.run(world.now + AFTERMATH_MS)
    clients.stop()
    world.run(world.now + REQUEST_MS_MAX)
    proveLiveness(world)
    return result()
  } catch (error) {
    const law = error instanceof LawBrokenError ? error.law : 'No exception'
    const message =
      error instanceof LawBrokenError ? error.message : String(error instanceof Error ? error.stack : error)
    return { ...result(), failure: { law, message, atMs: world.now } }
  }
}
