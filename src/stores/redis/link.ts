import { setTimeout as sleep } from 'node:timers/promises'
import { type ConnectionStats, Deadlines, StoreTimeoutError, StoreUnavailableError } from '../../core/index.ts'
import { Breaker } from './breaker.ts'
import type { Client } from './client.ts'
import { isPassing, isReply, isUnknownScript, toCause, toStoreError } from './failure.ts'
import { CALLS_LENGTH_MAX, CALLS_MAX, TAKEOVER_PAUSE_MS } from './limits.ts'
import type { Script } from './scripts.ts'

/** What a {@link Link} is told, and whom it tells. */
export interface LinkOptions {
  readonly deadlineMs: number
  /** Redis cannot be used from now on: once for each time. */
  wentAway(error: Error): void
  cameBack(): void
}

/**
 * Sends commands through a client so that each call settles within the deadline, whatever the client queues.
 *
 * A command whose connection broke is sent again on the next one until the deadline, so only commands that may be
 * repeated fit. When the client has been away for a whole deadline, or the server gives no answers, calls are refused at once.
 */
export class Link {
  readonly #client: Client
  readonly #options: LinkOptions
  readonly #deadlineMs: number
  readonly #deadlines: Deadlines
  /** Of the masters that left a call unanswered, by address; of a single one under no name. */
  readonly #breakers = new Map<string, Breaker>()
  readonly #onReady = (): void => this.#arrive()
  readonly #onEnd = (): void => this.#away?.refuse()
  readonly #onError = (error?: Error): void => {
    this.#lastError = error
    const { state } = this.#client
    if (state === 'away') this.#leave()
    if (state === 'closed') this.#away?.refuse()
  }
  #callCount = 0
  #callLength = 0
  #refusedCount = 0
  #outageCount = 0
  #hasBeenReady: boolean
  #lastError: Error | undefined
  #away: Away | undefined

  constructor(client: Client, options: LinkOptions) {
    this.#client = client
    this.#hasBeenReady = client.state === 'ready'
    this.#options = options
    // A little before the deadline of the caller, who would otherwise hear only that it took too long.
    this.#deadlineMs = options.deadlineMs * 0.9
    this.#deadlines = new Deadlines(this.#deadlineMs)
    client.on('ready', this.#onReady)
    client.on('end', this.#onEnd)
    // It also keeps a client that nobody listens to from ending the process when the server dies.
    client.on('error', this.#onError)
  }

  /** Whether Redis cannot be used now, and perhaps soon. */
  get isOut(): boolean {
    return this.#client.state === 'away' || this.#silentCount > 0
  }

  get stats(): ConnectionStats {
    const { state } = this.#client
    return {
      state: state === 'ready' && this.#silentCount > 0 ? 'silent' : state,
      calls: this.#callCount,
      refused: this.#refusedCount,
      outages: this.#outageCount,
    }
  }

  /** Stops listening to the client. */
  detach(): void {
    for (const breaker of this.#breakers.values()) breaker.stop()
    this.#away?.refuse()
    this.#away = undefined
    this.#client.off('ready', this.#onReady)
    this.#client.off('end', this.#onEnd)
    this.#client.off('error', this.#onError)
  }

  /**
   * @param key that the command is about, by which a Cluster finds the server
   * @throws StoreUnavailableError with what to do, StoreTimeoutError when there is a connection and no answer
   */
  send(key: string | undefined, args: string[], script?: Script): Promise<unknown> {
    const refusal = this.refusal(key)
    if (refusal) return Promise.reject(refusal)
    const length = args.reduce((sum, arg) => sum + arg.length, 0)
    this.#callCount += 1
    this.#callLength += length
    return new Promise((resolve, reject) => {
      const call = new Call()
      const pending = this.#deadlines.begin(() => {
        call.isOver = true
        reject(this.#lateError())
        if (this.#client.state === 'ready' && !call.hasWaited) this.#unanswered(key)
      })
      const settle = (isAnswer: boolean): void => {
        if (this.#deadlines.end(pending) && isAnswer) this.#answered(key)
        call.isOver = true
        this.#callCount -= 1
        this.#callLength -= length
      }
      this.#exchange(key, args, script, call).then(
        (reply) => {
          settle(true)
          resolve(reply)
        },
        (error: unknown) => {
          settle(isReply(error))
          reject(toStoreError(error))
        },
      )
    })
  }

  /** Why nothing would be sent now; counted as a call that was refused. */
  refusal(key: string | undefined): Error | undefined {
    const refusal = this.#refusal(key)
    if (refusal) this.#refusedCount += 1
    return refusal
  }

  #refusal(key: string | undefined): Error | undefined {
    if (this.#breakers.size > 0) {
      const master = this.#masterOf(key)
      if (this.#breakers.get(master)?.isOpen) return this.#silentError(master)
    }
    if (this.#away?.isOver && this.#client.state === 'away') return this.#awayError()
    if (this.#callCount < CALLS_MAX && this.#callLength < CALLS_LENGTH_MAX) return undefined
    return new StoreUnavailableError(`${this.#callCount} calls are waiting for Redis already; it does not keep up`)
  }

  async #exchange(key: string | undefined, args: string[], script: Script | undefined, call: Call): Promise<unknown> {
    let command = args
    for (;;) {
      if (this.#client.state !== 'ready') {
        call.hasWaited = true
        await this.#whenBack()
      }
      if (call.isOver) return undefined
      try {
        return await this.#client.send(key, command)
      } catch (error) {
        if (script && command === args && isUnknownScript(error)) command = ['EVAL', script.text, ...args.slice(2)]
        else if (this.#client.kind !== 'server' && isPassing(error)) {
          await sleep(TAKEOVER_PAUSE_MS)
        } else if (isReply(error) || this.#client.state === 'ready') throw error
        else this.#lastError = toCause(error)
      }
    }
  }

  #whenBack(): Promise<void> {
    if (this.#client.state === 'closed') {
      return Promise.reject(new StoreUnavailableError(`the Redis client is not connected: ${this.#client.howToOpen}`))
    }
    return this.#leave().back
  }

  /** Masters that give no answers. */
  get #silentCount(): number {
    return [...this.#breakers.values()].filter(({ isOpen }) => isOpen).length
  }

  #masterOf(key: string | undefined): string {
    return (key === undefined ? undefined : this.#client.masterOf?.(key)) ?? ''
  }

  #answered(key: string | undefined): void {
    if (this.#breakers.size === 0) return
    const master = this.#masterOf(key)
    if (!this.#breakers.get(master)?.isOpen) this.#breakers.delete(master)
  }

  #unanswered(key: string | undefined): void {
    const master = this.#masterOf(key)
    const breaker = this.#breakers.get(master) ?? this.#breakerOf(master, master === '' ? undefined : key)
    this.#breakers.set(master, breaker)
    breaker.unanswered()
  }

  /** @param key that leads to this master, among several */
  #breakerOf(master: string, key: string | undefined): Breaker {
    return new Breaker({
      patienceMs: this.#deadlineMs,
      probe: () => this.#probe(key),
      opened: () => {
        if (!this.#away && this.#silentCount === 1) this.#tellAway(this.#silentError(master))
      },
      closed: () => {
        this.#breakers.delete(master)
        if (!this.#away && this.#silentCount === 0) this.#options.cameBack()
      },
    })
  }

  /** Whether the server answers. Without a connection it does not. */
  async #probe(key: string | undefined): Promise<boolean> {
    if (this.#client.state !== 'ready') return false
    const isLife = (error: unknown): boolean => isReply(error) && (this.#client.kind === 'server' || !isPassing(error))
    return this.#client.send(key, key === undefined ? ['PING'] : ['EXISTS', key]).then(() => true, isLife)
  }

  #leave(): Away {
    if (this.#away) return this.#away
    this.#away = new Away(this.#deadlineMs, () => this.#awayError())
    if (this.#silentCount === 0) this.#tellAway(this.#awayError())
    return this.#away
  }

  #arrive(): void {
    this.#lastError = undefined
    this.#hasBeenReady = true
    if (!this.#away) return
    this.#away.end()
    this.#away = undefined
    if (this.#silentCount === 0) this.#options.cameBack()
  }

  #tellAway(error: Error): void {
    if (this.#hasBeenReady) this.#outageCount += 1
    this.#options.wentAway(error)
  }

  #lateError(): Error {
    if (this.#client.state !== 'ready') return this.#awayError()
    return new StoreTimeoutError(`Redis did not answer within ${this.#deadlineMs} ms; a change may still be applied`)
  }

  #silentError(master: string): Error {
    return new StoreUnavailableError(
      `Redis${master && ` at ${master}`} gives no answers within ${this.#deadlineMs} ms; calls are refused until it does`,
    )
  }

  #awayError(): Error {
    return this.#lastError ? toStoreError(this.#lastError) : new StoreUnavailableError('Redis cannot be reached')
  }
}

class Call {
  /** It was answered or given up: nothing more is sent for it. */
  isOver = false
  /** It had no connection for some of its time, so that a missing answer tells nothing of the server. */
  hasWaited = false
}

/** A time without a connection. */
class Away {
  /** Resolves when it ends, rejects when it has lasted too long or the client gave up. */
  readonly back: Promise<void>
  readonly end: () => void
  readonly refuse: () => void
  /** It has lasted too long. */
  isOver = false

  constructor(patienceMs: number, toError: () => Error) {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    promise.catch(() => {}) // perhaps nobody waits
    this.back = promise
    this.refuse = () => {
      clearTimeout(timer)
      this.isOver = true
      reject(toError())
    }
    this.end = () => {
      clearTimeout(timer)
      resolve()
    }
    const timer = setTimeout(this.refuse, patienceMs)
  }
}
