import type { Version } from '../token/index.ts'
import { Deadlines, type Pending } from './deadlines.ts'
import { SojournError, StoreTimeoutError, StoreUnavailableError } from './errors.ts'
import type { EventBus } from './events.ts'
import type { SessionRecord } from './record.ts'
import type { Store, StoreStats } from './store.ts'

/** The calls that reach a store: after `ready`, each within the deadline, each failure a {@link SojournError}. */
export class StoreCalls {
  readonly counts: Record<string, number> = {}
  readonly #store: Store
  readonly #name: string
  readonly #deadlineMs: number
  readonly #events: EventBus
  #opening: Promise<void> | undefined
  #isOpen = false
  #closing: Promise<void> | undefined
  readonly #deadlines: Deadlines

  constructor(store: Store, name: string, deadlineMs: number, events: EventBus) {
    this.#store = store
    this.#name = name
    this.#deadlineMs = deadlineMs
    this.#deadlines = new Deadlines(deadlineMs)
    this.#events = events
  }

  get stats(): StoreStats {
    return this.#store.stats ?? {}
  }

  /** Opens the store; a failure is not kept, the next call tries again. */
  async ready(): Promise<void> {
    if (this.#closing) throw closedError()
    this.#opening ??= Promise.resolve()
      .then(() => this.#store.ready())
      .then(
        () => void (this.#isOpen = true),
        (error: unknown) => {
          this.#opening = undefined
          throw toSojournError(this.#name, error)
        },
      )
    await this.#opening
  }

  /** What {@link Store.copy} has. */
  copy(key: string, atLeast: Version | undefined): SessionRecord | undefined {
    return this.#isOpen && !this.#closing ? this.#store.copy?.(key, atLeast) : undefined
  }

  /** What {@link Store.hold} does. */
  hold(key: string): () => void {
    return this.#store.hold?.(key) ?? (() => {})
  }

  get tellsEnds(): boolean {
    return this.#store.hold !== undefined
  }

  /** @throws SojournError, most often StoreUnavailableError or StoreTimeoutError */
  call<T>(name: string, operation: (store: Store) => Promise<T>): Promise<T> {
    if (this.#closing) return Promise.reject(closedError())
    this.counts[name] = (this.counts[name] ?? 0) + 1
    return new Promise<T>((resolve, reject) => {
      const fail = (reason: unknown): void => {
        const error = toSojournError(this.#name, reason)
        try {
          // a session that is too large, and what a store cannot do, are no failures of it
          if (error.status === 503) this.#events.emit('storeFailed', { call: name, error })
          reject(error)
        } catch (thrown) {
          reject(thrown) // by the application's logger: nobody is to wait for ever
        }
      }
      const pending = this.#deadlines.begin(() => fail(this.#lateError(name)))
      this.#ask(operation, pending).then(
        (answer) => this.#deadlines.end(pending) && resolve(answer),
        (reason: unknown) => this.#deadlines.end(pending) && fail(reason),
      )
    })
  }

  /** Waits for calls under way, then closes the store, all within this time. */
  close(deadlineMs: number): Promise<void> {
    this.#closing ??= (async () => {
      const startedAt = performance.now()
      await within(deadlineMs, Promise.allSettled([this.#deadlines.drained(), this.#opening]))
      await this.#store.close(Math.max(1, deadlineMs - (performance.now() - startedAt)))
    })()
    return this.#closing
  }

  async #ask<T>(operation: (store: Store) => Promise<T>, pending: Pending): Promise<T> {
    if (!this.#isOpen) {
      await this.ready()
      if (!this.#deadlines.isPending(pending)) throw closedError() // too late: its caller was told that it could not be reached
    }
    return operation(this.#store)
  }

  #lateError(name: string): SojournError {
    return this.#isOpen
      ? new StoreTimeoutError(
          `the ${this.#name} store did not answer ${name} within ${this.#deadlineMs} ms; it may still apply it`,
        )
      : new StoreUnavailableError(`the ${this.#name} store was not ready within ${this.#deadlineMs} ms`)
  }
}

/** Waits for work that does not reject, but no longer than this. */
export async function within(deadlineMs: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timeIsUp = new Promise<void>((resolve) => (timer = setTimeout(resolve, deadlineMs)))
  await Promise.race([work, timeIsUp])
  clearTimeout(timer)
}

export function closedError(): SojournError {
  return new SojournError('closed', 503, 'these sessions were closed; this process is shutting down')
}

function toSojournError(store: string, reason: unknown): SojournError {
  if (reason instanceof SojournError) return reason
  const message = reason instanceof Error ? reason.message : String(reason)
  return new StoreUnavailableError(`the ${store} store failed: ${message}`, { cause: reason })
}
