/** A node that joins is right from its first answer. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startFaultFleet, stopGracefully } from './fleet.ts'
import { join } from './join.ts'
import { Load } from './load.ts'

for (const [copies, end] of [
  [2, 'SIGTERM'],
  ['all', 'SIGKILL'],
] as const) {
  // prettier-ignore
  void test(`with copies ${copies}, a third node is right from its first answer, in 3 joins of 3 that end by ${end}`, async () => {
    await using fleet = await startFaultFleet({ starting: 2, mesh: { copies } })
    const [first, second, third] = fleet.nodes
    assert.ok(first && second && third)
    const load = new Load({ customers: 150, ports: [first.port, second.port] })
    await load.open()
    for (let joins = 0; joins < 3; joins++) {
      await join(third, load)
      await load.each(async (customer) => void (await customer.add(() => [third.port])))
      await (end === 'SIGTERM' ? stopGracefully(third) : third.kill())
    }
    await load.verify()
    console.log(String(load.tally))
    assert.deepEqual(load.tally.violations, [])
  })
}
