/** SIGKILL under load: nobody's session and no acknowledged change is lost. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startFaultFleet } from './fleet.ts'
import { Load } from './load.ts'

for (const copies of [2, 'all'] as const) {
  for (const onPartition of ['serve', 'majority'] as const) {
    void test(`with copies ${copies} and ${onPartition}, SIGKILL of one node under load loses no session and no acknowledged change`, async () => {
      await using fleet = await startFaultFleet({ mesh: { copies, onPartition } })
      const load = new Load({ customers: 1000, ports: fleet.nodes.map(({ port }) => port) })
      await load.open()
      load.run()
      await load.acknowledges(500)
      const { unavailable, broken } = load.tally
      assert.deepEqual({ unavailable, broken }, { unavailable: 0, broken: 0 }, 'before the fault all is answered')

      await fleet.node(1).kill()
      await Promise.all([0, 2].map((index) => fleet.node(index).inViewOf(2)))
      await load.acknowledges(500)
      await load.stop()
      await load.verify([0, 2].map((index) => fleet.node(index).port))
      console.log(String(load.tally))
      assert.deepEqual(load.tally.violations, [])
    })
  }
}
