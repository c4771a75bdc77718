import { StoreTimeoutError, StoreUnavailableError } from '../../core/index.ts'
import type { Client } from './client.ts'
import { isReply, isUnknownScript, toCause, toStoreError } from './failure.ts'
import type { Script } from './scripts.ts'

/** Calls that may be under way at once. A server that does not answer, on a connection that does not break, would gather them without end. */
const CALLS_MAX = 10_000

/**
 * Sends commands through a client so that each call settles within the deadline, whatever the client queues.
 *
 * A command whose connection broke is sent again on the next one until the deadline, so only commands that may be
 * repeated fit. When the client has been away for a whole deadline, calls are refused at once.
 */
export class Link {
  readonly #client: Client
  readonly #deadlineMs: number
  readonly #wentAway: (error: Error) => void
  readonly #cameBack: () => void
  readonly #onReady = (): void => this.#arrive()
  readonly #onEnd = (): void => this.#away?.refuse()
  readonly #onError = (error?: Error): void => {
    this.#lastError = error
    const { state } = this.#client
    if (state === 'away') this.#leave()
    if (state === 'closed') this.#away?.refuse()
  }
  #callCount = 0
  #lastError: Error | undefined
  #away: Away | undefined

  /** `wentAway` and `cameBack` tell once each time that the connection is lost and restored. */
  constructor(
    client: Client,
    { deadlineMs, wentAway, cameBack }: { deadlineMs: number; wentAway: (error: Error) => void; cameBack: () => void },
  ) {
    this.#client = client
    // A little before the deadline of the caller, who would otherwise hear only that it took too long.
    this.#deadlineMs = deadlineMs * 0.9
    this.#wentAway = wentAway
    this.#cameBack = cameBack
    client.on('ready', this.#onReady)
    client.on('end', this.#onEnd)
    // It also keeps a client that nobody listens to from ending the process when the server dies.
    client.on('error', this.#onError)
  }

  /** Stops listening to the client. */
  detach(): void {
    this.#away?.refuse()
    this.#away = undefined
    this.#client.off('ready', this.#onReady)
    this.#client.off('end', this.#onEnd)
    this.#client.off('error', this.#onError)
  }

  /** @throws StoreUnavailableError with what to do, StoreTimeoutError when there is a connection and no answer */
  send(args: string[], script?: Script): Promise<unknown> {
    if (this.#callCount >= CALLS_MAX) {
      return Promise.reject(
        new StoreUnavailableError(`${CALLS_MAX} calls are waiting for Redis already; it does not keep up`),
      )
    }
    this.#callCount += 1
    return new Promise((resolve, reject) => {
      const call = { isOver: false }
      const giveUp = (): void => {
        call.isOver = true
        reject(this.#lateError())
      }
      // After a pause of this process its timers come before its sockets, where the answer may be waiting.
      const timer = setTimeout(() => setImmediate(giveUp), this.#deadlineMs)
      this.#exchange(args, script, call)
        .then(resolve, (error: unknown) => reject(toStoreError(error)))
        .finally(() => {
          this.#callCount -= 1
          clearTimeout(timer)
        })
    })
  }

  async #exchange(args: string[], script: Script | undefined, call: { readonly isOver: boolean }): Promise<unknown> {
    let command = args
    for (;;) {
      if (this.#client.state !== 'ready') await this.#whenBack()
      if (call.isOver) return undefined
      try {
        return await this.#client.send(command)
      } catch (error) {
        if (script && command === args && isUnknownScript(error)) command = ['EVAL', script.text, ...args.slice(2)]
        else if (isReply(error) || this.#client.state === 'ready') throw error
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

  #leave(): Away {
    if (this.#away) return this.#away
    this.#away = new Away(this.#deadlineMs, () => this.#awayError())
    this.#wentAway(this.#awayError())
    return this.#away
  }

  #arrive(): void {
    this.#lastError = undefined
    if (!this.#away) return
    this.#away.end()
    this.#away = undefined
    this.#cameBack()
  }

  #lateError(): Error {
    if (this.#client.state !== 'ready') return this.#awayError()
    return new StoreTimeoutError(`Redis did not answer within ${this.#deadlineMs} ms; a change may still be applied`)
  }

  #awayError(): Error {
    return this.#lastError ? toStoreError(this.#lastError) : new StoreUnavailableError('Redis cannot be reached')
  }
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
