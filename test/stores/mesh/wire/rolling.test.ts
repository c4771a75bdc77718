import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fleet, type NodeChoice } from './fleet.ts'
import { Load } from './load.ts'
import { newSecret, oldSecret } from './transport-support.ts'

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/** Replaces one node after the other through the stages, under load. */
async function roll(stages: readonly NodeChoice[]): Promise<void> {
  const [first, ...others] = stages
  assert.ok(first)
  await using fleet = await Fleet.start([first, first, first])
  fleet.viewSizes.clear()
  fleet.refusals.length = 0
  const load = new Load(() => fleet.urls, { visitors: 12, seed })
  try {
    for (const stage of others) for (const index of [0, 1, 2]) await fleet.replace(index, stage)
  } finally {
    const counts = await load.stop()
    console.log(`seed ${seed} (SEED=${seed} runs it again): ${JSON.stringify(counts)}, views of ${JSON.stringify([...fleet.viewSizes])} members`) // prettier-ignore
    for (const count of [counts.requests / 100, counts.ends, counts.logins])
      assert.ok(count > 5, 'too little was asked')
  }
  assert.deepEqual(
    fleet.refusals.filter((refusal) => !refusal.startsWith('silence')),
    [],
  ) // a busy machine may be late
  // Two, while one is away: one alone would be a fleet that was split.
  assert.deepEqual(new Set(fleet.viewSizes.keys()), new Set([2, 3]))
}

test('a secret rolls through a fleet under load: it never splits, nothing is lost, every request is answered', () =>
  roll([[oldSecret], [oldSecret, newSecret], [newSecret, oldSecret], [newSecret]].map((secrets) => ({ secrets }))))

test('a fleet under load goes from this version to a later minor one and back, node by node: nothing is lost, every request is answered', () =>
  roll(
    [false, true, false].map((isLater) => ({
      secrets: [oldSecret],
      isLater,
    })),
  ))

test('nodes with a clock 6 s ahead and with another secret get into no fleet and begin none of their own: they say why, and the others serve on', async () => {
  await using fleet = await Fleet.start([0, 1, 2, 3].map(() => ({ secrets: [oldSecret] })))
  const load = new Load(() => fleet.urls, { visitors: 3, seed })
  const outputs = await Promise.all([
    fleet.startInVain(2, { secrets: [oldSecret], clockAheadMs: 6_000 }),
    fleet.startInVain(3, { secrets: [newSecret] }),
  ])
  await load.stop()
  for (const output of outputs) assert.match(output, /the mesh found no view/)
  assert.match(outputs[0], /clocks are \d.* synchronise/)
  assert.match(outputs[1], /shares no secret/)
  assert.deepEqual(new Set(fleet.refusals.map((refusal) => refusal.split(':')[0])), new Set(['clock', 'secret']))
  assert.ok(!fleet.viewSizes.has(1))
})
