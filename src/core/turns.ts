import { SojournError } from './errors.ts'
import { QUEUE_LENGTH_MAX } from './limits.ts'

/**
 * One at a time for each key, in the order of arrival. A node sends one change of a session at a time, so that
 * a record has to remember one operation of each node, and updates of one node do not conflict with each other.
 */
export class Turns {
  readonly #waiting = new Map<string, { tail: Promise<unknown>; length: number }>()

  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const line = this.#waiting.get(key) ?? { tail: Promise.resolve(), length: 0 }
    if (line.length >= QUEUE_LENGTH_MAX) {
      return Promise.reject(
        new SojournError('store_unavailable', 503, `${line.length} changes wait for session ${key}; try again later`),
      )
    }
    line.length += 1
    this.#waiting.set(key, line)
    const result = line.tail.then(task)
    const done = (): void => {
      line.length -= 1
      if (line.length === 0) this.#waiting.delete(key)
    }
    line.tail = result.then(done, done)
    return result
  }

  /** Resolves when nothing waits any more. */
  async drained(): Promise<void> {
    while (this.#waiting.size > 0) await Promise.all([...this.#waiting.values()].map(({ tail }) => tail))
  }
}
