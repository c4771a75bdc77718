/** Many visitors at once, from a seed, for as long as a test runs its faults. */

import { setTimeout as sleep } from 'node:timers/promises'
import { createRandom, type Random } from '../../src/laws/random.ts'
import { Customer, type Reply, type Route, Tally } from './customer.ts'

const FIELDS = ['a', 'b', 'c', 'd']

export interface LoadOptions {
  readonly customers: number
  /** Ports of the nodes; each request tries them in an order of its own. */
  readonly ports: readonly number[]
  /** Default: drawn and printed. */
  readonly seed?: number
  /** Requests on their way at once. Default: 16. */
  readonly width?: number
  /** How long each of these waits before the next, in milliseconds, where the load is to be there and not to be large. Default: 0. */
  readonly restMs?: number
}

export class Load {
  readonly tally: Tally = new Tally()
  readonly customers: readonly Customer[]
  readonly seed: number
  readonly #ports: readonly number[]
  readonly #width: number
  readonly #restMs: number
  readonly #random: Random
  readonly #busy = new Set<Customer>()
  #workers: Promise<void>[] = []
  #isStopping = false
  readonly #leftOut = new Set<number>()

  constructor({ customers, ports, seed, width = 16, restMs = 0 }: LoadOptions) {
    this.seed = seed ?? Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    if (seed === undefined) console.log(`seed ${this.seed} (SEED=${this.seed} runs it again)`)
    this.#random = createRandom(this.seed)
    this.#ports = ports
    this.#width = width
    this.#restMs = restMs
    this.customers = Array.from({ length: customers }, (_, index) => new Customer(`visitor ${index}`, this.tally))
  }

  /** Any node, and where it takes no connections the next, as a balancer does. */
  readonly anywhere: Route = () => this.#random.shuffled(this.#ports.filter((port) => !this.#leftOut.has(port)))

  /** Sends no request there from now on, as a balancer that was told of a node's end before it; or sends them again. */
  leaveOut(port: number, isOut: boolean): void {
    if (isOut) this.#leftOut.add(port)
    else this.#leftOut.delete(port)
  }

  /** Each customer has a session, acknowledged. */
  async open(): Promise<void> {
    await this.each(async (customer) => {
      while (!customer.hasSession) await customer.set(this.anywhere, 'a')
    })
  }

  /** Requests of all kinds until {@link stop}. */
  run(): void {
    this.#isStopping = false
    const fail = (error: unknown): never => {
      this.#isStopping = true // nobody waits for more
      throw error
    }
    this.#workers = Array.from({ length: this.#width }, () => this.#work().catch(fail))
  }

  /** Resolves when what is on its way has been answered. Rejects where a visitor could reach nobody. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await Promise.all(this.#workers)
  }

  /** Resolves when so many more changes have been acknowledged; what is awaited instead of a time. */
  async acknowledges(count: number): Promise<void> {
    const goal = this.tally.acknowledged + count
    while (this.tally.acknowledged < goal && !this.#isStopping) await sleep(20)
  }

  /** Every node, asked for every session, has all that was acknowledged and nothing that has ended. */
  async verify(ports: readonly number[] = this.#ports): Promise<void> {
    await this.each((customer) => customer.verify(ports))
  }

  /** Does something for each customer, as many at once as the load is wide. */
  async each(run: (customer: Customer) => Promise<void>): Promise<void> {
    const waiting = [...this.customers]
    const one = async (): Promise<void> => {
      for (let next = waiting.pop(); next; next = waiting.pop()) await run(next)
    }
    await Promise.all(Array.from({ length: this.#width }, one))
  }

  async #work(): Promise<void> {
    while (!this.#isStopping) {
      const customer = this.#random.of(this.customers)
      if (this.#busy.has(customer)) {
        await new Promise((resolve) => setImmediate(resolve))
        continue
      }
      this.#busy.add(customer)
      try {
        await this.#act(customer)
      } finally {
        this.#busy.delete(customer)
      }
      if (this.#restMs > 0) await sleep(this.#restMs)
    }
  }

  #act(customer: Customer): Promise<Reply | undefined> {
    const route = this.anywhere
    const field = this.#random.of(FIELDS)
    if (!customer.hasSession) return customer.set(route, field)
    const drawn = this.#random.below(100)
    if (drawn < 40) return customer.read(route)
    if (drawn < 70) return customer.set(route, field)
    if (drawn < 92) return customer.add(route)
    if (drawn < 95) return customer.login(route)
    if (drawn < 97) return customer.rotate(route)
    return customer.logout(route)
  }
}
