/** Something that is waited for, until it is taken out or its time is over. */
export interface Pending {
  readonly endsAt: number
  readonly late: () => void
}

/** Many that may each take equally long, with one timer for all: one for each would be a good part of what a call costs. */
export class Deadlines {
  readonly #ms: number
  /** In the order of their ends. */
  readonly #pending = new Set<Pending>()
  #timer: NodeJS.Timeout | undefined
  /** Resolves the promise that {@link drained} gave. */
  #drain: (() => void) | undefined

  constructor(ms: number) {
    this.#ms = ms
  }

  /** @param late called when the time is over and {@link end} was not called */
  begin(late: () => void): Pending {
    const pending = new Wait(performance.now() + this.#ms, late)
    if (this.#pending.size === 0) this.#timer?.ref()
    this.#pending.add(pending)
    this.#timer ??= this.#wakeIn(this.#ms)
    return pending
  }

  /** It is waited for no more. @returns whether it still was */
  end(pending: Pending): boolean {
    if (!this.#pending.delete(pending)) return false
    if (this.#pending.size === 0) this.#emptied()
    return true
  }

  isPending(pending: Pending): boolean {
    return this.#pending.has(pending)
  }

  /** Resolves when nothing is waited for. */
  drained(): Promise<void> {
    return this.#pending.size === 0 ? Promise.resolve() : new Promise((resolve) => (this.#drain = resolve))
  }

  #emptied(): void {
    this.#timer?.unref() // nobody is to wait for a timer without a purpose
    this.#drain?.()
  }

  #wakeIn(ms: number): NodeJS.Timeout {
    // After a pause of this process its timers come before its sockets, where the answers may be waiting.
    return setTimeout(() => setImmediate(() => this.#wake()), ms)
  }

  #wake(): void {
    this.#timer = undefined
    try {
      for (const pending of this.#pending) {
        if (pending.endsAt > performance.now()) break
        this.#pending.delete(pending)
        pending.late()
      }
    } finally {
      // Also where somebody whom `late` told has thrown: the others are waited for all the same.
      const [next] = this.#pending
      if (next) this.#timer ??= this.#wakeIn(Math.max(next.endsAt - performance.now(), 0))
      else this.#emptied()
    }
  }
}

class Wait implements Pending {
  readonly endsAt: number
  readonly late: () => void

  constructor(endsAt: number, late: () => void) {
    this.endsAt = endsAt
    this.late = late
  }
}
