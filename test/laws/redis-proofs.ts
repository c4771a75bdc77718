/** The laws on a deployment of Redis. */

import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { type LawFleet, proveLaws, storeExcuses } from '../../src/laws/index.ts'
import { needs } from '../support/programs.ts'
import { type OwnedFleet, startLocalFleet, startProcessFleet } from './fleets.ts'
import { type Deployment, type DeploymentName, startDeployment } from './redis-deployments.ts'
import { openStoreOf, type StoreKind } from './stores.ts'

const skip = needs('redis-server')
const excuses = storeExcuses.redis

/** With `REDIS_LAWS=all` every deployment is proven with every client, by three processes each; else a sample. */
export const all: boolean = process.env['REDIS_LAWS'] === 'all'

/** Two nodes on clients of this process. */
export function proveInOneProcess(name: DeploymentName, kind: StoreKind): void {
  describe(`${kind}, two nodes in one process,`, { skip }, async () => {
    if (skip !== false) return
    const deployment = await startDeployment(name, 2)
    const opened = await Promise.all([0, 1].map((node) => openStoreOf(kind, deployment.place(node))))
    const fleet = await startLocalFleet(2, (node) => {
      const store = opened[node]
      assert.ok(store)
      return store.definition
    })
    after(() => fleet[Symbol.asyncDispose]())
    after(() => Promise.all(opened.map((store) => store.close())))
    after(() => deployment.end())
    prove(fleet, deployment, { partial: true, loses: !kind.endsWith('by address') })
  })
}

/** Three nodes, each a process with a client of its own. */
export function proveInProcesses(name: DeploymentName, kind: StoreKind): void {
  describe(`${kind}, three processes,`, { skip }, async () => {
    if (skip !== false) return
    const deployment = await startDeployment(name, 3)
    const fleet = await startProcessFleet(3, kind, (node) => deployment.place(node))
    after(() => fleet[Symbol.asyncDispose]())
    after(() => deployment.end())
    prove(fleet, deployment, { partial: false, loses: true })
  })
}

/** The laws, with answers that a proxy cuts off after the server has done what was asked, where it `loses` some. */
function prove(
  fleet: OwnedFleet,
  deployment: Deployment,
  { partial, loses }: { partial: boolean; loses: boolean },
): void {
  const losses: Promise<unknown>[] = []
  const nodes = fleet.nodes.map((node, index) => {
    const lose = async (): Promise<void> => void losses.push(deployment.loseNextAnswer(index))
    return Object.create(node, loses ? { loseNextAnswer: { value: lose } } : {}) as LawFleet['nodes'][number]
  })
  const proven: LawFleet = { ...fleet, nodes, contents: () => deployment.contents() }
  proveLaws({ fleet: proven, excuses, partial, test: (title, body) => test(`keeps ${title}`, body) })
  if (!loses) return
  test('lost answers on the way', async () => {
    assert.equal(losses.length, 6)
    await Promise.all(losses)
  })
}
