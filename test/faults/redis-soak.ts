/**
 * `npm run soak:redis -- --minutes 5 --seed 1 [--customers 200] [--deadline 1000] [--encrypt]`: a random schedule of faults of
 * Redis and of the network before it, under real processes with load. After each fault every node is asked for every session.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createRandom } from '../../src/laws/random.ts'
import { Load } from './load.ts'
import { redisFaults, startRedisFleet } from './redis-fleet.ts'

const FAULT_MS_MAX = 12_000
const VIOLATIONS_SHOWN = 20

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    customers: { type: 'string', default: '200' },
    deadline: { type: 'string', default: '1000' },
    encrypt: { type: 'boolean', default: false },
  },
})
const seed = Number(values.seed)
const random = createRandom(seed)
console.log(`seed ${seed}: nodes by url, ioredis and redis, ${values.customers} visitors, deadline ${values.deadline} ms, ${values.minutes} minutes`) // prettier-ignore

await using fleet = await startRedisFleet({
  clients: ['url', 'ioredis', 'redis'],
  deadlineMs: Number(values.deadline),
  options: { encrypt: values.encrypt },
})
const load = new Load({ customers: Number(values.customers), ports: fleet.ports, seed })
const { tally } = load
const counts = new Map<string, number>()
const callsMax = fleet.nodes.map(() => 0)

await load.open()
const heapsBefore = await Promise.all(fleet.nodes.map(async (node) => (await node.stats()).heapBytes))
const endsAt = performance.now() + Number(values.minutes) * 60_000
while (performance.now() < endsAt && tally.violations.length === 0) {
  const [name, fault] = random.of(Object.entries(redisFaults))
  const faultMs = 100 + random.below(FAULT_MS_MAX)
  load.run()
  await load.acknowledges(50)
  await fault(fleet, () => hold(faultMs), faultMs)
  const healedAt = performance.now()
  await fleet.healthy()
  const tookMs = Math.round(performance.now() - healedAt)
  await load.acknowledges(50)
  await load.stop()
  await load.verify()
  await judge()
  counts.set(name, (counts.get(name) ?? 0) + 1)
  console.log(`${name} for up to ${faultMs} ms: well ${tookMs} ms after; ${String(tally)}`)
}

console.log(`seed ${seed}`)
console.log(`faults: ${[...counts].map(([name, count]) => `${name} ${count}`).join(', ')}`)
console.log(`requests ${tally.requests}, acknowledged changes ${tally.acknowledged}, verified ${tally.verified}, answered 503 ${tally.unavailable}, no answer ${tally.broken}, slowest answer ${tally.slowestMs} ms`) // prettier-ignore
for (const [index, node] of fleet.nodes.entries()) {
  const { stats, heapBytes } = await node.stats()
  const { refused, outages } = stats.connection ?? { refused: 0, outages: 0 }
  console.log(`by ${node.client}: ${outages} outages, ${refused} calls refused at once, at most ${callsMax[index]} under way; heap ${toMiB(heapsBefore[index] ?? 0)} before, ${toMiB(heapBytes)} after`) // prettier-ignore
}
console.log(`losses ${tally.violations.length}`)
for (const violation of tally.violations.slice(0, VIOLATIONS_SHOWN)) console.log(violation)
if (tally.violations.length > 0) process.exitCode = 1

/** Waits, and looks now and then how many calls each node has under way. */
async function hold(ms: number): Promise<void> {
  const until = performance.now() + ms
  while (performance.now() < until) {
    for (const [index, node] of fleet.nodes.entries()) {
      callsMax[index] = Math.max(callsMax[index] ?? 0, (await node.stats()).stats.connection?.calls ?? 0)
    }
    await sleep(Math.min(500, ms))
  }
}

/** What each node says of itself. */
async function judge(): Promise<void> {
  if (tally.broken + tally.refused > 0) tally.violations.push(`${tally.broken + tally.refused} requests had no answer`)
  for (const node of fleet.nodes) {
    const { uncaught, stale } = await node.stats()
    for (const error of uncaught) tally.violations.push(`by ${node.client}: nobody took ${error}`)
    for (const event of stale) tally.violations.push(`by ${node.client}: stale ${JSON.stringify(event)}`)
  }
}

function toMiB(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`
}
