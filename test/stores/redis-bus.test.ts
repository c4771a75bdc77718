import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { Redis as Ioredis } from 'ioredis'
import { needs } from '../support/programs.ts'
import { suiteRedis } from '../support/redis-suite.ts'
import { changeOf, now, randomKey, tombstoneOf } from './changes.ts'
import { type NearNode, openNode, until, untilCopied, untilListIsOld } from './near-support.ts'
import { makeRedisStore } from './redis-support.ts'

const login = { user: 'ada o\nneil' }

describe('the bus of redisStore', { skip: needs('redis-server') }, () => {
  const redis = suiteRedis()
  let there: NearNode
  before(async () => {
    there = redis.use(await openNode(redis.port))
    await untilListIsOld(there)
  })

  async function created(): Promise<string> {
    const key = randomKey()
    await there.store.apply(changeOf(key, { create: true, login }))
    return key
  }

  test('tells of an end to each node that holds the session or has a copy, with its user and reason, and to no other', async () => {
    await using holder = await openNode(redis.port)
    await using reader = await openNode(redis.port)
    await using stranger = await openNode(redis.port)
    const key = await created()
    holder.store.hold?.(key)
    there.store.hold?.(key)
    await untilCopied(reader, key)
    assert.equal(await there.store.end({ ...tombstoneOf(key), reason: 'stolen' }), 'ended')
    const told = [[key, login.user, 'stolen']]
    assert.deepEqual(there.told.splice(0), told, 'the node that ended it holds it too')
    await until(() => holder.told.length > 0 && reader.told.length > 0, 'they are told')
    await there.store.end({ ...tombstoneOf(key), reason: 'logout' })
    await there.store.end(tombstoneOf(randomKey()))
    for (const node of [holder, reader]) assert.deepEqual(node.told, told)
    assert.deepEqual([stranger.told, there.told], [[], []])
  })

  test('tells of an end to a node that keeps no copies, with each client', async () => {
    const client = new Ioredis(redis.port)
    await using ioredis = await openNode(redis.port, () => ({ client }))
    await using plain = await openNode(redis.port, { nearCache: false })
    const [held, givenUp] = [await created(), await created()]
    for (const { store } of [ioredis, plain]) {
      store.hold?.(held)
      const giveUp = store.hold?.(givenUp)
      giveUp?.()
      giveUp?.()
    }
    for (const key of [givenUp, held]) await there.store.end({ ...tombstoneOf(key), reason: 'logout' })
    await until(() => ioredis.told.length > 0 && plain.told.length > 0, 'they are told')
    for (const node of [ioredis, plain]) assert.deepEqual(node.told, [[held, login.user, 'logout']])
    await ioredis.store.close()
    client.disconnect()
  })

  test('tells of what ended while nobody could hear it, and before it was held', async () => {
    await using here = await openNode(redis.port)
    const [key, other, early, lost] = [await created(), await created(), await created(), await created()]
    for (const held of [key, lost]) here.store.hold?.(held)
    await untilCopied(here, other)
    await here.proxy.refuse(true)
    here.proxy.cut()
    for (const ended of [key, other, early]) await there.store.end({ ...tombstoneOf(ended), reason: 'logout' })
    await redis.client.unlink(`sojourn:${lost}`)
    await here.proxy.refuse(false)
    await until(() => here.told.length === 3, 'they are told')
    here.store.hold?.(early)
    await until(() => here.told.length === 4, 'the holder that came late is told')
    const told = [key, other, early].map((ended) => [ended, login.user, 'logout'])
    assert.deepEqual(new Set(here.told.map(String)), new Set([...told, [lost, null, 'dropped']].map(String)))
  })

  test('tells a holder of an end whose answer was lost', async () => {
    await using here = await openNode(redis.port)
    const key = await created()
    await until(() => here.store.read(key), 'Redis answers')
    here.store.hold?.(key)
    const lost = here.proxy.dropNextAnswer(key)
    assert.equal(await here.store.end({ ...tombstoneOf(key), reason: 'logout' }), 'gone')
    await lost
    assert.deepEqual(here.told, [[key, login.user, 'logout']])
  })

  test('once a login, a rotation or a first use has resolved, no node serves a copy of before', async () => {
    await using here = await openNode(redis.port)
    here.proxy.latency(5)
    for (let round = 0; round < 10; round++) {
      const key = await created()
      const parts = [
        { rotate: true },
        { confirm: { generation: 1, graceEndsAt: now + 60_000 } },
        { generation: 1, login: { user: 'eve' } },
      ]
      for (const part of parts) {
        const before = await untilCopied(here, key)
        const result = await there.store.apply(changeOf(key, part))
        const copy = here.store.copy?.(key)
        assert(result.outcome === 'applied')
        assert.notDeepEqual(copy?.version, before.version)
        assert.deepEqual((await here.store.read(key))?.version, result.version)
      }
      await untilCopied(here, key)
      assert.equal(await there.store.end(tombstoneOf(key)), 'ended')
      assert.equal(here.store.copy?.(key), undefined)
      assert.equal(await here.store.read(key), undefined)
    }
    assert.deepEqual(here.told.length, 10)
  })

  for (const [what, spoil] of [
    ['is lost', (nodes: string) => redis.client.unlink(nodes)],
    [
      'is of another server',
      (nodes: string) => redis.client.multi().del(nodes).hSet(nodes, '@', 'another-server 0').exec(),
    ],
  ] as const) {
    test(`an end waits for leases of nodes that nobody knows of, where the list of nodes ${what}`, async () => {
      await using here = await openNode(redis.port)
      const key = await created()
      await untilCopied(here, key)
      here.proxy.blackHole('both')
      await spoil('sojourn:nodes:{sojourn:incarnations}')
      const ending = there.store.end(tombstoneOf(key))
      let isOver = false
      void ending.then(() => (isOver = true))
      await until(() => {
        if (here.store.copy?.(key)) assert.equal(isOver, false)
        return isOver
      }, 'the end resolves')
      assert.equal(here.store.copy?.(key), undefined)
      here.proxy.blackHole('none')
      await untilListIsOld(there)
    })
  }

  test('passes over what is no message, and does what a well-formed one says', async () => {
    await using here = await openNode(redis.port)
    const key = await created()
    here.store.hold?.(key)
    const channel = 'sojourn:bus'
    const large = JSON.stringify([1, 'me', 1, key, 'logout', 'x'.repeat(5_000)])
    const others = [
      '',
      '{',
      'null',
      '[]',
      '[1]',
      '[2,"me",1,"k"]',
      '[1,"me","1","k"]',
      `[1,"me",1,"${key}",1,2]`,
      large,
    ]
    for (const text of others) await redis.client.publish(channel, text)
    for (const text of ['', '[1,"x",2]', '[1,1,"nobody"]']) {
      const [own = ''] = await redis.client.pubSubChannels('sojourn:acks:*')
      await redis.client.publish(own, text)
    }
    assert.deepEqual(here.told, [])
    await redis.client.publish(channel, JSON.stringify([1, 'me', 1, key, 'logout', null]))
    await until(() => here.told.length > 0, 'it is told')
    assert.deepEqual(here.told, [[key, null, 'logout']])
    assert.equal(await there.store.end(tombstoneOf(key)), 'ended')
  })

  test('an end of a node whose messages are refused waits for the leases alone, and is told to the log', async () => {
    await redis.client.sendCommand(['ACL', 'SETUSER', 'mute', 'on', '>pw', '~*', '&none', '+@all'])
    await using here = await openNode(redis.port)
    const logged: string[] = []
    const logger = { info() {}, error() {}, warn: (_: object, message: string) => void logged.push(message) }
    const store = makeRedisStore({ url: `redis://mute:pw@127.0.0.1:${redis.port}` }, { logger })
    await store.ready()
    const key = await created()
    await untilCopied(here, key)
    here.proxy.blackHole('both')
    await store.end(tombstoneOf(key))
    assert.equal(here.store.copy?.(key), undefined)
    assert.match(logged.join(), /could not be told/)
    here.proxy.blackHole('none')
    await store.close()
  })
})
