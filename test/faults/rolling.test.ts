/** Restarts of every node in turn, and stops: what is closed gracefully loses nothing and answers what reached it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type FaultNode, startFaultFleet } from './fleet.ts'
import { Load } from './load.ts'

const GRACEFUL = { code: 0, signal: null }

/** SIGTERM; the node hands over, answers what reached it, and ends by itself. */
async function stopsGracefully(node: FaultNode): Promise<void> {
  const { exit, closed } = await node.stop()
  assert.deepEqual(exit, GRACEFUL, node.output)
  assert.ok(closed)
  assert.equal(
    closed.answered,
    closed.received,
    `node ${node.index} left requests unanswered: ${JSON.stringify(closed)}`,
  )
  assert.doesNotMatch(node.output, /closes before the others/)
}

for (const copies of [2, 'all'] as const) {
  for (const onPartition of ['serve', 'majority'] as const) {
    void test(`with copies ${copies} and ${onPartition}, a rolling restart under load loses nothing and answers every request`, async () => {
      await using fleet = await startFaultFleet({ mesh: { copies, onPartition } })
      const load = new Load({ customers: 300, ports: fleet.nodes.map(({ port }) => port) })
      await load.open()
      load.run()
      for (const node of fleet.nodes) {
        await load.acknowledges(100)
        await stopsGracefully(node)
        await load.acknowledges(100)
        await node.start()
        await Promise.all(fleet.nodes.map((node) => node.inViewOf(3)))
      }
      await load.stop()
      await load.verify()
      console.log(String(load.tally))
      assert.deepEqual(load.tally.violations, [])
    })
  }
}
