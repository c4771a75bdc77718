import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { before, describe, test } from 'node:test'
import { needs } from '../support/programs.ts'
import { suiteRedis } from '../support/redis-suite.ts'
import { changeOf, now, randomKey, tombstoneOf } from './changes.ts'
import { nearStats, type NearNode, openNode, until, untilCopied, untilListIsOld } from './near-support.ts'
import { makeRedisStore } from './redis-support.ts'

const NODES = 'sojourn:nodes:{sojourn:incarnations}'

describe('the list of nodes of redisStore', { skip: needs('redis-server') }, () => {
  const redis = suiteRedis()
  let there: NearNode
  before(async () => {
    there = redis.use(await openNode(redis.port))
    await untilListIsOld(there)
  })

  async function created(): Promise<string> {
    const key = randomKey()
    await there.store.apply(changeOf(key, { create: true }))
    return key
  }

  for (const when of ['from the start', 'later'] as const) {
    test(`an end of a node whose messages are refused ${when} waits for the longest lease of the fleet`, async () => {
      await redis.client.sendCommand(['ACL', 'SETUSER', 'mute', 'reset', 'on', '>pw', '~*', '&*', '+@all'])
      const mute = (): Promise<unknown> => redis.client.sendCommand(['ACL', 'SETUSER', 'mute', 'resetchannels'])
      await using here = await openNode(redis.port, { nearCache: { lease: '1s' } })
      const key = await created()
      await untilCopied(here, key)
      if (when === 'from the start') await mute()
      const url = `redis://mute:pw@127.0.0.1:${redis.port}`
      const store = makeRedisStore({ url, nearCache: { lease: '50ms' } })
      await store.ready()
      if (when === 'later') await store.end(tombstoneOf(await created()))
      await mute()
      await assertEnds(here, key, () => store.end(tombstoneOf(key)))
      await store.close()
    })
  }

  test('is believed again when the clock of its server was set back', async () => {
    await using here = await openNode(redis.port)
    const [maker] = String(await redis.client.hGet(NODES, '@')).split(' ')
    const later = Date.now() + 3_600_000
    await redis.client.hSet(NODES, { '@': `${maker} ${later}`, gone: `${later} 500` })
    const key = await created()
    await assertEnds(here, key, () => there.store.end(tombstoneOf(key)))
    await untilListIsOld(there)
  })

  test('may hold what is no entry', async () => {
    await using here = await openNode(redis.port)
    await redis.client.hSet(NODES, { a: '', b: 'x y', c: `${Date.now() + 1_000} x`, '': '1 2 3' })
    const key = await created()
    await assertEnds(here, key, () => there.store.end(tombstoneOf(key)))
    await untilListIsOld(there)
  })

  test('is kept, and ends are told, by a Redis that has reached its maxmemory', async () => {
    const told: string[] = []
    await using here = await openNode(redis.port, {}, { ended: (key) => void told.push(key) })
    const [key, other] = [await created(), await created()]
    const user = randomUUID()
    await there.store.users?.enter({ user, key, at: now })
    await redis.client.configSet('maxmemory', '1')
    try {
      await redis.client.del(NODES)
      await untilCopied(here, key)
      await untilCopied(here, other)
      await redis.client.del(NODES)
      await there.store.users?.advance(user)
      await there.store.end(tombstoneOf(key))
      await until(() => told.includes(key), 'it is told of the end')
      await until(() => nearStats(here).hits > 0 && here.store.copy?.(other), 'copies are served')
    } finally {
      await redis.client.configSet('maxmemory', '0')
    }
  })

  test('a node that lost its connections asks for its copies until Redis answers', async () => {
    const rights = ['on', '>pw', '~*', '&*', '+@all']
    await redis.client.sendCommand(['ACL', 'SETUSER', 'ann', 'reset', ...rights])
    await using here = await openNode(redis.port, (url) => ({ url: url.replace('//', '//ann:pw@') }))
    const key = await created()
    await untilCopied(here, key)
    await redis.client.sendCommand(['ACL', 'SETUSER', 'ann', '-hmget'])
    await here.proxy.refuse(true)
    here.proxy.cut()
    await there.store.end({ ...tombstoneOf(key), reason: 'logout' })
    await here.proxy.refuse(false)
    await untilCopied(here, await created()) // all its connections are back
    assert.match(JSON.stringify(await redis.client.sendCommand(['ACL', 'LOG'])), /hmget/, 'it has asked')
    await redis.client.sendCommand(['ACL', 'SETUSER', 'ann', '+hmget'])
    await until(() => here.told.length > 0, 'it is told')
    assert.deepEqual(here.told, [[key, null, 'logout']])
  })
})

/** Ends a session that `here` has a copy of and cannot hear of. No copy of it may be served from then on. */
async function assertEnds(here: NearNode, key: string, end: () => Promise<unknown>): Promise<void> {
  await untilCopied(here, key)
  here.proxy.blackHole('both')
  await end()
  assert.equal(here.store.copy?.(key), undefined)
  here.proxy.blackHole('none')
}
