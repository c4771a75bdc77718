/** Restarts of every node in turn, under load: what is closed gracefully loses nothing and answers what reached it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startFaultFleet, stopGracefully } from './fleet.ts'
import { Load } from './load.ts'

const CASES = [
  { copies: 2, onPartition: 'serve', isTold: true },
  { copies: 'all', onPartition: 'majority', isTold: false },
] as const

for (const { copies, onPartition, isTold } of CASES) {
  const balancer = isTold ? 'that is told of each' : 'that is told of nothing'
  void test(`with copies ${copies} and ${onPartition}, a rolling restart behind a balancer ${balancer} loses nothing and answers every request`, async () => {
    // No answer in this test is a matter of time: a call that meets a handover waits for it.
    await using fleet = await startFaultFleet({ mesh: { copies, onPartition }, deadlineMs: 20_000 })
    const load = new Load({ customers: 150, ports: fleet.ports })
    await load.open()
    load.run()
    for (const node of fleet.nodes) {
      if (isTold) {
        load.leaveOut(node.port, true)
        await node.health() // every connection before this one has been taken
      }
      await stopGracefully(node)
      await node.start()
      load.leaveOut(node.port, false)
      await fleet.inOneView()
      await load.acknowledges(100)
    }
    await load.stop()
    await load.verify()
    console.log(String(load.tally))
    const { unavailable, broken, violations } = load.tally
    assert.deepEqual({ unavailable, violations }, { unavailable: 0, violations: [] })
    // The system resets connections that wait to be taken when a process closes its port; no process has seen them.
    if (isTold) assert.equal(broken, 0)
  })
}
