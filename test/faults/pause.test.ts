/** SIGSTOP: a node that was paused serves nothing from before when it goes on, and nothing is lost. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { send } from './customer.ts'
import { startFaultFleet } from './fleet.ts'
import { Load } from './load.ts'

const CASES = [
  { copies: 2, onPartition: 'serve', pauseMs: 10_000 },
  { copies: 'all', onPartition: 'serve', pauseMs: 0 },
  { copies: 2, onPartition: 'majority', pauseMs: 0 },
] as const

for (const { copies, onPartition, pauseMs } of CASES) {
  const how = pauseMs > 0 ? `for ${pauseMs / 1000} s` : 'until the others go on without it'
  void test(`with copies ${copies} and ${onPartition}, a node that is stopped ${how} serves nothing stale and loses nothing`, async () => {
    await using fleet = await startFaultFleet({ mesh: { copies, onPartition } })
    const [paused, ...others] = fleet.nodes
    assert.ok(paused)
    const load = new Load({ customers: 100, ports: fleet.ports, restMs: pauseMs / 100 })
    const quiet = new Load({ customers: 40, ports: fleet.ports })
    await Promise.all([load.open(), quiet.open()])
    load.run()
    await load.acknowledges(100)

    paused.signal('SIGSTOP')
    load.leaveOut(paused.port, true) // what is on its way there stays on its way
    await fleet.inOneView(others)
    await load.acknowledges(100)
    const elsewhere = (): readonly number[] => others.map(({ port }) => port)
    const changed = []
    for (const [index, customer] of quiet.customers.entries()) {
      const before = await customer.cookie
      const isEnd = index % 2 === 1
      const reply = await (isEnd ? customer.logout(elsewhere) : customer.set(elsewhere, 'a'))
      if (!reply?.view) continue // it may have been done, or not
      // It waits in the paused node's socket, with a hint from before the change: past every lease.
      changed.push({ isEnd, expected: reply.view.data, reply: send(paused.port, before, { do: 'read' }) })
    }
    assert.ok(changed.length > 0)
    await sleep(pauseMs)
    paused.signal('SIGCONT')

    for (const { isEnd, expected, reply } of changed) {
      const { status, cookies, view } = await reply
      if (status === 200) assert.deepEqual(view?.data, isEnd ? {} : expected)
      else assert.deepEqual({ status, cookies }, { status: 503, cookies: [] })
    }
    await fleet.inOneView()
    load.leaveOut(paused.port, false)
    await load.acknowledges(100)
    await load.stop()
    await load.verify()
    await quiet.verify()
    console.log(String(load.tally))
    assert.deepEqual([...load.tally.violations, ...quiet.tally.violations], [])
  })
}
