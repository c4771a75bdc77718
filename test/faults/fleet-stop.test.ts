/** What remains when many nodes stop or die together, and what is said of it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseVersion } from '../../src/token/index.ts'
import { startFaultFleet, stopGracefully } from './fleet.ts'
import { Load } from './load.ts'

for (const order of ['one after the other', 'at once'] as const) {
  void test(`a graceful stop of all nodes but one, ${order}, keeps every session`, async () => {
    await using fleet = await startFaultFleet()
    const load = new Load({ customers: 200, ports: fleet.ports })
    await load.open()
    const [first, second, last] = fleet.nodes
    assert.ok(first && second && last)
    if (order === 'at once') await Promise.all([stopGracefully(first), stopGracefully(second)])
    else for (const node of [first, second]) await stopGracefully(node)
    await load.verify([last.port])
    assert.deepEqual(load.tally.violations, [])
  })
}

void test('a fleet that is stopped whole and started again has no sessions, serves new ones, and says what is gone', async () => {
  await using fleet = await startFaultFleet()
  const load = new Load({ customers: 50, ports: fleet.ports })
  await load.open()
  await Promise.all(fleet.nodes.map(stopGracefully))
  await Promise.all(fleet.nodes.map((node) => node.start()))
  await fleet.inOneView()
  await load.each(async (customer) => {
    const reply = await customer.lose(load.anywhere)
    assert.deepEqual([reply.status, reply.view?.isNew, reply.view?.data], [200, true, {}])
  })
  const raised = await Promise.all(fleet.nodes.map((node) => node.stale()))
  assert.equal(raised.flat().length, 50)
  await load.open()
  await load.verify()
  assert.deepEqual(load.tally.violations, [])
})

void test('when both nodes that hold a session are killed at once, the third says by `stale` what the client has seen', async () => {
  await using fleet = await startFaultFleet()
  const load = new Load({ customers: 200, ports: fleet.ports })
  await load.open()
  const [first, second, last] = fleet.nodes
  assert.ok(first && second && last)
  await Promise.all([first.kill(), second.kill()])
  await last.inViewOf(1)
  const seen: unknown[] = []
  await load.each(async (customer) => {
    const hint = /-v=([^;]+)/.exec(await customer.cookie)?.[1]
    const { view } = await customer.lose(() => [last.port])
    if (view?.isNew) seen.push({ seen: parseVersion(hint ?? ''), stored: null })
    else assert.match(String(view?.data['owner']), /^visitor/)
  })
  const raised = (await last.stale()).map(({ seen, stored }) => ({ seen, stored }))
  assert.deepEqual(inOrder(raised), inOrder(seen))
  assert.ok(seen.length > 0 && seen.length < 200, `${seen.length} of 200 sessions were on the two`)
})

function inOrder(events: readonly unknown[]): string[] {
  return events.map((event) => JSON.stringify(event)).toSorted()
}
