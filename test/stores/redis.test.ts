import { after, before, describe } from 'node:test'
import { createClient } from 'redis'
import { needs } from '../support/programs.ts'
import { startRedis, type Redis } from '../support/redis.ts'
import { storeContract } from './contract.ts'
import { usersContract } from './users-contract.ts'
import { kinds, makeRedisStore, openRedisStore } from './redis-support.ts'

describe('redisStore', { skip: needs('redis-server') }, () => {
  let redis: Redis
  before(async () => (redis = await startRedis()))
  after(() => redis.stop())

  for (const kind of kinds) {
    storeContract(`redisStore with ${kind}`, () => openRedisStore(kind, redis.port))
    usersContract(`redisStore with ${kind}`, () => openRedisStore(kind, redis.port), 'own index')
  }

  storeContract('redisStore with a client of redis that speaks RESP2', async () => {
    const client = createClient({ url: redis.url, RESP: 2 })
    await client.connect()
    const store = makeRedisStore({ client })
    await store.ready()
    return {
      store,
      async close() {
        await store.close()
        client.destroy()
      },
    }
  })
})
