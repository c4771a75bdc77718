/**
 * `npm run failovers -- [--count 20]`: masters that Sentinels watch are killed under load, again and again, and what was
 * acknowledged and is not there afterwards is counted, with and without WAIT.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { StoreTimeoutError, StoreUnavailableError } from '../../src/core/index.ts'
import { type RedisSentinel, startRedisSentinel } from '../support/redis-sentinel.ts'
import { askRedis, type Redis } from '../support/redis.ts'
import { type Kind, openSentinelStore } from '../stores/redis-support.ts'
import { Visitors } from '../stores/visitors.ts'

const VISITORS = 20
/** How long they write before the kill, which then comes at any moment. */
const LOAD_MS = 300
/** Between a master and its replicas. */
const LATENCY_MS = 5

interface Scenario {
  readonly title: string
  readonly replicas: number
  readonly waitReplicas: number
  /** What is done to the servers shortly before the kill. */
  before?(sentinel: RedisSentinel): Promise<void>
}

const scenarios: readonly Scenario[] = [
  { title: 'one replica, waitReplicas 0', replicas: 1, waitReplicas: 0 },
  { title: 'one replica, waitReplicas 1: it has confirmed', replicas: 1, waitReplicas: 1 },
  {
    title: 'two replicas, waitReplicas 1, and the one is promoted that was cut off for 100 ms and has not confirmed',
    replicas: 2,
    waitReplicas: 1,
    async before(sentinel) {
      const [favourite] = await replicasOf(sentinel)
      if (!favourite) return
      await askRedis(favourite.port, 'CONFIG', 'SET', 'replica-priority', '1')
      await sleep(LOAD_MS)
      await askRedis(favourite.port, 'REPLICAOF', '127.0.0.1', '1')
      await sleep(100)
    },
  },
]

const { values } = parseArgs({ options: { count: { type: 'string', default: '20' } } })
const count = Number(values.count)

console.log('| failovers | with losses | changes acknowledged | of them lost | lost in one failover, at most |')
console.log('|---|---|---|---|---|')
for (const scenario of scenarios) await report(scenario)

async function report(scenario: Scenario): Promise<void> {
  const losses: number[] = []
  let acknowledged = 0
  for (let index = 0; index < count; index += 1) {
    const kind: Kind = index % 2 === 0 ? 'a client of redis' : 'a client of ioredis'
    const result = await failOver(scenario, kind)
    losses.push(result.lost)
    acknowledged += result.acknowledged
  }
  const sum = losses.reduce((all, lost) => all + lost, 0)
  const withLosses = losses.filter((lost) => lost > 0).length
  console.log(`| ${count}: ${scenario.title} | ${withLosses} | ${acknowledged} | ${sum} | ${Math.max(...losses)} |`)
}

/** One failover of servers of its own, so that each begins well. */
async function failOver(scenario: Scenario, kind: Kind): Promise<{ lost: number; acknowledged: number }> {
  await using sentinel = await startRedisSentinel({
    replicas: scenario.replicas,
    latencyMs: LATENCY_MS,
    downAfterMs: 1_000,
  })
  await using opened = await openSentinelStore(kind, sentinel, {}, { waitReplicas: scenario.waitReplicas })
  const visitors = new Visitors(opened.store, VISITORS)
  await visitors.open()
  const master = await sentinel.master()
  visitors.run({ untilRefused: true })
  await sleep(LOAD_MS * (1 + Math.random()))
  await scenario.before?.(sentinel)
  await sentinel.lose(master)
  await sentinel.untilFailedOver(master)
  await visitors.stop()
  return { lost: await untilRead(visitors), acknowledged: visitors.acknowledged }
}

async function replicasOf(sentinel: RedisSentinel): Promise<readonly Redis[]> {
  const master = await sentinel.master()
  return sentinel.servers.filter((server) => server !== master)
}

/** The client may need a moment to find the new master. */
async function untilRead(visitors: Visitors): Promise<number> {
  for (;;) {
    const lost = await visitors.lost().catch((error: unknown) => error)
    if (typeof lost === 'number') return lost
    if (!(lost instanceof StoreUnavailableError || lost instanceof StoreTimeoutError)) throw lost
    await sleep(50)
  }
}
