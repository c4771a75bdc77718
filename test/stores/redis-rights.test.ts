import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { createSessions } from '../../src/index.ts'
import { redisStore, type RedisStoreOptions } from '../../src/stores/redis/index.ts'
import { Client } from '../core/fleet.ts'
import { needs } from '../support/programs.ts'
import { startRedisCluster } from '../support/redis-cluster.ts'
import { QUICK, startReplica } from '../support/redis-replica.ts'
import { askRedis, startRedis } from '../support/redis.ts'

/** What README says that the user of Redis needs. */
const [, RIGHTS = ''] = /^ACL SETUSER sojourn on >password (.+)$/m.exec(readFileSync('README.md', 'utf8')) ?? []

describe('redisStore with the rights that README asks for', { skip: needs('redis-server') }, () => {
  it('does all that it does, with a replica', async () => {
    await using master = await startRedis({ args: QUICK })
    await using _ = await startReplica(master)
    await allow(master.port, RIGHTS)
    await assertDoesAll({ url: withUser(master.url) }, [master.port])
  })

  it('does all that it does, on a Cluster with replicas', async () => {
    await using cluster = await startRedisCluster({ withReplicas: true })
    const servers = [...cluster.masters, ...cluster.replicas]
    for (const { port } of servers) await allow(port, `${RIGHTS} +cluster`)
    const ports = servers.map(({ port }) => port)
    await assertDoesAll({ cluster: { nodes: cluster.urls.map(withUser) } }, ports)
  })
})

function withUser(url: string): string {
  return url.replace('redis://', 'redis://app:pw@')
}

async function allow(port: number, rights: string): Promise<void> {
  assert.match(rights, /~sojourn:\* /)
  await askRedis(port, 'ACL', 'SETUSER', 'app', 'on', '>pw', ...rights.split(' '))
}

async function assertDoesAll(options: RedisStoreOptions, ports: readonly number[]): Promise<void> {
  await using sessions = createSessions({
    store: redisStore(options),
    secret: randomUUID() + randomUUID(),
    initial: () => ({ views: 0 }),
    maxSessionsPerUser: { max: 2, policy: 'end-oldest' },
    deadline: '10s',
  })
  await sessions.ready()
  for (let users = 0; users < 5; users += 1) {
    const user = randomUUID()
    for (let logins = 0; logins < 3; logins += 1) {
      const client = new Client()
      await client.visit(sessions, async (session) => {
        await session.update('views', (views) => views + 1)
        await session.login(user)
      })
      await client.visit(sessions, (session) => session.rotate())
      assert.equal(await client.visit(sessions, (session) => session.user), user)
      if (logins === 0) await client.visit(sessions, (session) => session.logout())
    }
    let count = 0
    for await (const { key } of sessions.list(user)) count += key.length > 0 ? 1 : 0
    assert.equal(count, 2)
    assert.equal(await sessions.revokeUser(user), 2)
  }
  const { nearCache, replication } = sessions.stats()
  assert.equal(nearCache?.off, undefined)
  assert.equal(replication?.unconfirmed, 0)
  assert(replication && replication.confirmed > 0)
  // What a managed Redis refuses too, and nobody needs.
  const refused = (await Promise.all(ports.map((port) => askRedis(port, 'ACL', 'LOG')))).flat().map(String)
  assert.deepEqual(
    refused.filter((entry) => !entry.includes('config|get')),
    [],
  )
}
