import type { TLSSocket } from 'node:tls'
import type { Ending } from './connection.ts'
import { DialError } from './dial.ts'
import { DIAL_PAUSE_MAX_MS, DIAL_PAUSE_MIN_MS } from './limits.ts'

export interface DialerHost {
  /** @throws DialError */
  open(address: string, signal: AbortSignal): Promise<TLSSocket>
  /** Carries on with the socket; resolves when the connection ended. */
  carry(address: string, socket: TLSSocket): Promise<Ending>
  /** Whether a connection stands with who is at the address, whoever dialed. */
  isConnected(address: string): boolean
  failed(address: string, error: DialError): void
}

/** Keeps trying one address, while no connection with it stands. */
export class Dialer {
  readonly #address: string
  readonly #host: DialerHost
  readonly #stopping = new AbortController()
  #wake: () => void = () => {}
  #pauseMs = DIAL_PAUSE_MIN_MS

  constructor(address: string, host: DialerHost) {
    this.#address = address
    this.#host = host
    void this.#run()
  }

  /** Looks again whether to dial: a peer was lost. */
  wake(): void {
    this.#wake()
  }

  /** Dials no more. A connection that stands stays. */
  stop(): void {
    this.#stopping.abort()
    this.#wake()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      if (this.#host.isConnected(this.#address)) {
        await this.#sleep(undefined)
        this.#pauseMs = DIAL_PAUSE_MIN_MS
      } else if ((await this.#dial(signal)) === 'self') return
      // Both sides of a connection that was cut dial again at once, and a fleet that starts does too: chance spreads them.
      await this.#sleep(this.#pauseMs * (0.5 + Math.random() / 2))
    }
  }

  async #dial(signal: AbortSignal): Promise<Ending['code']> {
    this.#pauseMs = Math.min(this.#pauseMs * 2, DIAL_PAUSE_MAX_MS)
    try {
      const socket = await this.#host.open(this.#address, signal)
      const { code, wasReady } = await this.#host.carry(this.#address, socket)
      if (wasReady) this.#pauseMs = DIAL_PAUSE_MIN_MS
      return code
    } catch (error) {
      const failure = error instanceof DialError ? error : new DialError('unreachable', String(error), error)
      if (!signal.aborted) this.#host.failed(this.#address, failure)
      return undefined
    }
  }

  /** Until it is woken, stopped, or so long; a pause is not cut short by a wake that came before. */
  #sleep(ms: number | undefined): Promise<void> {
    if (this.#stopping.signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms)
      timer?.unref()
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
