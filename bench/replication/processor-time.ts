/** Processor time of both nodes for each request, HTTP included, as the kernel counts it. */
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { removeFolder, temporaryFolder } from '../../test/support/folders.ts'
import { LOAD_CORE, median, pin, SERVER_CORE } from '../load.ts'
import type { Fleet, FleetNode } from './fleet.ts'
import { type Figure, number, type Row, type Scale } from './row.ts'
import { fail, inParallel, logIn, type Visitor } from './visitor.ts'

const run = promisify(execFile)

/** `/proc/PID/stat` counts in hundredths of a second. */
const TICK_US = 10_000
const VISITORS = 100
const ROUNDS = 3
const WARM_UP_SECONDS = 3
const SECONDS = 3

async function measure(fleet: Fleet, scale: Scale): Promise<Figure[]> {
  const [first, second] = fleet.nodes
  if (!first || !second) return fail('two nodes are needed')
  await pin(first.pid, SERVER_CORE)
  await pin(second.pid, LOAD_CORE)
  const visitors = await logIn([first], 4 * VISITORS)
  const owned = visitors.filter(({ session }) => fleet.holders(session)[0] === first).slice(0, VISITORS)
  const foreign = visitors.filter(({ session }) => fleet.holders(session)[0] !== first).slice(0, VISITORS)
  const folder = temporaryFolder()
  try {
    const time = (path: string, who: readonly Visitor[]): Promise<number> => perRequest(fleet, path, who, folder, scale)
    const write = await time('/touch?k=3', owned)
    await verify(owned, first, second)
    const read = await time('/get?k=3', owned)
    const figures = [
      number('CPU per synchronous write, both nodes and HTTP', write, 'µs'),
      number('CPU per read of the node that holds it, both nodes and HTTP', read, 'µs'),
    ]
    if (foreign.length > 0) figures.push(number('CPU per write that reaches the backup, both nodes and HTTP', await time('/touch?k=3', foreign), 'µs')) // prettier-ignore
    figures.push(number('CPU per request without a session, HTTP alone', await time('/nothing', []), 'µs'))
    return figures
  } finally {
    removeFolder(folder)
  }
}

/** Median over rounds, after a warm-up. */
async function perRequest(
  fleet: Fleet,
  path: string,
  visitors: readonly Visitor[],
  folder: string,
  { isQuick }: Scale,
): Promise<number> {
  const [first] = fleet.nodes
  if (!first) return fail('no node')
  await load(first, path, visitors, folder, WARM_UP_SECONDS)
  const samples: number[] = []
  for (let round = 0; round < (isQuick ? 2 : ROUNDS); round++) {
    const before = await cpuUs(fleet)
    const requests = await load(first, path, visitors, folder, SECONDS)
    samples.push(((await cpuUs(fleet)) - before) / requests)
  }
  return median(samples)
}

/** `wrk` with 8 connections; resolves how many requests were answered. Any answer but 200 is an error. */
async function load(
  node: FleetNode,
  path: string,
  visitors: readonly Visitor[],
  folder: string,
  seconds: number,
): Promise<number> {
  const script = join(folder, 'load.lua')
  const heads = visitors.length > 0 ? visitors.map(({ cookies }) => `{ Cookie = ${JSON.stringify(cookies)} }`) : ['{}']
  await writeFile(
    script,
    `local requests, next = {}, 0
init = function() for _, head in ipairs({ ${heads.join(',\n')} }) do requests[#requests + 1] = wrk.format("GET", "${path}", head) end end
request = function() next = next % #requests + 1; return requests[next] end
done = function(s) local e = s.errors
  io.stderr:write(e.status + e.connect + e.read + e.write + e.timeout > 0 and "errors" or ""); io.write("\\nanswered: " .. s.requests .. "\\n") end`,
  )
  const { stdout, stderr } = await run('taskset', ['-c', LOAD_CORE, 'wrk', '-t1', '-c8', `-d${seconds}s`, '-s', script, node.url]) // prettier-ignore
  if (stderr !== '') fail(`${node.url}${path}: ${stderr}`)
  return Number(/answered: (\d+)/.exec(stdout)?.[1])
}

async function cpuUs({ nodes }: Fleet): Promise<number> {
  const ticks = await Promise.all(
    nodes.map(async ({ pid }) => {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return Number(fields[11]) + Number(fields[12])
    }),
  )
  return ticks.reduce((sum, each) => sum + each, 0) * TICK_US
}

/** What was written is on both nodes, and is what was written last. */
async function verify(visitors: readonly Visitor[], first: FleetNode, second: FleetNode): Promise<void> {
  const apart = await inParallel(visitors.length, 4, async (index) => {
    const visitor = visitors[index] ?? fail('no visitor')
    const answers = [await visitor.ask(first, '/get?k=3'), await visitor.ask(second, '/get?k=3')]
    return answers[0] !== answers[1] || !(Number(answers[0]) > 0)
  })
  const wrong = apart.filter(Boolean).length
  if (wrong > 0) console.error(`after the load ${wrong} of ${visitors.length} sessions differ between the nodes`)
}

export const PROCESSOR_TIME: readonly Row[] = [{ name: 'cpu', shape: 'bare', measure }]
