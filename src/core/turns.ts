import { SojournError, StoreTimeoutError } from './errors.ts'
import { QUEUE_LENGTH_MAX } from './limits.ts'

class Line {
  tail: Promise<unknown> = Promise.resolve()
  length = 0
  /** Everyone that ever came. */
  arrivals = 0
  /** A turn that ran into the deadline, and how many had come when it began. */
  stalled: { readonly error: StoreTimeoutError; readonly arrivals: number } | undefined
}

/**
 * One at a time for each key, in the order of arrival. A node sends one change of a session at a time, so that
 * a record has to remember one operation of each node, and updates of one node do not conflict with each other.
 *
 * When a turn runs into the store's deadline, those that waited for the whole of it fail with it: one deadline after the
 * other, the last of many would hear of a store that stalls only after minutes.
 */
export class Turns {
  readonly #waiting = new Map<string, Line>()

  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const line = this.#waiting.get(key) ?? new Line()
    if (line.length >= QUEUE_LENGTH_MAX) {
      return Promise.reject(
        new SojournError('store_unavailable', 503, `${line.length} changes wait for session ${key}; try again later`),
      )
    }
    line.length += 1
    line.arrivals += 1
    this.#waiting.set(key, line)
    const place = line.arrivals
    const result = line.tail.then(() => takeTurn(line, place, task))
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

async function takeTurn<T>(line: Line, place: number, task: () => Promise<T>): Promise<T> {
  if (line.stalled && place <= line.stalled.arrivals) throw line.stalled.error
  const { arrivals } = line
  try {
    return await task()
  } catch (error) {
    if (error instanceof StoreTimeoutError) line.stalled = { error, arrivals }
    throw error
  }
}
