import { after, before, describe } from 'node:test'
import { needs } from '../support/programs.ts'
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.ts'
import { type RedisSentinel, startRedisSentinel } from '../support/redis-sentinel.ts'
import { storeContract } from './contract.ts'
import { oldSessionsContract } from './redis-old/contract.ts'
import { usersContract } from './users-contract.ts'
import { kinds, openClusterStore, openSentinelStore } from './redis-support.ts'

describe('redisStore on a Cluster', { skip: needs('redis-server') }, () => {
  let cluster: RedisCluster
  before(async () => (cluster = await startRedisCluster()))
  after(() => cluster.stop())

  for (const kind of kinds) {
    storeContract(`redisStore with ${kind}`, () => openClusterStore(kind, cluster))
    usersContract(`redisStore with ${kind}`, () => openClusterStore(kind, cluster), 'own index')
    oldSessionsContract(`the store with ${kind}`, (migrateFrom) => openClusterStore(kind, cluster, {}, { migrateFrom }))
  }
})

describe('redisStore behind Sentinels', { skip: needs('redis-server') }, () => {
  let sentinel: RedisSentinel
  before(async () => (sentinel = await startRedisSentinel({ replicas: 0 })))
  after(() => sentinel.stop())

  for (const kind of kinds) {
    storeContract(`redisStore with ${kind}`, () => openSentinelStore(kind, sentinel))
    usersContract(`redisStore with ${kind}`, () => openSentinelStore(kind, sentinel), 'own index')
  }
})
