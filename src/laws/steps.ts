import type { Session } from '../core/index.ts'

/** Data of the laws' sessions: any fields. */
export type LawData = Record<string, unknown>

/** What the handler of a law node does with its session, one after the other. */
export type Step =
  | readonly ['set', field: string, value: unknown]
  | readonly ['remove', field: string]
  /** Changes an array in place. */
  | readonly ['push', field: string, item: unknown]
  | readonly ['increment', field: string]
  | readonly ['login', user: string]
  | readonly ['logout']
  | readonly ['rotate']
  | readonly ['save']
  /** A real wait, as a handler that asks a database has. */
  | readonly ['sleep', ms: number]
  /** Waits until the driver releases this barrier. */
  | readonly ['meet', barrier: string]

/** @param meet waits at a barrier */
export async function runStep(
  session: Session<LawData>,
  step: Step,
  meet: (barrier: string) => Promise<void>,
): Promise<void> {
  switch (step[0]) {
    case 'set':
      session.data[step[1]] = step[2]
      return
    case 'remove':
      delete session.data[step[1]]
      return
    case 'push':
      ;(session.data[step[1]] as unknown[]).push(step[2])
      return
    case 'increment':
      await session.update(step[1], (value) => Number(value ?? 0) + 1)
      return
    case 'login':
      return session.login(step[1])
    case 'logout':
      return session.logout()
    case 'rotate':
      return session.rotate()
    case 'save':
      return session.save()
    case 'sleep':
      return new Promise((resolve) => setTimeout(resolve, step[1]))
    case 'meet':
      return meet(step[1])
  }
}

/** Places where requests wait until the driver lets them go on, so that "in flight" is exact. */
export class Barriers {
  readonly #barriers = new Map<string, Barrier>()

  /** Arrives, and waits for the release. */
  async meet(name: string): Promise<void> {
    const barrier = this.#barrier(name)
    barrier.arrived.resolve()
    await barrier.released.promise
  }

  /** Resolves when somebody has arrived. */
  arrived(name: string): Promise<void> {
    return this.#barrier(name).arrived.promise
  }

  /** Lets go who waits, and who comes later. */
  release(name: string): void {
    this.#barrier(name).released.resolve()
  }

  /** Lets go everybody, so that a test that failed leaves nobody waiting. */
  releaseAll(): void {
    for (const { arrived, released } of this.#barriers.values()) {
      arrived.resolve()
      released.resolve()
    }
    this.#barriers.clear()
  }

  #barrier(name: string): Barrier {
    const barrier = this.#barriers.get(name) ?? {
      arrived: Promise.withResolvers<void>(),
      released: Promise.withResolvers<void>(),
    }
    this.#barriers.set(name, barrier)
    return barrier
  }
}

interface Barrier {
  readonly arrived: PromiseWithResolvers<void>
  readonly released: PromiseWithResolvers<void>
}
