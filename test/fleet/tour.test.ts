import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Fleet, startFleet } from '../../src/fleet/fleet.ts'
import { type FleetStore, openFleetStore } from '../../src/fleet/stores.ts'
import { takeTour } from '../../src/fleet/tour.ts'

const print = (): void => {}

describe("the demo's visit fails", () => {
  test('where a node does not know a session that it should share', async () => {
    await using fleet = await start({ name: 'memory' })
    await assert.rejects(takeTour({ fleet, store: 'sqlite', affinity: 'ip-hash', print }), {
      name: 'TourError',
      message:
        /^step 2\. Ask node-2 with the same cookies: it should know session \S+: user ada, cart tea; observed: node-2 \(pid \d+\): knows no session$/,
    })
  })

  test('where a node knows a session that it should not', async () => {
    await using place = await openFleetStore({ name: 'sqlite', nodes: [] })
    await using fleet = await start(place.store)
    await assert.rejects(takeTour({ fleet, store: 'memory', affinity: 'ip-hash', print }), {
      message: /^step 5\. Ask node-\d .*: it should know no session; observed: .* user ada, cart tea$/,
    })
  })

  test('where a node cannot be reached', async () => {
    await using fleet = await start({ name: 'memory' })
    await fleet.kill('node-1')
    await assert.rejects(takeTour({ fleet, store: 'sqlite', affinity: 'ip-hash', print }), {
      message: /^step 1\. Log in at node-1, .*: fetch failed \(.*ECONNREFUSED/,
    })
  })
})

function start(store: FleetStore): Promise<Fleet> {
  return startFleet({ settings: { store } })
}
