/**
 * `npm run soak -- --minutes 5 --seed 1 [--nodes 3] [--copies 2] [--mode serve] [--customers 400]`: a random schedule of
 * faults over real processes under load. After each fault every node is asked for every session.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createRandom } from '../../src/laws/random.ts'
import { type FaultNode, startFaultFleet } from './fleet.ts'
import { Load } from './load.ts'

/** Time for the records to find their new places after a change of members: until then a kill may take the last copy. */
const SETTLE_MS = 3_000
const VIOLATIONS_SHOWN = 20

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    nodes: { type: 'string', default: '3' },
    copies: { type: 'string', default: '2' },
    mode: { type: 'string', default: 'serve' },
    customers: { type: 'string', default: '400' },
  },
})
const seed = Number(values.seed)
const random = createRandom(seed)
const onPartition = values.mode === 'majority' ? 'majority' : 'serve'
const copies = values.copies === 'all' ? 'all' : Number(values.copies)
console.log(`seed ${seed}: ${values.nodes} nodes, copies ${copies}, ${onPartition}, ${values.customers} visitors, ${values.minutes} minutes`) // prettier-ignore

await using fleet = await startFaultFleet({
  nodes: Number(values.nodes),
  mesh: { copies, onPartition },
  withProxies: true,
})
const load = new Load({ customers: Number(values.customers), ports: fleet.ports, seed })
const { tally } = load
const counts = new Map<string, number>()

const othersOf = (node: FaultNode): FaultNode[] => fleet.nodes.filter((other) => other !== node)

/** Each leaves the fleet whole. */
const faults: Readonly<Record<string, (node: FaultNode) => Promise<void>>> = {
  async kill(node) {
    await node.kill()
    if (random.below(2) === 0) await fleet.inOneView(othersOf(node))
    await sleep(random.below(2_000))
    await node.start()
  },
  async restart(node) {
    const { exit, closed } = await node.stop()
    if (exit.code !== 0 || closed?.answered !== closed?.received)
      tally.violations.push(`a stop ended with ${JSON.stringify({ exit, closed })}\n${node.output.slice(-2_000)}`)
    await node.start()
  },
  async pause(node) {
    node.signal('SIGSTOP')
    load.leaveOut(node.port, true)
    await sleep(200 + random.below(11_800))
    node.signal('SIGCONT')
    load.leaveOut(node.port, false)
  },
  async stutter(node) {
    for (let times = 0; times < 5; times++) {
      node.signal('SIGSTOP')
      await sleep(random.below(900))
      node.signal('SIGCONT')
      await sleep(random.below(500))
    }
  },
  async 'stutter while another restarts'(node) {
    const other = random.of(othersOf(node))
    await Promise.all([faults['restart']?.(other), faults['stutter']?.(node)])
  },
  async slow(node) {
    fleet.links?.delay([node.index], 20 + random.below(150))
    await sleep(2_000)
    fleet.links?.delay([node.index], 0)
  },
  async 'cut connections'(node) {
    fleet.links?.reset([node.index])
    await sleep(500)
  },
}
/** With `serve` each side of a partition is a fleet of its own, which one visitor must not go between. */
const partitions: typeof faults = {
  async partition(node) {
    fleet.links?.cut([node.index], indexesOf(othersOf(node)))
    await sleep(random.below(8_000))
    fleet.links?.heal()
  },
  async 'one-way partition'(node) {
    const those = indexesOf(othersOf(node))
    if (random.below(2) === 0) fleet.links?.cut([node.index], those, 'one')
    else fleet.links?.cut(those, [node.index], 'one')
    await sleep(random.below(8_000))
    fleet.links?.heal()
  },
}
const all = Object.entries(onPartition === 'majority' ? { ...faults, ...partitions } : faults)

await load.open()
const endsAt = performance.now() + Number(values.minutes) * 60_000
while (performance.now() < endsAt && tally.violations.length === 0) {
  const [name, fault] = random.of(all)
  const node = random.of(fleet.nodes)
  load.run()
  await load.acknowledges(50)
  const startedAt = performance.now()
  await fault(node)
  await fleet.inOneView()
  const tookMs = Math.round(performance.now() - startedAt)
  await load.acknowledges(50)
  await sleep(SETTLE_MS)
  await load.stop()
  await load.verify()
  counts.set(name, (counts.get(name) ?? 0) + 1)
  console.log(`${name} of node ${node.index}: whole after ${tookMs} ms; ${String(tally)}`)
}

console.log(`seed ${seed}`)
console.log(`faults: ${[...counts].map(([name, count]) => `${name} ${count}`).join(', ')}`)
console.log(`requests ${tally.requests}, acknowledged changes ${tally.acknowledged}, verified ${tally.verified}, answered 503 ${tally.unavailable}, no answer ${tally.broken}`) // prettier-ignore
console.log(`losses ${tally.violations.length}`)
for (const violation of tally.violations.slice(0, VIOLATIONS_SHOWN)) console.log(violation)
if (tally.violations.length > 0) process.exitCode = 1

function indexesOf(nodes: readonly FaultNode[]): number[] {
  return nodes.map(({ index }) => index)
}
