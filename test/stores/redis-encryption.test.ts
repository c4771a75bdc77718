import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import { RESP_TYPES } from 'redis'
import { createSessions, SessionInvalidError, type SessionsOptions, type Store } from '../../src/index.ts'
import { redisStore, type RedisStoreOptions } from '../../src/stores/redis/index.ts'
import { rewriteScript } from '../../src/stores/redis/scripts.ts'
import { createKeyRing } from '../../src/token/index.ts'
import { needs } from '../support/programs.ts'
import { type RedisClient, suiteRedis } from '../support/redis-suite.ts'
import { createSecret, createSecretBeside } from '../token/secrets.ts'
import { changeOf, fieldsOf, randomKey } from './changes.ts'
import { storeContract } from './contract.ts'
import { forgetSessions, makeRedisStore } from './redis-support.ts'

const secret = createSecret()
const newer = createSecretBeside(secret, false)

describe('redisStore with encrypt', { skip: needs('redis-server') }, () => {
  const redis = suiteRedis()
  beforeEach(() => forgetSessions(redis.client))

  async function open(encrypt: RedisStoreOptions['encrypt'], secrets: string | string[] = secret): Promise<OpenStore> {
    const store = makeRedisStore({ url: redis.url, encrypt }, { keyRing: createKeyRing(secrets) })
    await store.ready()
    return Object.assign(store, { [Symbol.asyncDispose]: () => store.close() })
  }

  const raw = (key: string): Promise<Record<string, string>> => redis.client.hGetAll(`sojourn:${key}`)

  /** Rejects with an error that names the field and tells nothing of its content; the session can still be ended. */
  async function assertRefused(store: Store, key: string, field: string, message: RegExp): Promise<void> {
    const before = await raw(key)
    await assert.rejects(store.read(key), (error) => {
      assert(error instanceof SessionInvalidError, String(error))
      assert.deepEqual([error.code, error.field], ['session_invalid', field])
      assert.match(error.message, message)
      assert.doesNotMatch(`${error.stack} ${JSON.stringify(error)}`, /tea|sealed-by-nobody/)
      return true
    })
    assert.deepEqual(await raw(key), before)
  }

  storeContract('redisStore that encrypts', async () => {
    const store = await open(true)
    return { store, close: () => store.close() }
  })

  async function contentsWith(encrypt: boolean): Promise<string> {
    await using sessions = createSessions(settings({ url: redis.url, encrypt }))
    const session = await sessions.open({ headers: {} })
    session.data.cart = ['MARKER-of-a-cart']
    await session.update('note', () => ({ at: new Date(), text: 'MARKER-of-a-note' }))
    await session.login('ada')
    await session.rotate()
    const lines = await sessions.commit(session)
    const cookie = lines.flatMap(([name, value]) => (name === 'set-cookie' ? [value.split(';')[0]] : [])).join('; ')
    await sessions.open({ headers: { cookie, 'user-agent': 'MARKER-of-an-agent' } })
    assert.deepEqual((await sessions.get(session.key))?.data.cart, ['MARKER-of-a-cart'])
    const contents = await everything(redis.client)
    for (const readable of [':cart', ':sojourn:use', '=ada']) assert(contents.includes(readable), readable)
    return contents
  }

  test('leaves no value of a session to be read in Redis', async () => {
    assert.doesNotMatch(await contentsWith(true), /MARKER/)
    for (const what of ['cart', 'note', 'agent']) assert.match(await contentsWith(false), new RegExp(`MARKER-of-an?-${what}`)) // prettier-ignore
  })

  test('opens no value that was moved to another session or field, or was changed', async () => {
    await using store = await open(true)
    const [mine, theirs] = [await created(store, { cart: '"tea"', role: '"guest"' }), await created(store, { role: '"admin"' })] // prettier-ignore
    const [own, other] = [await raw(mine), await raw(theirs)]
    for (const [field, moved] of [
      ['role', other[':role']],
      ['role', own[':cart']],
      ['cart', own[':role']],
      ['role', own[':role']?.slice(0, -1)],
      ['role', own[':role']?.replace('!', '!A')],
      ['role', '1=!'],
      ['role', '1=!sealed-by-nobody'],
    ]) {
      await redis.client.hSet(`sojourn:${mine}`, { ...own, [`:${field}`]: moved ?? '' })
      await assertRefused(store, mine, field ?? '', /cannot be opened/)
    }
    await redis.client.hSet(`sojourn:${mine}`, own)
    assert.equal(await valueOf(store, mine, 'role'), '"guest"')
  })

  test('opens no damaged field for an update, and lets its session be ended', async () => {
    await using store = await open(true)
    const key = await created(store, { cart: '"tea"' })
    await redis.client.hSet(`sojourn:${key}`, ':cart', '1=!sealed-by-nobody')
    const stale = { field: 'cart', stamp: null }
    const change = changeOf(key, { generation: 1, expect: stale, fields: fieldsOf({ cart: '"more"' }) })
    await assert.rejects(store.apply(change), { code: 'session_invalid', field: 'cart' })
    await using sessions = createSessions(settings({ url: redis.url, encrypt: true }))
    await assert.rejects(sessions.get(key), { code: 'session_invalid', field: 'cart' })
    assert.equal(await sessions.revoke(key), true)
    assert.equal(await store.read(key), undefined)
  })

  test('refuses plain values, and with migrate reads and seals them', async () => {
    await using plain = await open(false)
    await using sealing = await open(true)
    await using migrating = await open('migrate')
    const key = await created(plain, { cart: '"tea"', note: '' })
    await assertRefused(sealing, key, 'cart', /'migrate' reads and seals/)
    const before = await plain.read(key)
    assert.deepEqual(await migrating.read(key), before)
    await migrating.check() // the same connection: what was sent before is done
    const stored = await raw(key)
    for (const field of [':cart', ':note']) assert.match(stored[field] ?? '', /^1=!/)
    for (const store of [migrating, sealing, plain]) assert.deepEqual(await store.read(key), before)
    await migrating.check()
    assert.deepEqual(await raw(key), stored, 'sealed once')
  })

  test('seals nothing over a value that was changed meanwhile, nor where a session has ended', async () => {
    await using store = await open(false)
    const key = await created(store, { cart: '"tea"', note: '"a"' })
    await store.apply(changeOf(key, { generation: 1, fields: fieldsOf({ cart: '"milk"', note: null }) }))
    const late = [':cart', '1', '=!late', ':note', '1', '=!late']
    const rewrite = (): Promise<unknown> =>
      redis.client.eval(rewriteScript.text, { keys: [`sojourn:${key}`], arguments: late })
    const before = await raw(key)
    await rewrite()
    assert.deepEqual(await raw(key), before)
    await store.end({ key, endedAt: Date.now(), forgetAt: Date.now() + 60_000 })
    await rewrite()
    assert.deepEqual(Object.keys(await raw(key)), ['t', 'e'])
  })

  test('rolls secrets: a session is sealed anew when it is read, and one of a secret that is missing is kept', async () => {
    await using first = await open(true, secret)
    const [key, forgotten] = [await created(first, { cart: '"tea"' }), await created(first, { cart: '"tea"' })]
    await using second = await open(true, [secret, newer])
    await using third = await open(true, [newer, secret])
    await using last = await open(true, newer)
    assert.equal(await valueOf(second, key, 'cart'), '"tea"')
    await assertRefused(last, key, 'cart', /secret that is missing.*\[new, old\]/)
    const ttl = await redis.client.pTTL(`sojourn:${key}`)
    const record = await third.read(key)
    await third.check()
    assert.deepEqual(await last.read(key), record)
    assert((await redis.client.pTTL(`sojourn:${key}`)) <= ttl)
    await assertRefused(last, forgotten, 'cart', /secret that is missing/)
    assert.equal(await valueOf(third, forgotten, 'cart'), '"tea"')
  })

  test('takes nothing but true, false and migrate', () => {
    for (const encrypt of ['yes', 1, null, { key: 'a' }]) {
      const options = { url: redis.url, encrypt } as RedisStoreOptions
      assert.throws(() => redisStore(options), { name: 'TypeError', message: /true, false or 'migrate'/ })
    }
  })
})

type OpenStore = Store & AsyncDisposable

async function created(store: Store, fields: Record<string, string>): Promise<string> {
  const key = randomKey()
  const login = { user: 'ada' }
  const result = await store.apply(changeOf(key, { create: true, login, fields: fieldsOf(fields) }))
  assert.equal(result.outcome, 'applied')
  return key
}

async function valueOf(store: Store, key: string, field: string): Promise<string | null | undefined> {
  return (await store.read(key))?.fields.get(field)?.value
}

interface Data {
  cart: string[]
  note: object
}

function settings(options: RedisStoreOptions): SessionsOptions<Data> {
  return { store: redisStore(options), secret, initial: () => ({ cart: [], note: {} }) }
}

/** All keys with what they hold, and what Redis would write of it into a file. */
async function everything(admin: RedisClient): Promise<string> {
  const binary = admin.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
  let contents = ''
  for await (const keys of admin.scanIterator()) {
    for (const key of keys) {
      const dump: unknown = await binary.dump(key)
      if (Buffer.isBuffer(dump)) contents += dump.toString('latin1')
      if ((await admin.type(key)) === 'hash') contents += JSON.stringify([key, await admin.hGetAll(key)])
    }
  }
  return contents
}
