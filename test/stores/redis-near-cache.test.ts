import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { before, describe, test } from 'node:test'
import * as fc from 'fast-check'
import { createClient } from 'redis'
import type { ReadOptions, SessionRecord } from '../../src/core/index.ts'
import { createSessions } from '../../src/index.ts'
import { redisStore } from '../../src/stores/redis/index.ts'
import { needs } from '../support/programs.ts'
import { type RedisClient, suiteRedis } from '../support/redis-suite.ts'
import { checkProperty } from '../support/seed.ts'
import { changeOf, createNode, fieldsOf, inAnHour, now, randomKey, tombstoneOf } from './changes.ts'
import { type NearNode, nearStats, openNode, until, untilCopied, untilListIsOld } from './near-support.ts'
import { listening, makeRedisStore } from './redis-support.ts'

const fresh: ReadOptions = { fresh: true }

describe('the near cache of redisStore', { skip: needs('redis-server') }, () => {
  const redis = suiteRedis()
  let here: NearNode
  let there: NearNode
  before(async () => {
    here = redis.use(await openNode(redis.port))
    there = redis.use(await openNode(redis.port))
    await untilListIsOld(here)
  })

  /** A session that `there` has made and `here` has a copy of. */
  async function copied(node: NearNode = here): Promise<string> {
    const key = randomKey()
    await there.store.apply(changeOf(key, { create: true, fields: fieldsOf({ a: '1' }) }))
    await untilCopied(node, key)
    return key
  }

  test('serves a session that it has read without a command, and counts it', async () => {
    const key = await copied()
    const { hits } = nearStats(here)
    const sent = await readsOf(redis.client)
    for (let count = 0; count < 100; count++) assert.equal(valueOf(await here.store.read(key)), '1')
    assert.equal(await readsOf(redis.client), sent)
    assert.equal(nearStats(here).hits, hits + 100)
    assert.equal(nearStats(here).off, undefined)
  })

  test('drops a copy when another node changes the session, and asks at once for a version that a client has seen', async () => {
    const key = await copied()
    const result = await there.store.apply(changeOf(key, { fields: fieldsOf({ a: '2' }) }))
    assert(result.outcome === 'applied')
    assert.equal(valueOf(await here.store.read(key, { atLeast: result.version })), '2')
    await there.store.apply(changeOf(key, { fields: fieldsOf({ a: '3' }) }))
    assert.equal(valueOf(await here.store.read(key, fresh)), '3')
    await until(async () => valueOf(await here.store.read(key)) === '3', 'the copy is dropped')
  })

  test('remembers that there is no session, until there is one', async () => {
    const key = randomKey()
    await here.store.read(key)
    await until(async () => {
      const sent = await readsOf(redis.client)
      assert.equal(await here.store.read(key), undefined)
      return (await readsOf(redis.client)) === sent
    }, 'it is served from memory that there is none')
    const result = await there.store.apply(changeOf(key, { create: true }))
    assert(result.outcome === 'applied')
    assert.equal((await here.store.read(key, { atLeast: result.version }))?.key, key)
    assert.equal((await here.store.read(key))?.key, key)
  })

  test('lets a copy follow its own changes, exactly as Redis has them', async () => {
    const change = fc.record(
      {
        fields: fc
          .array(fc.tuple(fc.constantFrom('a', 'b', ''), fc.option(fc.json())))
          .map((entries) => new Map(entries)),
        unattended: fc.boolean(),
        now: fc.nat(1_000).map((ms) => now + ms),
        expiresAt: fc.nat(1_000).map((ms) => inAnHour + ms),
        rotate: fc.boolean(),
        slot: fc.constantFrom('n1', 'n;2', '__proto__'),
      },
      { requiredKeys: ['slot'], noNullPrototype: true },
    )
    const nodes = new Map(['n1', 'n;2', '__proto__'].map((slot) => [slot, createNode(slot)]))
    const { patches } = nearStats(here)
    const property = fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 8 }), async (changes) => {
      const key = await copied()
      for (const { slot, ...parts } of changes) {
        const operation = nodes.get(slot)?.next()
        await here.store.apply(changeOf(key, { ...parts, ...(operation ? { operation } : {}) }))
        const copy = here.store.copy?.(key)
        const stored = await there.store.read(key, fresh)
        if (copy) assert.deepEqual(copy, stored)
        if (copy) assert.deepEqual([...copy.operations], [...(stored?.operations ?? [])])
        else await untilCopied(here, key)
      }
    })
    await checkProperty(property, { runs: 30 })
    assert(nearStats(here).patches > patches + 30)
  })

  test('is told of a change by another node after one of its own, which Redis does not tell it of', async () => {
    const key = await copied()
    await here.store.apply(changeOf(key, { fields: fieldsOf({ a: '2' }) }))
    assert.equal(valueOf(here.store.copy?.(key)), '2', 'the copy has followed')
    await there.store.apply(changeOf(key, { fields: fieldsOf({ a: '3' }) }))
    await until(() => valueOf(here.store.copy?.(key)) !== '2', 'the copy is dropped')
    assert.equal(valueOf(await here.store.read(key)), '3')
  })

  test('keeps no answer that a change by another node has overtaken', async () => {
    for (let round = 0; round < 20; round++) {
      const key = await copied()
      await there.store.apply(changeOf(key, { fields: fieldsOf({ a: '2' }) }))
      await until(() => here.store.copy?.(key) === undefined, 'the copy is dropped')
      here.proxy.blackHole('down')
      const asked = here.proxy.received('down', '2=2')
      const reading = here.store.read(key)
      await asked
      await there.store.apply(changeOf(key, { fields: fieldsOf({ a: '3' }) }))
      here.proxy.blackHole('none')
      assert.equal(valueOf(await reading), '2', 'it began before')
      await until(async () => valueOf(await here.store.read(key)) === '3', 'the change is seen')
    }
  })

  test('keeps no answer of before a change of its own, in whichever order they are asked and answered', async () => {
    for (let round = 0; round < 50; round++) {
      const key = await copied()
      const reads = (): Promise<unknown>[] => Array.from({ length: round % 4 }, () => here.store.read(key, fresh))
      const before = reads()
      const changing = here.store.apply(changeOf(key, { fields: fieldsOf({ a: '2' }) }))
      const meanwhile = reads()
      await changing
      assert.equal(valueOf(await here.store.read(key)), '2')
      await Promise.all([...before, ...meanwhile])
      assert.equal(valueOf(await here.store.read(key)), '2')
      const ending = here.store.end(tombstoneOf(key))
      const late = reads()
      await ending
      assert.equal(await here.store.read(key), undefined)
      await Promise.all(late)
      assert.equal(await here.store.read(key), undefined)
    }
  })

  test('serves nothing of before an end or a login once another node was told that it has happened', async () => {
    await using third = await openNode(redis.port)
    const cases = [
      ['ended', (key: string) => there.store.end(tombstoneOf(key)), (key: string) => third.store.read(key, fresh)],
      [
        'logged in',
        (key: string) => there.store.apply(changeOf(key, { login: { user: 'ada' } })),
        (key: string) => third.store.end({ ...tombstoneOf(key), generation: 0 }),
      ],
    ] as const
    for (const [what, change, isTold] of cases) {
      const key = await copied()
      here.proxy.blackHole('both')
      const changing = change(key)
      const has = async (): Promise<boolean> =>
        (await redis.client.hmGet(`sojourn:${key}`, ['t', 'm'])).join().includes(told)
      const told = what === 'ended' ? `${tombstoneOf(key).endedAt} ` : '=ada'
      await until(has, what)
      await isTold(key)
      assert.equal(here.store.copy?.(key), undefined, what)
      here.proxy.blackHole('none')
      await changing
    }
  })

  test('a revokeUser that meets the login of another over a session of the user waits until no node serves that session', async () => {
    const key = randomKey()
    const user = randomUUID()
    await there.store.users?.enter({ user, key, at: now })
    await there.store.apply(changeOf(key, { create: true, login: { user } }))
    await untilCopied(here, key)
    const secret = randomUUID() + randomUUID()
    await using sessions = createSessions({ store: redisStore({ url: redis.url }), secret, deadline: '3s' })
    await sessions.ready()
    here.proxy.blackHole('both')
    const taking = there.store.apply(changeOf(key, { login: { user: 'bob' } }))
    await until(async () => (await redis.client.hGet(`sojourn:${key}`, 'm'))?.endsWith('=bob'), 'the login was made')
    assert.equal(await sessions.revokeUser(user), 0)
    assert.equal(here.store.copy?.(key), undefined)
    here.proxy.blackHole('none')
    await taking
    assert.equal((await there.store.read(key, fresh))?.user, 'bob')
  })

  test('a revokeUser that is sent again brings back no epoch that another has left', async () => {
    await using cut = await openNode(redis.port)
    const login = { user: 'ada', key: randomKey(), at: now }
    await cut.store.users?.advance('ada') // Redis knows the script
    const dropped = cut.proxy.dropNextAnswer((chunk) => chunk.includes('user:'))
    await cut.proxy.refuse(true)
    const advancing = cut.store.users?.advance('ada')
    await dropped
    const epoch = await there.store.users?.enter(login)
    await there.store.users?.advance('ada')
    await cut.proxy.refuse(false)
    await advancing
    assert.equal(await there.store.users?.settle(login, epoch ?? ''), false)
  })

  test('is asked by one command, of at most 220 bytes beside the value, for a change of one field', async () => {
    const key = randomKey()
    const cart = JSON.stringify('x'.repeat(1_000))
    await there.store.apply(changeOf(key, { create: true, login: { user: 'user-123456' }, fields: fieldsOf({ cart }) }))
    await untilCopied(here, key)
    const scripts = await callsOf(redis.client, 'evalsha')
    let sent = ''
    const isSent = here.proxy.received('up', (chunk) => (sent = chunk.toString()).includes('=12345'))
    await here.store.apply(changeOf(key, { operation: createNode().next(), fields: fieldsOf({ views: '12345' }) }))
    assert.equal((await here.store.read(key))?.fields.size, 2)
    assert.ok((await callsOf(redis.client, 'evalsha')) - scripts <= 2, 'the change, and perhaps a lease')
    await isSent
    const end = sent.indexOf('=12345') + '=12345\r\n'.length
    const bytes = end - sent.lastIndexOf('*', end) - '12345'.length
    assert(bytes > 0 && bytes <= 220, `${bytes} bytes`)
  })

  test('keeps within its bounds, and tells about as many bytes as copies take', async () => {
    await using small = await openNode(redis.port, { nearCache: { maxSessions: 20 } })
    await using tight = await openNode(redis.port, { nearCache: { maxBytes: 100_000 } })
    for (let count = 0; count < 30; count++) {
      const key = randomKey()
      const cart = JSON.stringify('x'.repeat(10_000))
      await there.store.apply(changeOf(key, { create: true, fields: fieldsOf({ cart }) }))
      for (const node of [small, tight]) await node.store.read(key)
    }
    assert.equal(nearStats(small).copies, 20)
    const { copies, bytes } = nearStats(tight)
    assert(bytes <= 100_000 && bytes > 90_000 && copies === 9, `${copies} copies of ${bytes} bytes`)
  })

  test('is off where it cannot be, says why, and serves all the same', async () => {
    await redis.client.sendCommand(['ACL', 'SETUSER', 'untold', 'on', '>pw', '~*', '&*', '+@all', '-client|tracking'])
    await redis.client.sendCommand(['ACL', 'SETUSER', 'deaf', 'on', '>pw', '~*', '&none', '+@all'])
    const url = (user: string): string => `redis://${user}:pw@127.0.0.1:${redis.port}`
    const speaksTwo = createClient({ url: redis.url, RESP: 2 })
    await speaksTwo.connect()
    const cases = [
      [{ url: redis.url, nearCache: false }, /option nearCache is false/],
      [{ url: url('untold') }, /CLIENT TRACKING.*NOPERM/],
      [{ url: url('deaf') }, /channels.*NOPERM/],
      [{ client: speaksTwo }, /RESP3/],
    ] as const
    for (const [options, reason] of cases) {
      const { logger, lines } = listening()
      const store = makeRedisStore(options, { logger })
      await store.ready()
      assert.match(nearStats({ store }).off ?? '', reason)
      assert.equal(lines.length, 'url' in options && options.url !== redis.url ? 1 : 0, 'what Redis refuses is logged')
      const key = randomKey()
      await store.apply(changeOf(key, { create: true }))
      assert.equal((await store.read(key))?.key, key)
      assert.equal(store.copy?.(key), undefined)
      assert.equal(await store.end(tombstoneOf(key)), 'ended')
      await store.close()
    }
    speaksTwo.destroy()
  })

  test('asks for what it needs in words, before anything is opened', () => {
    const { url } = redis
    const open = (nearCache: unknown, deadlineMs = 1_000): unknown =>
      makeRedisStore({ url, nearCache: nearCache as boolean }, { deadlineMs })
    assert.throws(() => open({ lease: '2s' }), { name: 'TypeError', message: /nearCache\.lease/ })
    assert.throws(() => open({ lease: '900ms' }), {
      name: 'TypeError',
      message: /at most 650 ms, or a longer deadline/,
    })
    assert.throws(() => open({ maxSessions: 0 }), { name: 'TypeError', message: /nearCache\.maxSessions/ })
    assert.throws(() => open({ maxByte: 1 }), { name: 'TypeError', message: /no option "maxByte"/ })
    assert.throws(() => open('on'), { name: 'TypeError', message: /nearCache is true, false/ })
    open({ lease: '1s' }, 2_000)
  })

  test('leaves a client that it was given as it was', async () => {
    const client = createClient({ url: redis.url })
    await client.connect()
    const store = makeRedisStore({ client })
    await store.ready()
    assert.equal(nearStats({ store }).off, undefined)
    const [flags] = Object.values(await client.sendCommand<Record<string, string[]>>(['CLIENT', 'TRACKINGINFO']))
    assert.deepEqual(flags, ['off'])
    await store.close()
    assert.equal(await client.ping(), 'PONG')
    client.destroy()
  })
})

async function callsOf(client: RedisClient, command: string): Promise<number> {
  const [, calls = '0'] = new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await client.info('commandstats')) ?? []
  return Number(calls)
}

function readsOf(client: RedisClient): Promise<number> {
  return callsOf(client, 'hgetall')
}

function valueOf(record: SessionRecord | undefined, name = 'a'): string | null | undefined {
  return record?.fields.get(name)?.value
}
