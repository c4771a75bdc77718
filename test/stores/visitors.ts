/** Sessions that are changed without a pause, each change after the answer to the one before, and what was answered. */

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Store, StoreTimeoutError, StoreUnavailableError } from '../../src/core/index.ts'
import { changeOf, createNode, fieldsOf, randomKey } from './changes.ts'

/** Between a refusal and the next attempt, in milliseconds, as long as no visitor waits any more. */
const PAUSE_MS = 20

class Visitor {
  readonly key: string = randomKey()
  readonly #node = createNode()
  readonly #store: Store
  tried = 0
  acknowledged = 0
  refused = 0

  constructor(store: Store) {
    this.#store = store
  }

  /** Resolves whether the change was answered. Rejects where it was neither that nor refused as it should be. */
  async change(): Promise<boolean> {
    this.tried += 1
    const create = this.acknowledged === 0 && this.tried === 1
    const fields = fieldsOf({ n: `${this.tried}` })
    try {
      const result = await this.#store.apply(changeOf(this.key, { create, operation: this.#node.next(), fields }))
      assert(result.outcome === 'applied' || result.outcome === 'gone', result.outcome)
      // The session itself was lost.
      if (result.outcome === 'gone') return this.#refuse()
      this.acknowledged = this.tried
      return true
    } catch (error) {
      if (!(error instanceof StoreUnavailableError || error instanceof StoreTimeoutError)) throw error
      return this.#refuse()
    }
  }

  #refuse(): false {
    this.refused += 1
    return false
  }

  /** How many of the last answered changes are not there. */
  async lost(): Promise<number> {
    const stored = Number((await this.#store.read(this.key))?.fields.get('n')?.value ?? 0)
    assert(stored <= this.tried, `${stored} was never written`)
    return Math.max(this.acknowledged - stored, 0)
  }
}

/** Visitors of one node. */
export class Visitors {
  readonly #visitors: readonly Visitor[]
  #isRunning = false
  #running: Promise<unknown> = Promise.resolve()

  constructor(store: Store, count: number) {
    this.#visitors = Array.from({ length: count }, () => new Visitor(store))
  }

  get acknowledged(): number {
    return this.#visitors.reduce((sum, { acknowledged }) => sum + acknowledged, 0)
  }

  get refused(): number {
    return this.#visitors.reduce((sum, { refused }) => sum + refused, 0)
  }

  /** Each has a session, acknowledged. */
  async open(): Promise<void> {
    for (const visitor of this.#visitors) assert.equal(await visitor.change(), true, 'a session could not be created')
  }

  /** Changes all until {@link stop}. */
  run({ untilRefused = false } = {}): void {
    this.#isRunning = true
    const run = async (visitor: Visitor): Promise<void> => {
      while (this.#isRunning) {
        if (await visitor.change()) continue
        if (untilRefused) return
        await sleep(PAUSE_MS)
      }
    }
    this.#running = Promise.all(this.#visitors.map(run))
    this.#running.catch(() => {}) // stop() tells it
  }

  async stop(): Promise<void> {
    this.#isRunning = false
    await this.#running
  }

  /** Resolves when each visitor was answered so many changes from now on. */
  async progress(changes: number): Promise<void> {
    const goals = this.#visitors.map((visitor) => [visitor, visitor.acknowledged + changes] as const)
    const failed = this.#running.then(() => undefined)
    while (goals.some(([visitor, goal]) => visitor.acknowledged < goal)) await Promise.race([sleep(5), failed])
  }

  /** How many answered changes are not there. */
  async lost(): Promise<number> {
    let sum = 0
    for (const visitor of this.#visitors) sum += await visitor.lost()
    return sum
  }
}
