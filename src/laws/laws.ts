import { type LawExcuse, type LawFleet, meets } from './fleet.ts'
import { goneLaws } from './law-1-gone.ts'
import { updateLaws } from './law-2-updates.ts'
import { secretLaws } from './law-3-secrets.ts'
import { timeLaws } from './law-4-time.ts'
import { fixationLaws } from './law-5-fixation.ts'
import { lossLaws } from './law-6-loss.ts'
import { readLaws } from './law-7-reads.ts'
import { theftLaws } from './law-8-theft.ts'
import type { LawTest } from './law.ts'

/** Every test of every law. */
export const laws: readonly LawTest[] = [
  ...goneLaws,
  ...updateLaws,
  ...secretLaws,
  ...timeLaws,
  ...fixationLaws,
  ...lossLaws,
  ...readLaws,
  ...theftLaws,
]

/** What to prove. */
export interface ProofOptions {
  readonly fleet: LawFleet

  /** Laws that the store does not keep; the tests of what it does instead are proven in their place. Default: none. */
  readonly excuses?: readonly LawExcuse[]

  /**
   * Leaves out the tests that this fleet has not the means for, as one process cannot kill its nodes. A store is proven
   * only where it is also proven on a fleet that has them. Default: `false`.
   */
  readonly partial?: boolean
}

/**
 * The tests for a fleet.
 *
 * @throws TypeError when the fleet has not what a test needs, and that is neither excused nor `partial`
 */
export function lawsFor({ fleet, excuses = [], partial = false }: ProofOptions): readonly LawTest[] {
  const chosen: LawTest[] = excuses.map(({ refusal }) => refusal)
  for (const law of laws) {
    if (excuses.some((excuse) => isExcused(law, excuse))) continue
    const missing = law.needs.find((need) => !meets(fleet, need))
    if (missing === undefined) chosen.push(law)
    else if (!partial) {
      throw new TypeError(
        `law ${law.law}, ${law.id}, needs a fleet with ${missing}; give its nodes that, or excuse the law and test the refusal`,
      )
    }
  }
  return chosen
}

function isExcused({ law, id }: LawTest, excuse: LawExcuse): boolean {
  return excuse.law === law && (excuse.tests === undefined || excuse.tests.includes(id))
}

/** Registers the tests of {@link lawsFor} with a test runner: `test` of node:test, Vitest or Jest. */
export function proveLaws({
  test,
  ...options
}: ProofOptions & { test: (title: string, body: () => Promise<void>) => unknown }): void {
  for (const law of lawsFor(options)) void test(`law ${law.law}: ${law.title}`, () => law.run(options.fleet))
}
