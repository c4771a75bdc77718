import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { createSessions } from '../../../src/index.ts'
import {
  connectRedis,
  fastifySession,
  type OldSessionsDefinition,
  redisStore,
} from '../../../src/stores/redis/index.ts'
import { needs } from '../../support/programs.ts'
import { suiteRedis } from '../../support/redis-suite.ts'
import { createSecret } from '../../token/secrets.ts'

/** A session as the real packages wrote it. */
interface Vector {
  readonly name: string
  readonly options: { cookieName?: string; cookiePrefix?: string; algorithm?: string; name?: string }
  readonly storeOptions?: { prefix?: string; serializer?: string }
  readonly secrets: readonly string[]
  readonly cookieRaw?: string
  readonly sid?: string
  readonly redisKey?: string
  readonly redisValue?: string
}

function vectorsOf(library: string): Vector[] {
  const url = new URL(`../../vectors/${library}/vectors.json`, import.meta.url)
  return (JSON.parse(readFileSync(url, 'utf8')) as { vectors: Vector[] }).vectors
}

const hexOfJson = {
  parse: (text: string): unknown => JSON.parse(Buffer.from(text.replace(/^hex:/, ''), 'hex').toString()),
  stringify: (session: object): string => Buffer.from(JSON.stringify(session)).toString('hex'),
}

const cases = [
  ...vectorsOf('express-session').map((vector) => ({
    library: 'express-session',
    vector,
    cookie: vector.options.name ?? 'connect.sid',
    open: (secret: readonly string[]): OldSessionsDefinition =>
      connectRedis({
        secret,
        cookie: vector.options.name,
        prefix: vector.storeOptions?.prefix,
        serializer: vector.storeOptions?.serializer ? hexOfJson : undefined,
      }),
  })),
  ...vectorsOf('fastify-session').map((vector) => ({
    library: '@fastify/session',
    vector,
    cookie: vector.options.cookieName ?? 'sessionId',
    open: (secret: readonly string[]): OldSessionsDefinition =>
      fastifySession({
        secret,
        cookie: vector.options.cookieName,
        cookiePrefix: vector.options.cookiePrefix,
        algorithm: vector.options.algorithm,
      }),
  })),
].filter(({ vector }) => vector.redisValue !== undefined && vector.cookieRaw !== undefined)

describe('sessions that the other libraries left in Redis', { skip: needs('redis-server') }, () => {
  const redis = suiteRedis()

  for (const { library, vector, cookie, open } of cases) {
    test(`${library}, ${vector.name}: is taken over with its data; a changed cookie is not`, async () => {
      const { redisKey = '', redisValue = '', cookieRaw = '' } = vector
      await redis.client.set(redisKey, redisValue, { EX: 60 })
      const options = {
        secret: createSecret(),
        deadline: '20s' as const,
        logger: { info() {}, warn() {}, error() {} },
        cookie: { name: '__Host-new' },
      }
      const store = redisStore({ url: redis.url, keyPrefix: `${vector.sid}:`, migrateFrom: open(vector.secrets) })
      await using sessions = createSessions({ ...options, store })
      for (const wrong of [`${cookieRaw}x`, cookieRaw.slice(1), cookieRaw.slice(0, -1), '', '.', 's:.', 's%3A']) {
        assert.equal((await sessions.open({ headers: { cookie: `${cookie}=${wrong}` } })).isNew, true, wrong)
      }
      const session = await sessions.open({ headers: { cookie: `a=b; ${cookie}=${cookieRaw}` } })
      const value = vector.storeOptions?.serializer ? hexOfJson.parse(redisValue) : JSON.parse(redisValue)
      const { cookie: _, ...data } = value as Record<string, unknown>
      assert.deepEqual({ ...session.data }, data)
      const lines = await sessions.commit(session)
      assert.deepEqual(lines.map(([name, line]) => (name === 'set-cookie' ? line.split('=')[0] : name)), [
        '__Host-new', 'cache-control', '__Host-new-v',
      ]) // prettier-ignore
      assert.ok(await redis.client.exists(redisKey), 'the old servers still know it')
    })
  }
})
