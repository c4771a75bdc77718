import { isTombstone, type SessionRecord } from '../../src/core/index.ts'
import { holdersOf } from '../../src/stores/mesh/protocol/placement.ts'
import { LawBrokenError } from './law-broken.ts'
import { Server } from './server.ts'
import { contentOf, type SessionHistory } from './session-history.ts'
import type { World } from './world.ts'

const AGREEMENT_MS = 20_000
/** Copies that are lost unnoticed before all must converge. */
const FORGOTTEN = 3
/** Longer than a pass of repair and the pause before it. */
const CONVERGENCE_MS = 45_000

/** After everything has healed: the fleet comes to one view, its copies to one content, and it answers every request. */
export function proveLiveness(world: World): void {
  // Who left meanwhile runs again: fewer nodes than a majority of those that are expected begin no fleet.
  if (world.config.onPartition === 'majority') for (const host of world.hosts) world.start(host)
  const agreedBy = world.now + AGREEMENT_MS
  world.run(agreedBy, () => world.stableSince !== undefined && world.processes.length > 0)
  if (world.stableSince === undefined)
    fail('Liveness', `no common view ${AGREEMENT_MS} ms after everything healed: ${showViews(world)}`)

  forgetCopies(world)
  let problem = findProblem(world)
  const convergedBy = world.now + CONVERGENCE_MS
  while (problem !== undefined && world.now < convergedBy) {
    world.run(world.now + 250)
    problem = findProblem(world)
  }
  if (problem !== undefined) fail('Convergence', problem)
  askEverybody(world)
  changeEverything(world)
}

/** Some backups lose copies without noticing, as a fault of memory or of ours would make them. */
function forgetCopies({ processes, checker, random, coverage }: World): void {
  for (const key of random.shuffled([...checker.histories.keys()]).slice(0, FORGOTTEN)) {
    const holders = processes.filter(({ records }) => records.get(key))
    const backups = holders.filter(({ member, node }) => holdersOf(node.view, key, 1)[0]?.id !== member.id)
    if (holders.length < 2 || backups.length === 0) continue
    random.of(backups).records.delete(key)
    coverage.add('forgotten')
  }
}

function findProblem(world: World): string | undefined {
  for (const history of world.checker.histories.values()) {
    const problem = problemOf(world, history)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** What the copies of a session lack, if anything. */
function problemOf({ processes, config, coverage }: World, history: SessionHistory): string | undefined {
  const name = `session ${history.key.slice(0, 8)}`
  const copies: { at: string; record: SessionRecord }[] = []
  for (const { name, records } of processes) {
    const holding = records.get(history.key)
    if (holding && !isTombstone(holding)) copies.push({ at: name, record: holding })
  }
  if (history.mayBeLost) return undefined
  if (history.hasEnded) return copies.length > 0 ? `${name} has ended, and ${copies[0]?.at} holds it` : undefined
  if (copies.length === 0) return history.mayHaveEnded || !history.isCreated ? undefined : `${name} is lost`
  const wanted = Math.min(config.copies === 'all' ? Infinity : config.copies, processes.length)
  if (copies.length < wanted)
    return `${name} has ${copies.length} copies of ${wanted}, at ${copies.map(({ at }) => at).join(' ')}`
  if (copies.length > wanted) coverage.add('staleCopies')
  const contents = copies.map(({ at, record }) => ({ at, content: contentOf(record) }))
  const other = contents.find(({ content }) => content !== contents[0]?.content)
  return other && `${name} differs:\n  ${contents[0]?.at} ${contents[0]?.content}\n  ${other.at} ${other.content}`
}

/** Every node answers for every session, and all say the same. */
function askEverybody(world: World): void {
  let waiting = 0
  const isRefusing = world.config.onPartition === 'majority' && world.coverage.counts.has('lossExcused')
  for (const { key, mayBeLost, isCreated } of world.checker.histories.values()) {
    // With `majority`, a key whose holders crashed for good, all of them, stays refused.
    if (isRefusing && (mayBeLost || !isCreated)) continue
    let first: { at: string; content: string } | undefined
    for (const process of world.processes) {
      waiting += 1
      new Server(world, process).look(key, undefined, (record) => {
        waiting -= 1
        if (record === 'unavailable')
          fail('Liveness', `${process.name} does not answer a read of session ${key.slice(0, 8)}`)
        const content = record ? contentOf(record) : 'none'
        first ??= { at: process.name, content }
        if (first.content !== content) {
          fail(
            'Convergence',
            `session ${key.slice(0, 8)} differs:\n  ${first.at} ${first.content}\n  ${process.name} ${content}`,
          )
        }
      })
    }
  }
  world.run(world.now + 3_000, () => waiting === 0)
  if (waiting > 0) fail('Liveness', `${waiting} reads were not answered`)
}

/** Every session that lives can be changed. */
function changeEverything(world: World): void {
  if (world.processes.length < world.config.minCopies) return
  let waiting = 0
  for (const { key, mayBeLost, mayHaveEnded, isCreated } of world.checker.histories.values()) {
    if (mayBeLost || mayHaveEnded || !isCreated) continue
    const process = world.random.of(world.processes)
    waiting += 1
    new Server(world, process).increment(key, (outcome) => {
      waiting -= 1
      if (outcome !== 'applied')
        fail('Liveness', `${process.name} answers ${outcome ?? 'nothing'} to a change of session ${key.slice(0, 8)}`)
    })
  }
  world.run(world.now + 4_000, () => waiting === 0)
  if (waiting > 0) fail('Liveness', `${waiting} changes were not answered`)
}

function showViews({ processes }: World): string {
  return processes
    .map(({ name, isPaused, isLeaving, node: { view } }) => {
      const state = `${isPaused ? ' paused' : ''}${isLeaving ? ' leaving' : ''}`
      return `${name}${state} in ${view.ballot.number}/${view.ballot.id.slice(0, 4)} of ${view.members.length}`
    })
    .join(', ')
}

function fail(law: string, what: string): never {
  throw new LawBrokenError(law, what)
}
