import { LEASE_IDLE_MS, RENEWALS_PER_LEASE } from './limits.ts'

/**
 * Whether copies may be served at this moment.
 *
 * A round is: this node registers as one that has copies, and only then asks for a sign of life on the connection that
 * carries invalidations. Who ends a session after the first waits for this node; what was ended before it is heard of
 * before the second is answered. So copies are good for the length of the lease from the *start* of a round that was
 * answered, whatever became of the connection since.
 */
export class Lease {
  readonly #lengthMs: number
  readonly #round: () => Promise<boolean>
  #heldUntil = -Infinity
  /** Wall time of the round: the monotonic clock stands still while a machine is suspended. */
  #startedAt = 0
  #usedAt = -Infinity
  #timer: NodeJS.Timeout | undefined
  #isInRound = false
  #isClosed = false

  /** @param round runs one, and resolves whether it was answered; it does not reject */
  constructor(lengthMs: number, round: () => Promise<boolean>) {
    this.#lengthMs = lengthMs
    this.#round = round
  }

  /** Whether it holds. Who asks keeps it alive. */
  readonly isHeld = (): boolean => {
    const now = performance.now()
    this.#use(now)
    return now < this.#heldUntil && Date.now() - this.#startedAt < this.#lengthMs
  }

  /** Whether it holds, or ran out by no more than this. Does not keep it alive. */
  isWithin(graceMs: number): boolean {
    return performance.now() < this.#heldUntil + graceMs && Date.now() - this.#startedAt < this.#lengthMs + graceMs
  }

  /** Sessions are being read: copies will be asked for. */
  use(): void {
    this.#use(performance.now())
  }

  /** Nothing may be served until the next round. */
  end(): void {
    this.#heldUntil = -Infinity
  }

  close(): void {
    this.#isClosed = true
    this.end()
    clearTimeout(this.#timer)
  }

  #use(now: number): void {
    this.#usedAt = now
    if (this.#timer === undefined && !this.#isInRound && !this.#isClosed) void this.#renew()
  }

  async #renew(): Promise<void> {
    const startedAt = Date.now()
    const started = performance.now()
    this.#isInRound = true
    const isAnswered = await this.#round()
    this.#isInRound = false
    if (this.#isClosed) return
    if (isAnswered) {
      this.#heldUntil = started + this.#lengthMs
      this.#startedAt = startedAt
    }
    const pauseMs = Math.max(started + this.#lengthMs / RENEWALS_PER_LEASE - performance.now(), 1)
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      if (performance.now() - this.#usedAt < LEASE_IDLE_MS) void this.#renew()
    }, pauseMs).unref()
  }
}
