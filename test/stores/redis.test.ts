import { before, after } from 'node:test'
import { Redis as Ioredis } from 'ioredis'
import { createClient } from 'redis'
import { storeContract } from './contract.ts'
import { openRedisStore } from './redis-support.ts'
import { startRedis, type Redis } from '../support/redis.ts'

let redis: Redis
before(async () => (redis = await startRedis()))
after(() => redis.stop())

storeContract('redisStore({ url })', () => openRedisStore({ url: redis.url }))

storeContract('redisStore with a client of redis', async () => {
  const client = createClient({ url: redis.url })
  await client.connect()
  return openRedisStore({ client }, () => client.destroy())
})

storeContract('redisStore with a client of redis that speaks RESP2', async () => {
  const client = createClient({ url: redis.url, RESP: 2 })
  await client.connect()
  return openRedisStore({ client }, () => client.destroy())
})

storeContract('redisStore with a client of ioredis', () => {
  const client = new Ioredis(redis.port)
  return openRedisStore({ client }, () => client.disconnect())
})
