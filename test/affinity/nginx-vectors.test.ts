import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { type Affinity, ipHash, roundRobin } from '../../src/affinity/index.ts'
import { readVectorGroups, toServers, type VectorCase, type VectorGroup } from './vectors.ts'

suite('ipHash().choose() picks what nginx picked', () => {
  for (const file of ['ip_hash', 'edges']) {
    for (const group of readVectorGroups(file).filter(({ method }) => method === 'ip_hash')) {
      test(`${file} ${group.id}: ${group.cases.length} clients`, () => {
        const affinity = ipHash(toServers(group))
        const chosen = group.cases.map(({ clientIp = '' }) => affinity.choose(clientIp)?.name ?? null)
        assertSame(group, chosen)
      })
    }
  }
})

suite('a walk of ipHash() tries the servers that nginx tried', () => {
  for (const file of ['failover', 'timed']) {
    for (const group of readVectorGroups(file)) {
      test(`${file} ${group.id}: ${group.cases.length} cases`, () => assertWalks(group))
    }
  }
})

test('roundRobin() picks what nginx picked where a hash has no key', () => {
  const group = readVectorGroups('edges').find(({ id }) => id === 'empty-keys')
  assert.ok(group)
  const affinity = roundRobin(toServers(group))
  assertSame(
    group,
    group.cases.map(() => affinity.choose()?.name ?? null),
  )
})

function assertSame(group: VectorGroup, chosen: (string | null)[]): void {
  assert.ok(group.cases.length > 0)
  assert.deepEqual(
    chosen,
    group.cases.map(({ expected }) => expected),
  )
}

function assertWalks(group: VectorGroup): void {
  let nowS = 0
  const unreachable = new Set(group.upstream.filter((server) => server.unreachable).map(({ addr }) => addr))
  const toAffinity = (): Affinity => ipHash(toServers(group), { now: () => nowS * 1000 + 999 })
  let affinity = toAffinity()
  let requestCount = 0
  for (const [index, vector] of group.cases.entries()) {
    nowS = vector.t ?? 0
    if (vector.event === 'down') unreachable.add(vector.server ?? '')
    else if (vector.event === 'up') unreachable.delete(vector.server ?? '')
    else {
      if (group.mode === 'fresh') affinity = toAffinity()
      requestCount += 1
      assert.deepEqual(walk(affinity, vector, unreachable), expectedOf(vector), `case ${index}`)
    }
  }
  assert.ok(requestCount > 100)
}

function walk(affinity: Affinity, { clientIp = '' }: VectorCase, unreachable: Set<string>): unknown {
  const tried: string[] = []
  const servers = affinity.begin(clientIp)
  for (;;) {
    const server = servers.next()
    if (!server) return { tried, expected: null }
    tried.push(server.name)
    if (!unreachable.has(server.name)) {
      servers.succeeded()
      return { tried, expected: server.name }
    }
    servers.failed()
  }
}

function expectedOf({ tried = [], expected }: VectorCase): unknown {
  return { tried, expected: expected ?? null }
}
