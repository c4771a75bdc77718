import { setTimeout as sleep } from 'node:timers/promises'
import { type ConnectionStats, StoreTimeoutError, StoreUnavailableError } from '../../core/index.ts'
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
  readonly #breaker: Breaker
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
    this.#breaker = new Breaker({
      patienceMs: this.#deadlineMs,
      probe: () => this.#probe(),
      opened: () => this.#away ?? this.#tellAway(this.#silentError()),
      closed: () => this.#away ?? this.#options.cameBack(),
    })
    client.on('ready', this.#onReady)
    client.on('end', this.#onEnd)
    // It also keeps a client that nobody listens to from ending the process when the server dies.
    client.on('error', this.#onError)
  }

  get stats(): ConnectionStats {
    const { state } = this.#client
    return {
      state: state === 'ready' && this.#breaker.isOpen ? 'silent' : state,
      calls: this.#callCount,
      refused: this.#refusedCount,
      outages: this.#outageCount,
    }
  }

  /** Stops listening to the client. */
  detach(): void {
    this.#breaker.stop()
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
    const refusal = this.#refusal()
    if (refusal) {
      this.#refusedCount += 1
      return Promise.reject(refusal)
    }
    const length = args.reduce((sum, arg) => sum + arg.length, 0)
    this.#callCount += 1
    this.#callLength += length
    return new Promise((resolve, reject) => {
      const call: Call = { isOver: false, hasWaited: false }
      const giveUp = (): void => {
        if (call.isOver) return
        call.isOver = true
        reject(this.#lateError())
        if (this.#client.state === 'ready' && !call.hasWaited) this.#breaker.unanswered()
      }
      // After a pause of this process its timers come before its sockets, where the answer may be waiting.
      const timer = setTimeout(() => setImmediate(giveUp), this.#deadlineMs)
      const settle = (isAnswer: boolean): void => {
        if (isAnswer && !call.isOver) this.#breaker.answered()
        call.isOver = true
        this.#callCount -= 1
        this.#callLength -= length
        clearTimeout(timer)
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

  #refusal(): Error | undefined {
    if (this.#breaker.isOpen) return this.#silentError()
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
          call.hasWaited = true
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

  /** Whether the server answers. Without a connection it does not. */
  async #probe(): Promise<boolean> {
    if (this.#client.state !== 'ready') return false
    return this.#client.send(undefined, ['PING']).then(() => true, isReply)
  }

  #leave(): Away {
    if (this.#away) return this.#away
    this.#away = new Away(this.#deadlineMs, () => this.#awayError())
    if (!this.#breaker.isOpen) this.#tellAway(this.#awayError())
    return this.#away
  }

  #arrive(): void {
    this.#lastError = undefined
    this.#hasBeenReady = true
    if (!this.#away) return
    this.#away.end()
    this.#away = undefined
    if (!this.#breaker.isOpen) this.#options.cameBack()
  }

  #tellAway(error: Error): void {
    if (this.#hasBeenReady) this.#outageCount += 1
    this.#options.wentAway(error)
  }

  #lateError(): Error {
    if (this.#client.state !== 'ready') return this.#awayError()
    return new StoreTimeoutError(`Redis did not answer within ${this.#deadlineMs} ms; a change may still be applied`)
  }

  #silentError(): Error {
    return new StoreUnavailableError(
      `Redis takes commands and answers none within ${this.#deadlineMs} ms; calls are refused until it answers a PING`,
    )
  }

  #awayError(): Error {
    return this.#lastError ? toStoreError(this.#lastError) : new StoreUnavailableError('Redis cannot be reached')
  }
}

interface Call {
  /** It was answered or given up: nothing more is sent for it. */
  isOver: boolean
  /** It had no connection for some of its time, so that a missing answer tells nothing of the server. */
  hasWaited: boolean
}

/** A time without a connection. */
class Away {
  /** Resolves when it ends, rejects when it has lasted too long or the client gave up. */
  readonly back: Promise<void>
  readonly end: () => void
  readonly refuse: () => void

  constructor(patienceMs: number, toError: () => Error) {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    promise.catch(() => {}) // perhaps nobody waits
    const timer = setTimeout(() => reject(toError()), patienceMs)
    this.back = promise
    this.end = () => {
      clearTimeout(timer)
      resolve()
    }
    this.refuse = () => {
      clearTimeout(timer)
      reject(toError())
    }
  }
}
