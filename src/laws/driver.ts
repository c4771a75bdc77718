import { isDeepStrictEqual } from 'node:util'
import type { FleetNode, LawFleet } from './fleet.ts'
import { LawBrokenError, type LawNeed, type LawNumber, type LawTest } from './law.ts'
import type { Control } from './node.ts'
import type { Step } from './steps.ts'
import { type Answer, type Flight, isTokenCookie, Visitor } from './visitor.ts'

/** How far the clocks of a fleet's nodes are turned, in milliseconds. They never go back, so that no test meets times of another. */
const clocks = new WeakMap<LawFleet, number>()
let barrierCount = 0

/** Drives a fleet through one law test. */
export class Driver {
  readonly fleet: LawFleet
  readonly #test: Pick<LawTest, 'law' | 'id' | 'title'>
  #stolenBefore = 0

  constructor(fleet: LawFleet, test: Pick<LawTest, 'law' | 'id' | 'title'>) {
    this.fleet = fleet
    this.#test = test
  }

  get nodes(): number {
    return this.fleet.nodes.length
  }

  /** A node of the fleet; numbers beyond the last begin again at the first. */
  node(index: number): FleetNode {
    const node = this.fleet.nodes[index % this.nodes]
    if (!node) throw new RangeError('a fleet has one node or more')
    return node
  }

  /** A visitor with an empty jar. */
  visitor(): Visitor {
    return new Visitor({ createJar: () => this.fleet.createJar(), url: (index) => this.node(index).url })
  }

  /** A visitor whose session is stored: fields set at node 0. */
  async visitorWith(...steps: readonly Step[]): Promise<Visitor> {
    const visitor = this.visitor()
    await this.ask(visitor, 0, ...(steps.length > 0 ? steps : [['set', 'begun', true] as const]))
    return visitor
  }

  /** One request, answered with 200, its cookies kept. */
  async ask(visitor: Visitor, node: number, ...steps: readonly Step[]): Promise<Answer> {
    return visitor.keep(this.ok(await (await visitor.send(node, steps)).answer))
  }

  /** What the session of a visitor is at a node, read by a request whose answer is lost. */
  async look(visitor: Visitor, node: number): Promise<Answer> {
    return this.ok(await (await visitor.send(node, [])).answer)
  }

  /** An answer with 200. */
  ok(answer: Answer): Answer {
    this.expect(answer.status === 200, `a request was answered ${described(answer)}`)
    return answer
  }

  /** Starts a request that waits at a barrier, and resolves when it waits there. */
  async held(visitor: Visitor, node: number, steps: (barrier: string) => Held): Promise<HeldFlight> {
    const barrier = this.barrier()
    const { steps: first, late } = steps(barrier)
    return this.#arrive(barrier, node, await visitor.send(node, first, late))
  }

  /** Starts a request whose next store write waits before or after the store has done it, and resolves when it waits there. */
  async heldApply(
    visitor: Visitor,
    node: number,
    when: 'before' | 'after',
    steps: readonly Step[],
    resend = false,
  ): Promise<HeldFlight> {
    const barrier = this.barrier()
    await this.control(node, { do: 'plan', plan: { [when]: barrier, resend } })
    return this.#arrive(barrier, node, await visitor.send(node, steps))
  }

  barrier(): string {
    barrierCount += 1
    return `barrier ${barrierCount}`
  }

  async control(node: number, control: Control): Promise<unknown> {
    const response = await fetch(`${this.node(node).url}/control`, { method: 'POST', body: JSON.stringify(control) })
    const answer: unknown = await response.json()
    this.expect(response.ok, `${control.do} at node ${node} failed: ${JSON.stringify(answer)}`)
    return answer
  }

  /** What is asked of a node fails with this code. */
  async refused(node: number, control: Control, code: string): Promise<void> {
    const response = await fetch(`${this.node(node).url}/control`, { method: 'POST', body: JSON.stringify(control) })
    const answer: unknown = await response.json()
    const seen =
      !response.ok && typeof answer === 'object' && answer !== null && 'code' in answer ? answer.code : 'done'
    this.expectEqual(seen, code, `the answer to ${control.do}`)
  }

  /** Ends all sessions of a user. @returns whether the store can: one that says so promises nothing of it */
  async revokeUser(node: number, user: string): Promise<boolean> {
    const control: Control = { do: 'revokeUser', user }
    const response = await fetch(`${this.node(node).url}/control`, { method: 'POST', body: JSON.stringify(control) })
    if (response.ok) return true
    const answer: unknown = await response.json()
    const code = typeof answer === 'object' && answer !== null && 'code' in answer ? answer.code : answer
    this.expectEqual(code, 'unsupported', 'the answer to revokeUser')
    return false
  }

  async controlAll(control: Control): Promise<unknown[]> {
    return Promise.all(this.fleet.nodes.map((_, node) => this.control(node, control)))
  }

  /** Turns the clocks of all nodes forward. */
  async turnClock(ms: number): Promise<void> {
    const clockMs = (clocks.get(this.fleet) ?? 0) + ms
    clocks.set(this.fleet, clockMs)
    await this.controlAll({ do: 'clock', clockMs })
  }

  /** Sets one node's clock apart from the others', until the clocks are turned again. */
  async skewClock(node: number, ms: number): Promise<void> {
    await this.control(node, { do: 'clock', clockMs: (clocks.get(this.fleet) ?? 0) + ms })
  }

  /** Leaves nothing of an earlier test waiting or planned, and counts anew. */
  async reset(): Promise<void> {
    const clockMs = clocks.get(this.fleet) ?? 0
    await this.controlAll({ do: 'reset', clockMs })
    this.#stolenBefore += await this.stolen()
  }

  /** Starts a node again that was stopped or killed, its clock as the others'. */
  async restart(index: number): Promise<void> {
    await this.node(index).start?.()
    await this.control(index, { do: 'clock', clockMs: clocks.get(this.fleet) ?? 0 })
  }

  /** How many `stolen` events all nodes have raised since the reset. */
  async stolen(): Promise<number> {
    const counts = (await this.controlAll({ do: 'counts' })) as { events: Record<string, number> }[]
    return counts.reduce((sum, { events }) => sum + (events['stolen'] ?? 0), -this.#stolenBefore)
  }

  /** @throws LawBrokenError with what was seen, unless `kept` */
  expect(kept: boolean, seen: string): void {
    if (!kept) throw new LawBrokenError(this.#test, seen)
  }

  expectEqual(seen: unknown, wanted: unknown, what: string): void {
    this.expect(isDeepStrictEqual(seen, wanted), `${what} is ${JSON.stringify(seen)}, not ${JSON.stringify(wanted)}`)
  }

  /** The session is dead for the holder of these cookies, on every node. */
  async expectDead(visitor: Visitor, when: string): Promise<void> {
    for (const node of this.fleet.nodes.keys()) {
      const seen = await this.look(visitor, node)
      this.expect(
        seen.isNew && seen.user === null && Object.keys(seen.data).length === 0,
        `${when}, node ${node} sees ${described(seen)}`,
      )
    }
  }

  /** No Set-Cookie of the token, so that no cookie is put back, replaced or cleared. */
  expectNoToken(answer: Answer, what: string): void {
    const line = answer.cookies.find(isTokenCookie)
    this.expect(line === undefined, `${what} was answered ${answer.status} with a Set-Cookie of the token`)
  }

  /** No Set-Cookie at all. */
  expectNoCookie(answer: Answer, what: string): void {
    this.expect(
      answer.cookies.length === 0,
      `${what} was answered ${answer.status} with ${answer.cookies.length} Set-Cookie`,
    )
  }

  async #arrive(barrier: string, node: number, flight: Flight): Promise<HeldFlight> {
    const early = flight.answer.then((answer) => {
      this.expect(false, `a request was answered ${described(answer)} before its write or its wait`)
    })
    await Promise.race([this.control(node, { do: 'arrived', barrier }), early])
    early.catch(() => {})
    return {
      ...flight,
      release: async () => {
        await this.control(node, { do: 'release', barrier })
        return flight.answer
      },
    }
  }
}

/** The steps of a request that waits in its handler (`steps`) or between its commit and the first byte (`late`). */
export interface Held {
  readonly steps: readonly Step[]
  readonly late?: readonly Step[]
}

/** A request that waits at a barrier. */
export interface HeldFlight extends Flight {
  /** Lets it go on; resolves its answer. */
  release(): Promise<Answer>
}

/** Makes a law test whose body drives the fleet. */
export function lawTest(
  law: LawNumber,
  id: string,
  title: string,
  needs: readonly LawNeed[],
  body: (driver: Driver) => Promise<void>,
): LawTest {
  return {
    law,
    id,
    title,
    needs,
    async run(fleet) {
      const driver = new Driver(fleet, { law, id, title })
      await driver.reset()
      try {
        await body(driver)
      } finally {
        await driver.reset().catch(() => {}) // a law that is broken leaves requests waiting; a node may be gone
      }
    },
  }
}

/** An answer in few words. */
export function described({ status, code, message, user, isNew, data }: Answer): string {
  const problem = code === undefined ? '' : ` ${code} (${message})`
  return `${status}${problem}, ${isNew ? 'no session' : 'a session'} of ${user ?? 'nobody'} with ${JSON.stringify(data)}`
}

/** 0 to count - 1. */
export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}
