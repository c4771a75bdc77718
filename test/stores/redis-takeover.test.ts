import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { needs } from '../support/programs.ts'
import { startRedisCluster } from '../support/redis-cluster.ts'
import { startRedisSentinel } from '../support/redis-sentinel.ts'
import { randomKey } from './changes.ts'
import { kinds, openClusterStore, openSentinelStore, type OpenRedisStore } from './redis-support.ts'
import { Visitors } from './visitors.ts'

describe('redisStore while servers take over from each other', { skip: needs('redis-server') }, () => {
  it('goes on through the migration of a slot, and no change is refused or lost, with each client', async () => {
    await using cluster = await startRedisCluster()
    // All sessions are in one slot.
    const keyPrefix = `{${randomKey()}}`
    await using opened = await openAll((kind) => openClusterStore(kind, cluster, {}, { keyPrefix }))
    const { all } = opened
    for (const visitors of all) await visitors.open()
    for (const visitors of all) visitors.run()
    const slot = await cluster.slotOf(keyPrefix)
    const from = await cluster.masterOf(slot)
    const to = cluster.masters.find((master) => master !== from)
    assert(to)
    let steps = 0
    await cluster.moveSlot(slot, from, to, async () => {
      steps += 1
      for (const visitors of all) await visitors.progress(1)
    })
    assert(steps > 30, 'it moved key after key')
    assert.equal(await cluster.masterOf(slot), to)
    for (const visitors of all) {
      await visitors.stop()
      assert.equal(visitors.refused, 0)
      assert.equal(await visitors.lost(), 0)
    }
  })

  it('goes on through it where each change waits for a replica, and loses no change, with each client', async (test) => {
    await using cluster = await startRedisCluster({ withReplicas: true })
    const keyPrefix = `{${randomKey()}}`
    const waiting = { keyPrefix, waitReplicas: 1 }
    await using opened = await openAll((kind) => openClusterStore(kind, cluster, { deadlineMs: 3_000 }, waiting))
    const { all } = opened
    for (const visitors of all) await visitors.open()
    for (const visitors of all) visitors.run()
    const slot = await cluster.slotOf(keyPrefix)
    const from = await cluster.masterOf(slot)
    const to = cluster.masters.find((master) => master !== from)
    assert(to)
    let isMoving = false
    await cluster.moveSlot(slot, from, to, async () => {
      for (const visitors of all) await visitors.progress(1)
      // From now on a session may have moved between its change and the wait for a replica.
      if (!isMoving) for (const visitors of all) assert.equal(visitors.refused, 0)
      isMoving = true
    })
    for (const visitors of all) {
      await visitors.stop()
      assert.equal(await visitors.lost(), 0)
      test.diagnostic(`${visitors.acknowledged} changes, ${visitors.refused} refused`)
    }
  })

  it('answers or refuses while a master of a Cluster is away, loses nothing that its replica has confirmed, and goes on by itself', async () => {
    await using cluster = await startRedisCluster({ withReplicas: true })
    await using opened = await openAll((kind) => openClusterStore(kind, cluster, {}, { waitReplicas: 1 }))
    const [master] = cluster.masters
    assert(master)
    await assertSurvives(opened.all, {
      async begin() {
        await master.kill()
        await cluster.untilFailedOver(master)
      },
      end: () => master.restart(),
    })
  })

  it('does so behind Sentinels', async () => {
    await using sentinel = await startRedisSentinel({ replicas: 1 })
    await using opened = await openAll((kind) => openSentinelStore(kind, sentinel, {}, { waitReplicas: 1 }))
    const master = await sentinel.master()
    await assertSurvives(opened.all, {
      async begin() {
        await master.kill()
        await sentinel.untilFailedOver(master)
      },
      end: () => master.restart(),
    })
  })
})

interface Outage {
  begin(): Promise<void>
  end(): Promise<void>
}

async function assertSurvives(all: readonly Visitors[], outage: Outage): Promise<void> {
  for (const visitors of all) await visitors.open()
  for (const visitors of all) visitors.run()
  for (const visitors of all) await visitors.progress(5)
  await outage.begin()
  // The one that took over has no replica until the other is back.
  await outage.end()
  for (const visitors of all) await visitors.progress(5)
  for (const visitors of all) {
    await visitors.stop()
    assert(visitors.refused > 0, 'somebody noticed')
    assert.equal(await visitors.lost(), 0)
  }
}

/** Visitors of a node with each client. */
async function openAll(
  open: (kind: (typeof kinds)[number]) => Promise<OpenRedisStore>,
): Promise<AsyncDisposable & { all: readonly Visitors[] }> {
  const stores = await Promise.all(kinds.map(open))
  return {
    all: stores.map(({ store }) => new Visitors(store, 10)),
    async [Symbol.asyncDispose]() {
      for (const { close } of stores) await close()
    },
  }
}
