/** Memory of 20,000 sessions, and a third node that joins them. */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { bytesBetween, type Fleet, type FleetNode } from './fleet.ts'
import { type Figure, number, outOf, type Row, type Scale } from './row.ts'
import { fail, inParallel, logIn, type Visitor } from './visitor.ts'

const SESSIONS = 20_000
const PROBES = 200
/** The joiner has all that it is given when so little has come for so long. */
const QUIET_BYTES = 20_000
const QUIET_MS = 1_500
const JOIN_MS_MAX = 60_000

let visitors: Visitor[] = []

async function memory(fleet: Fleet, scale: Scale): Promise<Figure[]> {
  const [first, second] = fleet.nodes
  if (!first || !second) return fail('two nodes are needed')
  const count = scale.count(SESSIONS)
  // What it loads, compiles and reserves for its first thousands of requests is not the sessions'.
  await logIn([first], count / 2)
  const nodes = [first, second]
  const take = (): Promise<Memory[]> => Promise.all(nodes.map((node) => memoryOf(node)))
  const before = await take()
  visitors = await logIn([first], count)
  await sleep(3_000)
  await verify(visitors, second, 'the second node')
  const after = await take()
  const each = (index: number, kind: keyof Memory): number =>
    ((after[index]?.[kind] ?? 0) - (before[index]?.[kind] ?? 0)) / count
  return [
    number('memory per session of 4 KB, first node', each(0, 'held'), 'B'),
    number('memory per session of 4 KB, second node', each(1, 'held'), 'B'),
    number('growth of the resident process per session, first node', each(0, 'resident'), 'B'),
    number('growth of the resident process per session, second node', each(1, 'resident'), 'B'),
  ]
}

interface Memory {
  readonly held: number
  readonly resident: number
}

async function memoryOf(node: FleetNode): Promise<Memory> {
  const held = await node.heldBytes()
  const status = await readFile(`/proc/${node.pid}/status`, 'utf8')
  return { held, resident: Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024 }
}

async function join(fleet: Fleet, scale: Scale): Promise<Figure[]> {
  const count = scale.count(SESSIONS)
  if (visitors.length === 0) visitors = await logIn(fleet.nodes.slice(0, 1), count)
  await sleep(3_000)
  const rounds = scale.isQuick ? 2 : fleet.isOurs ? 20 : 4
  const joins: Join[] = []
  for (let round = 0; round < rounds; round++) {
    const join = await joinOnce(fleet)
    joins.push(join)
    console.error(`join ${round + 1} of ${rounds}: ${JSON.stringify(join)}`)
    if (round === rounds - 1) break
    await fleet.nodes.at(-1)?.leave()
    await sleep(3_000)
  }
  const all = (pick: (join: Join) => number): number[] => joins.map(pick).toSorted((a, b) => a - b)
  const sum = (pick: (join: Join) => number): number => joins.reduce((total, join) => total + pick(join), 0)
  const right = joins.filter(({ right }) => right === PROBES).length
  visitors = []
  return [
    range('a third node joins at 20,000 sessions: from its start to its first answer', all(({ answerMs }) => answerMs / 1_000), 's'), // prettier-ignore
    range(
      '... from its start until it has all that it is given',
      all(({ settledMs }) => settledMs / 1_000),
      's',
    ),
    range(
      '... bytes to and from it',
      all(({ bytes }) => bytes / 2 ** 20),
      'MiB',
    ),
    range(
      '... sessions that are its share, encoded',
      all(({ shareBytes }) => shareBytes / 2 ** 20),
      'MiB',
    ),
    outOf('... joins after which its first 200 answers are right', right, rounds),
    outOf(
      '... first answers that are wrong',
      sum(({ right, refused }) => PROBES - right - refused),
      rounds * PROBES,
    ),
    outOf(
      '... first answers that are 503',
      sum(({ refused }) => refused),
      rounds * PROBES,
    ),
  ]
}

/** The median, and the least and the most. */
function range(label: string, values: readonly number[], unit: string): Figure {
  const [least = 0, most = 0] = [values[0], values.at(-1)]
  const middle = values[Math.floor(values.length / 2)] ?? 0
  return { label, text: `${middle.toFixed(1)} (${least.toFixed(1)} to ${most.toFixed(1)}) ${unit}`, value: middle }
}

interface Join {
  readonly answerMs: number
  readonly settledMs: number
  readonly bytes: number
  readonly shareBytes: number
  readonly right: number
  /** Answered 503: not found out in time, and nothing wrong said. */
  readonly refused: number
}

async function joinOnce(fleet: Fleet): Promise<Join> {
  const before = bytesBetween(fleet)
  const startedAt = performance.now()
  const node = await fleet.add()
  const answerMs = performance.now() - startedAt
  const step = Math.floor(visitors.length / PROBES) || 1
  const probes = visitors.filter((_, index) => index % step === 0).slice(0, PROBES)
  const answers = await inParallel(probes.length, 4, (index) =>
    (probes[index] ?? fail('no visitor')).ask(node, '/fields').catch((error: unknown) => {
      if (/ 503/.test(String(error))) return '503'
      throw error
    }),
  )
  const right = answers.filter((answer) => answer === '20').length
  const refused = answers.filter((answer) => answer === '503').length
  let [quietSince, bytes] = [performance.now(), bytesBetween(fleet)]
  for (;;) {
    await sleep(50)
    const now = bytesBetween(fleet)
    if (now - bytes > QUIET_BYTES) [quietSince, bytes] = [performance.now(), now]
    if (performance.now() - quietSince > QUIET_MS || performance.now() - startedAt > JOIN_MS_MAX) break
  }
  const held = visitors.filter(({ session }) => fleet.holders(session).includes(node)).length
  return {
    answerMs,
    settledMs: quietSince - startedAt,
    bytes: bytes - before,
    shareBytes: held * SESSION_BYTES,
    right: right === probes.length ? PROBES : right,
    refused,
  }
}

/** A session of 20 fields of 200 bytes, encoded. */
const SESSION_BYTES = 4_300

/** Every hundredth session, on this node. */
async function verify(all: readonly Visitor[], node: FleetNode, name: string): Promise<void> {
  const some = all.filter((_, index) => index % 100 === 0)
  const answers = await inParallel(some.length, 4, (index) => (some[index] ?? fail('no visitor')).ask(node, '/fields'))
  const wrong = answers.filter((answer) => answer !== '20').length
  if (wrong > 0) console.error(`${wrong} of ${some.length} sessions are not whole on ${name}`)
}

export const SIZE: readonly Row[] = [
  { name: 'memory', shape: 'two', measure: memory },
  { name: 'join', shape: 'two', measure: join },
]
