/** A node that comes back at its address with nothing in memory knows from its first answer what its backups hold. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { insist } from './customer.ts'
import { startFaultFleet } from './fleet.ts'
import { Load } from './load.ts'

for (const [copies, onPartition] of [
  [2, 'serve'],
  [2, 'majority'],
  ['all', 'serve'],
] as const) {
  // prettier-ignore
  void test(`with copies ${copies} and ${onPartition}, a node that was killed and started at once never says that there is no session`, async () => {
    await using fleet = await startFaultFleet({ mesh: { copies, onPartition } })
    const load = new Load({ customers: 100, ports: fleet.ports })
    await load.open()
    for (const node of [fleet.node(0), fleet.node(2)]) {
      await node.kill()
      await node.start({ listenFirst: true })
      await load.each(async (customer) => {
        assert.equal((await insist(() => customer.read(() => [node.port])))?.status, 200)
      })
      await fleet.inOneView()
      await load.each(async (customer) => void (await customer.add(load.anywhere)))
    }
    await load.verify()
    console.log(String(load.tally))
    assert.deepEqual(load.tally.violations, [])
  })
}
