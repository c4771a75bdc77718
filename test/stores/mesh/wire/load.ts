/** Visitors who use a fleet while it changes, and who notice whatever is lost. */

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { CookieJar } from 'tough-cookie'
import { createRandom, type Random } from '../../../../src/laws/random.ts'
import type { Step } from '../../../../src/laws/steps.ts'
import { type Answer, Visitor } from '../../../../src/laws/visitor.ts'

/** A request that nobody answers for so long, though it is sent again and again, is not answered. */
const ANSWER_MS = 15_000
const PAUSE_MS = 25
/** Between two requests of a visitor: else they take all of the machine, and the nodes' own work waits for it. */
const REST_MS = 15

export interface LoadCounts {
  requests: number
  /** Sent again after 503, or after a connection that was refused or cut. */
  again: number
  /** Sessions that were ended, each looked for on every node afterwards. */
  ends: number
  logins: number
  /** Sessions given up since a login was sent and not answered: whether it happened, the visitor cannot know. */
  abandoned: number
}

export class Load {
  readonly counts: LoadCounts = { requests: 0, again: 0, ends: 0, logins: 0, abandoned: 0 }
  readonly #urls: () => readonly string[]
  readonly #random: Random
  readonly #running: Promise<void>
  #isStopping = false

  /** @param urls where the nodes are that take requests now */
  constructor(urls: () => readonly string[], { visitors, seed }: { visitors: number; seed: number }) {
    this.#urls = urls
    this.#random = createRandom(seed)
    this.#running = Promise.all(Array.from({ length: visitors }, () => this.#visit())).then(() => {})
    this.#running.catch(() => {}) // told by stop
  }

  /** Rejects with the first thing that was lost. */
  async stop(): Promise<LoadCounts> {
    this.#isStopping = true
    await this.#running
    return this.counts
  }

  async #visit(): Promise<void> {
    while (!this.#isStopping) await this.#live()
  }

  /** One session from its first request to its end, or to the end of the test. */
  async #live(): Promise<void> {
    const visitor = new Visitor({ createJar: () => new CookieJar(), url: (node) => this.#urlOf(node) })
    let user: string | null = null
    let written = 0
    let added = { least: 0, most: 0 }
    const check = ({ key, isNew, data, user: seen }: Answer): void => {
      const where = `${JSON.stringify({ key, isNew, data, seen })} at ${new Date().toISOString()}`
      assert.equal(seen, user, where)
      assert.equal(data['written'] ?? 0, written, where)
      const sum = Number(data['added'] ?? 0)
      assert.ok(sum >= added.least && sum <= added.most, `added is not from ${added.least} to ${added.most}: ${where}`)
      added = { ...added, least: sum }
    }
    for (;;) {
      await sleep(REST_MS)
      const kind = this.#isStopping ? 95 : this.#random.below(100)
      if (kind < 35) {
        const { times } = await this.#ask(visitor, [['set', 'written', (written += 1)]])
        assert.ok(times > 0)
      } else if (kind < 60) {
        added = { ...added, most: added.most + 1 }
        const { times } = await this.#ask(visitor, [['increment', 'added']])
        // One that was answered 503 may have been carried out.
        added = { least: added.least + 1, most: added.most + times - 1 }
      } else if (kind < 90) check((await this.#ask(visitor, [])).answer)
      else if (kind < 95 && written > 0) {
        const name = `user-${this.#random.below(1_000_000)}`
        const { times } = await this.#ask(visitor, [['login', name]], 1)
        if (times === 0) {
          this.counts.abandoned += 1
          return
        }
        if (user !== null) {
          // Over another user's session, a login begins with new data.
          written = 0
          added = { least: 0, most: 0 }
        }
        user = name
        this.counts.logins += 1
      } else if (written > 0) {
        check((await this.#ask(visitor, [])).answer)
        return this.#end(visitor)
      } else if (this.#isStopping) return
    }
  }

  /** Logs out, and no node sees the session any more by the cookies that were good before. */
  async #end(visitor: Visitor): Promise<void> {
    const before = await visitor.copy()
    await this.#ask(visitor, [['logout']])
    for (const [node] of this.#urls().entries()) {
      const { answer } = await this.#ask(before, [], undefined, node)
      assert.deepEqual([answer.isNew, answer.user, answer.data], [true, null, {}], 'an ended session was seen again')
    }
    this.counts.ends += 1
  }

  /** Sends until it is answered with 200, or so often. `times`: how often it may have been carried out; 0: never told. */
  async #ask(
    visitor: Visitor,
    steps: readonly Step[],
    timesMax = Infinity,
    node = this.#random.below(100),
  ): Promise<{ answer: Answer; times: number }> {
    const untilMs = performance.now() + ANSWER_MS
    let last: unknown
    for (let times = 1; ; times++) {
      this.counts.requests += 1
      const answer = await (await visitor.send(node, steps)).answer.catch((error: unknown) => void (last = error))
      if (answer?.status === 200) return { answer: await visitor.keep(answer), times }
      if (answer && answer.status !== 503) assert.fail(`${JSON.stringify(steps)}: ${JSON.stringify(answer)}`)
      if (times >= timesMax) return { answer: { key: '', user: null, isNew: true, data: {}, status: 0, cookies: [] }, times: 0 } // prettier-ignore
      assert.ok(performance.now() < untilMs, `not answered: ${JSON.stringify(answer ?? String(last))}`)
      this.counts.again += 1
      node = this.#random.below(100)
      await sleep(PAUSE_MS)
    }
  }

  #urlOf(node: number): string {
    const urls = this.#urls()
    return urls[node % urls.length] ?? ''
  }
}
