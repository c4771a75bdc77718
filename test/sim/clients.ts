import type { Version } from '../../src/token/index.ts'
import type { Action, Cookies } from './server.ts'
import { Server, withAnswer } from './server.ts'
import type { SimProcess } from './process.ts'
import type { World } from './world.ts'

/** The clients of a fleet: visitors with a cookie jar each, who send several requests at once, and those who look around. */
export class Clients {
  readonly #world: World
  #isOver = false

  constructor(world: World) {
    this.#world = world
    for (let index = 0; index < world.config.visitors; index++) {
      const visitor = { cookies: { generation: 1 }, everyMs: world.random.of([100, 250, 600]) }
      world.after(1_200 + world.random.below(800), () => this.#visit(visitor))
    }
    world.after(2_000, () => this.#lookAround())
  }

  stop(): void {
    this.#isOver = true
  }

  #visit(visitor: { cookies: Cookies; readonly everyMs: number }): void {
    if (this.#isOver) return
    const { random } = this.#world
    const atOnce = random.of([1, 1, 1, 2, 3, 5])
    for (let count = 0; count < atOnce; count++) this.#request(visitor)
    this.#world.after(random.exponential(visitor.everyMs * atOnce), () => this.#visit(visitor))
  }

  #request(visitor: { cookies: Cookies }): void {
    const { random } = this.#world
    const process = this.#someProcess()
    if (!process) return
    const { cookies } = visitor
    const thinkMs = random.of([0, 0, 0, 5, 30, 200, 1_000])
    const action = this.#someAction(cookies)
    const server = new Server(this.#world, process)
    const arrive = (): void =>
      server.handle(cookies, action, thinkMs, (answer) => {
        if (answer?.key && answer.hint && random.chance(0.4)) this.#lookSoon(answer.key, answer.hint)
        const isAborted = random.chance(0.02)
        if (!answer || isAborted) return
        this.#world.after(random.exponential(random.of([1, 1, 20, 200])), () => {
          visitor.cookies = withAnswer(visitor.cookies, answer)
        })
      })
    this.#world.after(random.exponential(random.of([0, 1, 1, 20, 300])), arrive)
  }

  #someAction({ key }: Cookies): Action {
    const { random } = this.#world
    if (key === undefined) return random.chance(0.8) ? 'assign' : 'login'
    return random.of([
      'look', 'look', 'look', 'assign', 'assign', 'assign', 'assign', 'increment', 'increment', 'increment',
      'increment', 'touch', random.of(['rotate', 'login'] as const), random.of(['rotate', 'logout'] as const),
    ] as const) // prettier-ignore
  }

  /** The next request of a page is there before the last backup is: what the hint is for. */
  #lookSoon(key: string, hint: Version): void {
    this.#world.after(this.#world.random.exponential(this.#world.random.of([0.2, 2, 20])), () => {
      const process = this.#isOver ? undefined : this.#someProcess()
      if (process) new Server(this.#world, process).look(key, hint, () => undefined)
    })
  }

  /** Reads and ends any session, from anywhere: what administrators do, and what finds a session that has risen. */
  #lookAround(): void {
    if (this.#isOver) return
    const { random, checker } = this.#world
    const histories = [...checker.histories.values()]
    const process = this.#someProcess()
    if (process && histories.length > 0) {
      const { key, versions } = random.of(histories.slice(-8))
      const server = new Server(this.#world, process)
      const hint = random.chance(0.5) ? versions.at(-1 - random.below(3))?.version : undefined
      if (random.chance(0.02)) server.revoke(key)
      else if (random.chance(0.1)) server.increment(key, () => undefined)
      else server.look(key, hint, () => undefined)
    }
    this.#world.after(random.exponential(80), () => this.#lookAround())
  }

  #someProcess(): SimProcess | undefined {
    const open = this.#world.processes.filter(({ isLeaving }) => !isLeaving)
    return open.length === 0 ? undefined : this.#world.random.of(open)
  }
}
