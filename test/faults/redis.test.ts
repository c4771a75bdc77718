/** Redis that dies, pauses, is cut off or slow, under visitors who remember what was acknowledged. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { needs } from '../support/programs.ts'
import { Load } from './load.ts'
import { redisFaults, startRedisFleet } from './redis-fleet.ts'

/** Answers of 503 during a fault, of which the first few had to wait. */
const REFUSED = 40
const DEADLINE_MS = 300
/** Requests on their way at once. */
const WIDTH = 16
/** Calls that a node may have under way then, those included that were given up: far below what it refuses in that time. */
const CALLS_MOST = 3 * WIDTH

void test(
  'while Redis fails in every way, each request is answered by its own session or 503, and nothing acknowledged is lost',
  {
    skip: needs('redis-server'),
  },
  async () => {
    await using fleet = await startRedisFleet({ clients: ['url', 'ioredis', 'redis'], deadlineMs: DEADLINE_MS })
    const load = new Load({ customers: 40, ports: fleet.ports, width: WIDTH })
    const { tally } = load
    await load.open()
    load.run()
    for (const [name, fault] of Object.entries(redisFaults)) {
      const began = performance.now()
      const goal = tally.unavailable + REFUSED
      await fault(
        fleet,
        async () => {
          while (tally.unavailable < goal) await sleep(5)
          for (const node of fleet.nodes) {
            const { calls = 0 } = (await node.stats()).stats.connection ?? {}
            assert.ok(calls <= CALLS_MOST, `${node.client} has ${calls} calls under way`)
          }
        },
        2 * DEADLINE_MS,
      )
      await fleet.healthy()
      await load.acknowledges(20)
      console.log(`${name}: ${Math.round(performance.now() - began)} ms; ${String(tally)}`)
    }
    await load.stop()
    await load.verify()
    assert.deepEqual(tally.violations, [])
    assert.deepEqual([tally.broken, tally.refused], [0, 0])
    for (const node of fleet.nodes) {
      const { stats, uncaught, stale } = await node.stats()
      assert.deepEqual(uncaught, [], node.client)
      assert.deepEqual(stale, [], node.client)
      assert.ok(stats.connection)
      assert.ok(stats.connection.outages > 0)
      assert.ok(stats.connection.refused > 0)
      assert.equal(stats.connection.state, 'ready', node.client)
      assert.ok(stats.connection.calls < 5, 'but for what a lease asks, nothing is under way')
    }
  },
)
