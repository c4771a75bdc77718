/** Bytes between the nodes. */
import { setTimeout as sleep } from 'node:timers/promises'
import { bytesBetween, type Fleet, type FleetNode } from './fleet.ts'
import { type Figure, number, type Row, type Scale } from './row.ts'
import { fail, logIn, type Visitor } from './visitor.ts'

const IDLE_SECONDS = 5
/** After the last answer: what is sent behind it has arrived by then. */
const SETTLE_MS = 500

/** One request at a time, so that nothing is sent together with anything else. */
async function measure(fleet: Fleet, scale: Scale): Promise<Figure[]> {
  const size = `${fleet.nodes.length} nodes`
  const visitors = await logIn(fleet.nodes, 30)
  await sleep(3_000)
  const idle = await idleRate(fleet, scale.isQuick ? 1 : IDLE_SECONDS)
  const per = (count: number, task: (index: number) => Promise<void>): Promise<number> => each(fleet, idle, count, task)
  const count = scale.count(1_000)

  const pick = (index: number): Visitor => visitors[index % visitors.length] ?? fail('no visitors')
  const home = ({ session, home }: Visitor): FleetNode => (fleet.isOurs ? fleet.holders(session)[0] : home) ?? fail('no owner') // prettier-ignore

  const change = await per(count, (index) => touch(pick(index), home(pick(index)), index))
  const reading = await per(count, (index) => read(pick(index), home(pick(index))))
  const login = await per(scale.count(500), async (index) => void (await logIn([fleet.nodes[index % fleet.nodes.length] ?? fail('no node')], 1))) // prettier-ignore
  const figures = [
    number(
      `${size}: bytes per change of one 200-byte field, for each node that gets it`,
      change / fleet.receivers,
      'B',
    ),
    number(`${size}: bytes per read-only request`, reading, 'B'),
    number(`${size}: bytes per new session of 4 KB, for each node that gets it`, login / fleet.receivers, 'B'),
    number(`${size}: idle, whole fleet`, idle, 'B/s'),
  ]
  if (!fleet.isOurs) return figures
  const backup = ({ session }: Visitor): FleetNode => fleet.holders(session)[1] ?? fail('no backup')
  figures.push(
    number(`${size}: the same change asked of a backup (one hop), whole fleet`, await per(count, (index) => touch(pick(index), backup(pick(index)), index)), 'B'), // prettier-ignore
    number(`${size}: the same read asked of a backup`, await per(count, (index) => read(pick(index), backup(pick(index)))), 'B'), // prettier-ignore
  )
  const stranger = ({ session }: Visitor): FleetNode | undefined =>
    fleet.nodes.find((node) => !fleet.holders(session).includes(node))
  if (!stranger(pick(0))) return figures
  const elsewhere = (index: number): FleetNode => stranger(pick(index)) ?? fail('all hold it')
  figures.push(
    number(`${size}: the same read asked of a node that holds no copy (one hop)`, await per(count, (index) => read(pick(index), elsewhere(index))), 'B'), // prettier-ignore
  )
  return figures
}

async function idleRate(fleet: Fleet, seconds: number): Promise<number> {
  const before = bytesBetween(fleet)
  const startedAt = performance.now()
  await sleep(seconds * 1_000)
  return ((bytesBetween(fleet) - before) / (performance.now() - startedAt)) * 1_000
}

async function touch(visitor: Visitor, node: FleetNode, index: number): Promise<void> {
  const answer = await visitor.ask(node, `/touch?k=${index % 20}&v=${index}`)
  if (answer !== `${index}`) fail(`/touch answered ${answer}`)
}

async function read(visitor: Visitor, node: FleetNode): Promise<void> {
  if ((await visitor.ask(node, '/fields')) !== '20') fail('/fields did not answer 20')
}

/** Bytes for each task, without what the fleet says anyway. */
async function each(
  fleet: Fleet,
  idle: number,
  count: number,
  task: (index: number) => Promise<void>,
): Promise<number> {
  const before = bytesBetween(fleet)
  const startedAt = performance.now()
  for (let index = 0; index < count; index++) await task(index)
  await sleep(SETTLE_MS)
  const quiet = (idle * (performance.now() - startedAt)) / 1_000
  return (bytesBetween(fleet) - before - quiet) / count
}

export const TRAFFIC: readonly Row[] = [
  { name: 'bytes', shape: 'two', measure },
  { name: 'bytes3', shape: 'three', measure },
]
