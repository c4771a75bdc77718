/**
 * Several nodes read and change a few sessions at once, over connections that are slow, held and cut, at random. Whatever
 * they interleave: what was acknowledged is seen by who asks for it, tokens of before a login that was acknowledged are seen
 * nowhere, and neither is a session once its end was.
 */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ChangeResult, ReadOptions, SessionRecord } from '../../src/core/index.ts'
import { createRandom, type Random } from '../../src/laws/random.ts'
import { compareVersions, type Version } from '../../src/token/index.ts'
import { needs } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'
import { changeOf, createNode, fieldsOf, now, randomKey, tombstoneOf } from './changes.ts'
import { type NearNode, nearStats, openNode, untilListIsOld } from './near-support.ts'

/** Of each node; more by `STEPS=1000`. */
const STEPS = Number(process.env['STEPS'] ?? 60)
const SESSIONS = 4

/** What every node was told of a session. */
interface Known {
  readonly key: string
  /** Versions from here on were acknowledged, */
  seen: Version
  /** and generations from here on are good. */
  generation: number
  end: 'none' | 'asked' | 'acknowledged'
}

/** What is kept of {@link Known} before a read: the read may be behind with nothing of it. */
type Past = Pick<Known, 'seen' | 'generation' | 'end'>

describe('nodes with near caches, at random', { skip: needs('redis-server') }, () => {
  test('keep the laws in every interleaving', async (t) => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    console.log(`seed ${seed} (SEED=${seed} runs it again)`)
    await using redis = await startRedis()
    const nodes = await Promise.all(Array.from({ length: 3 }, () => openNode(redis.port)))
    try {
      await untilListIsOld(nodes[0] as NearNode)
      const sessions: Known[] = []
      for (let count = 0; count < SESSIONS; count++) sessions.push(await create(nodes[0] as NearNode))
      const ending = new AbortController()
      const random = createRandom(seed)
      const disturbing = nodes.map((node) => disturb(node, random, ending.signal))
      const working = nodes.flatMap((node) => [
        write(node, sessions, random),
        ...Array.from({ length: 3 }, () => read(node, sessions, random)),
      ])
      await Promise.all(working).finally(() => ending.abort())
      await Promise.all(disturbing)
      const hits = nodes.reduce((sum, node) => sum + nearStats(node).hits, 0)
      t.diagnostic(`${hits} reads were served by copies`)
      assert(hits > 0)
    } finally {
      for (const node of nodes) node.proxy.blackHole('none')
      for (const node of nodes) await node[Symbol.asyncDispose]()
    }
  })
})

async function create({ store }: NearNode): Promise<Known> {
  const key = randomKey()
  const result = await store.apply(changeOf(key, { create: true, fields: fieldsOf({ a: '0' }) }))
  assert(result.outcome === 'applied')
  return { key, seen: result.version, generation: result.generation, end: 'none' }
}

/** Changes sessions, one change at a time, as the engine does for each session. */
async function write(node: NearNode, sessions: Known[], random: Random): Promise<void> {
  const operations = createNode()
  const { store } = node
  for (let step = 0; step < STEPS; step++) {
    const index = random.below(SESSIONS)
    const known = sessions[index] as Known
    const { key, generation } = known
    const operation = operations.next()
    const kind = random.below(20)
    try {
      if (kind === 0) {
        known.end = known.end === 'acknowledged' ? 'acknowledged' : 'asked'
        await store.end(tombstoneOf(key))
        known.end = 'acknowledged'
        sessions[SESSIONS + random.below(SESSIONS)] = known // it is read on
        sessions[index] = await create(node)
      } else if (kind <= 2) {
        learnTokens(known, await store.apply(changeOf(key, { operation, generation, login: { user: 'ada' } })))
      } else if (kind === 3) {
        const confirm = { generation: generation + 1, graceEndsAt: now + 60_000 }
        learnTokens(known, await store.apply(changeOf(key, { operation, generation: generation + 1, confirm })))
      } else {
        const fields = fieldsOf({ [random.of(['a', 'b', 'c'])]: `${step}` })
        learn(known, await store.apply(changeOf(key, { operation, generation, fields })))
      }
    } catch (error) {
      assert.match(String(error), /Store(Timeout|Unavailable)Error/)
    }
    await sleep(random.below(4))
  }
}

/** Of other changes the answer may tell of a login that is not acknowledged yet. */
function learnTokens(known: Known, result: ChangeResult): void {
  learn(known, result)
  if (result.outcome === 'applied') known.generation = Math.max(known.generation, result.generation)
}

function learn(known: Known, result: ChangeResult): void {
  if (result.outcome === 'gone') assert.notEqual(known.end, 'none')
  if (result.outcome !== 'applied') return
  if (compareVersions(result.version, known.seen) > 0) known.seen = result.version
}

async function read({ store }: NearNode, sessions: Known[], random: Random): Promise<void> {
  for (let step = 0; step < 2 * STEPS; step++) {
    const known = random.of(sessions.filter(Boolean))
    const before: Past = { ...known }
    const options = random.of<ReadOptions>([{}, {}, { atLeast: before.seen }, { fresh: true }])
    const { atLeast, fresh } = options
    const copy = fresh ? undefined : store.copy?.(known.key, atLeast)
    if (copy) check(known, before, copy, options)
    try {
      check(known, before, await store.read(known.key, options), options)
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error
      assert.match(String(error), /Store(Timeout|Unavailable)Error/)
    }
    await sleep(random.below(3))
  }
}

function check(known: Known, before: Past, record: SessionRecord | undefined, { atLeast, fresh }: ReadOptions): void {
  if (!record) return assert.notEqual(known.end, 'none', 'a session that nobody ended is gone')
  assert.notEqual(before.end, 'acknowledged', `${known.key} was ended`)
  assert(record.generation >= before.generation, `generation ${record.generation} after ${before.generation}`)
  if (!atLeast && !fresh) return
  assert(compareVersions(record.version, before.seen) >= 0, `version ${JSON.stringify([record.version, before.seen])}`)
}

/** Does to the connections of a node what networks do. */
async function disturb({ proxy }: NearNode, random: Random, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const kind = random.below(12)
    if (kind === 0) proxy.cut()
    else if (kind <= 4) proxy.blackHole(random.of(['down', 'down', 'up', 'both'] as const))
    else proxy.latency(random.below(4))
    // Sometimes for longer than a lease.
    await sleep(kind === 4 ? 700 : random.below(100))
    proxy.blackHole('none')
  }
}
