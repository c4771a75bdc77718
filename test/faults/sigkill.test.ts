/** SIGKILL under load: nobody's session and no acknowledged change is lost. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startFaultFleet } from './fleet.ts'
import { Load } from './load.ts'

/** One way. A message takes long enough that there are always some on their way, and a lease is kept. */
const LATENCY_MS = 150

const CASES = [
  { copies: 2, onPartition: 'serve', customers: 1000, isFar: false },
  { copies: 2, onPartition: 'majority', customers: 100, isFar: true },
  { copies: 2, onPartition: 'serve', customers: 100, isFar: true },
  { copies: 'all', onPartition: 'serve', customers: 100, isFar: true },
] as const

for (const { copies, onPartition, customers, isFar } of CASES) {
  const node = isFar ? 'a node whose last messages are lost' : 'one node'
  void test(`with copies ${copies} and ${onPartition}, SIGKILL of ${node} under load loses none of ${customers} sessions and no acknowledged change`, async () => {
    await using fleet = await startFaultFleet({ mesh: { copies, onPartition }, withProxies: isFar })
    const [killed, ...others] = fleet.nodes
    assert.ok(killed)
    const load = new Load({ customers, ports: fleet.ports })
    const burst = new Load({ customers: 60, ports: fleet.ports, width: 60 })
    await Promise.all([load.open(), burst.open()])
    load.run()
    await load.acknowledges(200)
    fleet.links?.delay([0], LATENCY_MS)
    const writing = burst.each(async (customer) => void (await customer.set(() => fleet.ports, 'b')))
    await killed.health() // it has begun with what was sent to it before
    await killed.kill()
    await writing
    fleet.links?.reset([0]) // what was on its way is gone with it
    fleet.links?.delay([0], 0)
    await fleet.inOneView(others)
    await load.acknowledges(200)
    await load.stop()
    for (const some of [load, burst]) {
      await some.verify(others.map(({ port }) => port))
      console.log(String(some.tally))
      assert.deepEqual(some.tally.violations, [])
    }
  })
}
