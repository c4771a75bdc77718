import { setTimeout as sleep } from 'node:timers/promises'
import { PROBE_PAUSE_MS, UNANSWERED_MAX } from './limits.ts'

/** How a {@link Breaker} finds out, and whom it tells. */
export interface BreakerOptions {
  /** An answer that takes longer is none. */
  readonly patienceMs: number
  /** Asks the server for a sign of life; resolves whether it gave one. */
  probe(): Promise<boolean>
  opened(): void
  closed(): void
}

/**
 * Opens when several calls in a row had no answer in time, so that those to come are refused at once instead of each
 * after its whole deadline. While it is open one probe at a time is sent, and nothing else; the first that is answered in
 * time closes it.
 */
export class Breaker {
  readonly #options: BreakerOptions
  #unansweredCount = 0
  #isOpen = false
  #isStopped = false

  constructor(options: BreakerOptions) {
    this.#options = options
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** A call was answered in time, whatever the answer was. */
  answered(): void {
    this.#unansweredCount = 0
  }

  /** A call that was sent was not answered in time. */
  unanswered(): void {
    this.#unansweredCount += 1
    if (this.#isOpen || this.#isStopped || this.#unansweredCount < UNANSWERED_MAX) return
    this.#isOpen = true
    this.#options.opened()
    void this.#probeUntilAnswered()
  }

  /** Sends no more probes. */
  stop(): void {
    this.#isStopped = true
  }

  async #probeUntilAnswered(): Promise<void> {
    while (!this.#isStopped) {
      const sentAt = performance.now()
      // A late answer is waited for, too: the next probe would only queue behind it.
      const isAlive = await this.#options.probe()
      if (isAlive && performance.now() - sentAt <= this.#options.patienceMs) return this.#close()
      await sleep(PROBE_PAUSE_MS)
    }
  }

  #close(): void {
    if (this.#isStopped) return
    this.#isOpen = false
    this.#unansweredCount = 0
    this.#options.closed()
  }
}
