/** What a visitor finds on another node, and what becomes of changes that meet. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fleet, FleetNode } from './fleet.ts'
import { type Figure, outOf, type Row, type Scale } from './row.ts'
import { fail, inParallel, logIn, patiently, type Visitor } from './visitor.ts'

/** What is still wrong so long after the last answer stays wrong: nothing is repeated later. */
const FOR_GOOD_MS = 1_000

function twoNodes({ nodes: [first, second] }: Fleet): readonly [FleetNode, FleetNode] {
  return first && second ? [first, second] : fail('two nodes are needed')
}

async function stale(fleet: Fleet, scale: Scale): Promise<Figure[]> {
  const count = scale.count(fleet.isOurs ? 10_000 : 1_000)
  const visitors = await logIn(fleet.nodes, 100)
  await sleep(FOR_GOOD_MS)
  /** @param reads the browser that reads after the other has been answered */
  const tryOnce = async (visitor: Visitor, reads: Visitor, index: number): Promise<boolean> => {
    const writer = index % fleet.nodes.length
    const reader =
      (writer + 1 + (Math.floor(index / fleet.nodes.length) % (fleet.nodes.length - 1))) % fleet.nodes.length
    const [writes, answers] = [fleet.nodes[writer], fleet.nodes[reader]]
    if (!writes || !answers) return fail('no node')
    await visitor.ask(writes, `/touch?k=3&v=${index}`)
    return (await reads.ask(answers, '/get?k=3')) !== `${index}`
  }
  const run = async (readerOf: (visitor: Visitor) => Visitor): Promise<number> => {
    let staleCount = 0
    for (let index = 0; index < count; index++) {
      const visitor = visitors[index % visitors.length] ?? fail('no visitors')
      if (await tryOnce(visitor, readerOf(visitor), index)) staleCount += 1
    }
    return staleCount
  }
  const figures = [outOf('first read on another node is stale', await run((visitor) => visitor), count)]
  if (!fleet.isOurs) return figures
  figures.push(outOf('the same by another browser, without the hint', await run((visitor) => visitor.withoutHint()), count)) // prettier-ignore
  return figures
}

async function empty(fleet: Fleet, scale: Scale): Promise<Figure[]> {
  const count = scale.count(500)
  const [first, second] = twoNodes(fleet)
  const visitors = await logIn([first], count)
  await sleep(3 * FOR_GOOD_MS)
  const fields = await inParallel(count, 8, (index) => ask(visitors, index, second, '/fields'))
  return [outOf('replicated sessions that arrive empty', fields.filter((answer) => answer !== '20').length, count)]
}

async function differentFields(fleet: Fleet, scale: Scale): Promise<Figure[]> {
  const count = scale.count(200)
  const visitors = await logIn([twoNodes(fleet)[0]], count)
  await sleep(FOR_GOOD_MS)
  await collide(fleet, visitors, ['/touch?k=1&v=first', '/touch?k=2&v=second'])
  await sleep(FOR_GOOD_MS)
  const lacking = await inParallel(count, 8, async (index) => {
    const answers = await Promise.all(
      twoNodes(fleet).flatMap((node) => [
        ask(visitors, index, node, '/get?k=1'),
        ask(visitors, index, node, '/get?k=2'),
      ]),
    )
    return answers.join() !== 'first,second,first,second'
  })
  return [outOf('two nodes change different fields at once: a node lacks one for good', lacking.filter(Boolean).length, count)] // prettier-ignore
}

async function sameField(fleet: Fleet, scale: Scale): Promise<Figure[]> {
  const count = scale.count(60)
  const visitors = await logIn([twoNodes(fleet)[0]], count)
  await sleep(FOR_GOOD_MS)
  await collide(fleet, visitors, ['/touch?k=1&v=first', '/touch?k=1&v=second'])
  await sleep(FOR_GOOD_MS)
  const disagreeing = await inParallel(count, 8, async (index) => {
    const answers = await Promise.all(twoNodes(fleet).map((node) => ask(visitors, index, node, '/get?k=1')))
    if (fleet.isOurs && answers.includes('0')) fail('neither change is there')
    return answers[0] !== answers[1]
  })
  return [outOf('two nodes change the same field: they disagree for good', disagreeing.filter(Boolean).length, count)]
}

/** Each session at both nodes at once, one session after the other. */
async function collide(fleet: Fleet, visitors: readonly Visitor[], paths: readonly [string, string]): Promise<void> {
  const [first, second] = twoNodes(fleet)
  for (const visitor of visitors) await Promise.all([visitor.ask(first, paths[0]), visitor.ask(second, paths[1])])
}

async function increments(fleet: Fleet, scale: Scale): Promise<Figure[]> {
  const nodes = twoNodes(fleet)
  const visitors = await logIn(nodes, scale.count(50) / 10)
  await sleep(FOR_GOOD_MS)
  const finals: number[] = []
  for (const visitor of visitors) {
    const once = async (node: FleetNode): Promise<void> => {
      try {
        await visitor.ask(node, '/inc')
      } catch (error) {
        if (fleet.isOurs) throw error // Tomcat answers 500 where the other node has just replaced the session
      }
    }
    await Promise.all(Array.from({ length: 100 }, (_, index) => once(nodes[index % 2 ? 1 : 0])))
    await sleep(FOR_GOOD_MS / 2)
    for (const node of nodes) finals.push(Number(await visitor.ask(node, '/count')))
  }
  const [least, most] = [Math.min(...finals), Math.max(...finals)]
  const text = least === most ? `${least}` : `${least} to ${most}`
  return [{ label: '50 + 50 increments through two nodes: what is counted', text, value: least }]
}

function ask(visitors: readonly Visitor[], index: number, node: FleetNode, path: string): Promise<string> {
  return (visitors[index] ?? fail('no visitor')).ask(node, path)
}

/** The first node dies under load: its 1,000 sessions, each with a number that rises, are looked for on the second. */
async function kill(fleet: Fleet, scale: Scale): Promise<Figure[]> {
  const count = scale.count(1_000)
  const [first, second] = twoNodes(fleet)
  const visitors = await logIn([first], count)
  await sleep(3 * FOR_GOOD_MS)
  const acknowledged = new Map<number, number>()
  const death = new AbortController()
  let [round, answered] = [0, 0]
  const load = inParallel(16, 16, async (worker) => {
    for (let index = worker; !death.signal.aborted; index = (index + 16) % count) {
      const value = (round += 1)
      try {
        if ((await ask(visitors, index, first, `/touch?k=3&v=${value}`)) !== `${value}`) fail('it was not written')
        acknowledged.set(index, value)
        answered += 1
      } catch (error) {
        if (!death.signal.aborted) throw error
      }
    }
  })
  await Promise.race([sleep(scale.isQuick ? 1_000 : 3_000), load])
  death.abort()
  await first.kill()
  await load
  const found = await inParallel(count, 8, (index) =>
    patiently(visitors[index] ?? fail('no visitor'), second, '/get?k=3'),
  )
  const lost = found.filter((answer) => answer === 'no session' || answer === 'nothing').length
  const behind = found.filter((answer, index) => Number(answer) < (acknowledged.get(index) ?? 0)).length
  return [
    outOf('SIGKILL under load: sessions lost', lost, count),
    outOf('SIGKILL under load: sessions whose last acknowledged change is lost', behind, count),
    { label: 'SIGKILL under load: changes acknowledged before it', text: answered.toLocaleString('en') },
  ]
}

export const CORRECTNESS: readonly Row[] = [
  { name: 'stale', shape: 'three', measure: stale },
  { name: 'empty', shape: 'three', measure: empty },
  { name: 'different-fields', shape: 'three', measure: differentFields },
  { name: 'same-field', shape: 'three', measure: sameField },
  { name: 'increments', shape: 'three', measure: increments },
  { name: 'kill', shape: 'three', measure: kill },
]
