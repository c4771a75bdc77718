import * as fc from 'fast-check'

/** Checks a property with a seed of its own, which is printed when the property does not hold, with how to run it again. */
export function checkProperty<Values extends [unknown, ...unknown[]]>(
  property: fc.IProperty<Values> | fc.IAsyncProperty<Values>,
  { runs = 200 }: { runs?: number } = {},
): Promise<void> {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  console.log(`seed ${seed} (SEED=${seed} runs it again)`)
  return Promise.resolve(fc.assert(property, { seed, numRuns: runs }))
}
