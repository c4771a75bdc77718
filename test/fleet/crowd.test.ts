import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { withCrowd } from '../../src/fleet/crowd.ts'
import { type Fleet, startFleet } from '../../src/fleet/fleet.ts'

describe('a crowd', () => {
  test('finds out that a node does not know what was acknowledged', async () => {
    await using fleet = await startOnMemory()
    const happened = withCrowd(
      fleet.url,
      async () => {},
      () => fleet.nodes,
    )
    await assert.rejects(happened, /^Error: node-\d knows 0 views of a visitor with \d+ acknowledged and 0 failed$/)
  })

  test('finds out that what was acknowledged is lost with its node', async () => {
    await using fleet = await startOnMemory()
    const kill = async (): Promise<void> => {
      await Promise.all([fleet.kill('node-1'), fleet.kill('node-2')])
      await Promise.all([fleet.restart('node-1'), fleet.restart('node-2')])
    }
    await assert.rejects(
      withCrowd(fleet.url, kill, () => fleet.nodes),
      /knows \d+ views of a visitor with \d+ acknowledged/,
    )
  })

  test('gives up on a fleet that does not serve', async () => {
    await using fleet = await startOnMemory()
    const kill = async (): Promise<void> => void (await Promise.all([fleet.kill('node-1'), fleet.kill('node-2')]))
    await assert.rejects(
      withCrowd(fleet.url, kill, () => fleet.nodes),
      /was answered 502|fetch failed/,
    )
  })
})

function startOnMemory(): Promise<Fleet> {
  return startFleet({ nodes: 2, settings: { store: { name: 'memory' } }, affinity: 'ip-hash' })
}
