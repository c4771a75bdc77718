import { setTimeout as sleep } from 'node:timers/promises'
import { ASK_AGAIN_MS, ASK_PAUSE_MS, ASKED_AT_ONCE_MAX, SWEEP_EVERY_MS } from './limits.ts'

/** The sessions that this process goes on with outside of requests, and how often. */
export class Holders {
  readonly #counts = new Map<string, number>()

  get keys(): Iterable<string> {
    return this.#counts.keys()
  }

  get size(): number {
    return this.#counts.size
  }

  /** @returns what gives it up again; once it was told of its end, nothing is left to give up */
  hold(key: string): () => void {
    let isHeld = true
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
    return () => {
      if (!isHeld) return
      isHeld = false
      const count = this.#counts.get(key) ?? 0
      if (count > 1) this.#counts.set(key, count - 1)
      else this.#counts.delete(key)
    }
  }

  has(key: string): boolean {
    return this.#counts.has(key)
  }

  /** Returns whether the session was held. */
  giveUp(key: string): boolean {
    return this.#counts.delete(key)
  }
}

/** Asks for sessions in small groups, and for all that are held every so often. */
export class Sweep {
  readonly #holders: Holders
  readonly #ask: (key: string) => Promise<void>
  readonly #waiting = new Set<string>()
  #isAsking = false
  #isClosed = false
  #timer: NodeJS.Timeout | undefined
  #again: NodeJS.Timeout | undefined

  /** @param ask rejects where Redis cannot be asked: then the session is asked for again */
  constructor(holders: Holders, ask: (key: string) => Promise<void>) {
    this.#holders = holders
    this.#ask = ask
  }

  /** Asks for these, and for every session that is held. */
  all(others: Iterable<string>): void {
    for (const key of this.#holders.keys) this.#waiting.add(key)
    for (const key of others) this.#waiting.add(key)
    void this.#run()
  }

  one(key: string): void {
    this.#waiting.add(key)
    void this.#run()
    this.#timer ??= setInterval(() => this.all([]), SWEEP_EVERY_MS).unref()
  }

  close(): void {
    this.#isClosed = true
    clearInterval(this.#timer)
    clearTimeout(this.#again)
  }

  async #run(): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    try {
      while (this.#waiting.size > 0 && !this.#isClosed) {
        const group = [...this.#waiting].slice(0, ASKED_AT_ONCE_MAX)
        for (const key of group) this.#waiting.delete(key)
        const answers = await Promise.allSettled(group.map((key) => this.#ask(key)))
        const unanswered = group.filter((_, index) => answers[index]?.status === 'rejected')
        for (const key of unanswered) this.#waiting.add(key)
        if (unanswered.length > 0) return this.#askAgain()
        if (this.#waiting.size > 0) await sleep(ASK_PAUSE_MS, undefined, { ref: false })
      }
    } finally {
      this.#isAsking = false
    }
  }

  /** Nobody else may come by: of a copy that is gone nothing but this tells. */
  #askAgain(): void {
    if (this.#isClosed) return
    clearTimeout(this.#again)
    this.#again = setTimeout(() => void this.#run(), ASK_AGAIN_MS).unref()
  }
}
