import { ASK_PAUSE_MS, ASKS_AT_ONCE_MAX } from './limits.ts'

/** Who has something to ask the store. */
export interface Asker {
  /** Resolves whether the store answered; never rejects. */
  ask(): Promise<boolean>
}

/**
 * Lets a bounded number ask at once, first come, first served. While the store fails, one asks at a time, with a pause
 * between, for all: who was not answered waits on.
 */
export class AskQueue<A extends Asker> {
  readonly #failed: (waiting: Iterable<A>) => void
  readonly #waiting = new Set<A>()
  #asking = 0
  #isFailing = false
  #pause: NodeJS.Timeout | undefined

  /** @param failed told after each failure, with those who wait */
  constructor(failed: (waiting: Iterable<A>) => void) {
    this.#failed = failed
  }

  /** Who waits already keeps his place. */
  add(asker: A): void {
    this.#waiting.add(asker)
    this.#next()
  }

  delete(asker: A): void {
    this.#waiting.delete(asker)
    if (this.#waiting.size === 0) this.#endPause()
  }

  #next(): void {
    for (const asker of this.#waiting) {
      if (this.#pause || this.#asking >= (this.#isFailing ? 1 : ASKS_AT_ONCE_MAX)) return
      this.#waiting.delete(asker)
      this.#asking += 1
      void asker.ask().then((isAnswered) => this.#asked(asker, isAnswered))
    }
  }

  #asked(asker: A, isAnswered: boolean): void {
    this.#asking -= 1
    this.#isFailing = !isAnswered
    if (!isAnswered) {
      this.#waiting.add(asker)
      this.#pause ??= setTimeout(() => this.#endPause(), ASK_PAUSE_MS).unref()
      this.#failed([...this.#waiting])
    }
    this.#next()
  }

  #endPause(): void {
    clearTimeout(this.#pause)
    this.#pause = undefined
    this.#next()
  }
}
