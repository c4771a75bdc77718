import { createRandom, type Random } from '../../src/laws/random.ts'

/** What reads bytes from strangers, and must refuse or take them, whatever they are. */
export interface FuzzTarget {
  /** Draws one input and feeds it. Answers what came of it, in a word; throws where that may not be. */
  feed(random: Random): string | Promise<string>
}

export interface FuzzResult {
  /** How often what came of it. */
  readonly counts: ReadonlyMap<string, number>
  /** The first that failed, and the seed that makes it alone. */
  readonly failure?: { readonly seed: number; readonly error: unknown }
}

/** Feeds so many inputs, each drawn from a seed of its own: the given one, and those that follow it. */
export async function fuzz(target: FuzzTarget, firstSeed: number, runs: number): Promise<FuzzResult> {
  const counts = new Map<string, number>()
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    try {
      const outcome = await target.feed(createRandom(seed))
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
    } catch (error) {
      return { counts, failure: { seed, error } }
    }
  }
  return { counts }
}
