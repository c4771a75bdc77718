import { SojournError, type Store, type StoreContext, StoreUnavailableError } from '../../core/index.ts'
import { EndLog, type LogPlace, type LogReading } from './end-log.ts'
import { Ends, type Entry, formatEntry, parseEntry } from './ends.ts'
import { APPEND_CONFLICTS_MAX, APPENDS_WAITING_MAX, POLLS_PER_LEASE } from './limits.ts'

/** How the feed is followed. Times in milliseconds. */
export interface FeedSettings {
  readonly leaseMs: number
  readonly lostAfterMs: number
  readonly onLost: 'refuse' | 'accept'
  /** Whether other nodes may answer from what they have heard. */
  readonly isShared: boolean
}

/** What comes of a change to what all nodes know: an answer, and the entry that makes it so; none where nothing changes. */
export interface Decision<T> {
  readonly answer: T
  readonly entry?: Entry
}

interface Waiting {
  readonly name: string
  readonly decide: () => Decision<unknown>
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: unknown) => void
}

/**
 * What this node knows of ended sessions: follows the log of all nodes, and adds to it.
 *
 * A node answers from memory only while it has heard the log within its lease, counted from the sending of the poll; else
 * it polls first. So an entry is known everywhere, or asked for, once a lease has passed since it was appended, and no
 * node has to know the others.
 */
export class EndFeed {
  readonly ends: Ends
  readonly #log: EndLog
  readonly #settings: FeedSettings
  readonly #context: StoreContext
  #place: LogPlace | undefined
  /** When the last poll that was answered had been sent; monotonic. */
  #heardAt = -Infinity
  #isFailing = false
  #polling: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #isClosed = false
  #waiting: Waiting[] = []
  #isAppending = false

  constructor(store: Store, settings: FeedSettings, context: StoreContext) {
    this.ends = new Ends(context.absoluteTimeoutMs)
    this.#log = new EndLog(store, context)
    this.#settings = settings
    this.#context = context
  }

  /** The number of the next entry: the epoch of what begins now. */
  get epoch(): number {
    return this.#place?.length ?? 0
  }

  async open(): Promise<void> {
    await this.#poll()
    this.#pollLater()
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  /**
   * Makes sure that memory may be answered from; `undefined` where it may at once.
   *
   * @throws StoreUnavailableError where the log was lost for too long
   */
  fresh(): Promise<void> | undefined {
    if (performance.now() - this.#heardAt < this.#settings.leaseMs) return undefined
    return this.#refresh()
  }

  /** Resolves when every node knows what was appended before the call, or will ask before it answers. */
  async known(): Promise<void> {
    const { isShared, leaseMs } = this.#settings
    if (!isShared) return
    const until = performance.now() + leaseMs
    for (let left = leaseMs; left > 0; left = until - performance.now()) {
      await new Promise((resolve) => setTimeout(resolve, Math.ceil(left)))
    }
  }

  /**
   * Decides on a change to one session or user, and appends it in the order of all nodes' changes: `decide` is called again
   * when another node was faster.
   */
  commit<T>(name: string, decide: () => Decision<T>): Promise<T> {
    if (this.#waiting.length >= APPENDS_WAITING_MAX) {
      return Promise.reject(
        new StoreUnavailableError('too many changes wait for the store of revocations; try again later'),
      )
    }
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ name, decide, resolve: resolve as (answer: unknown) => void, reject })
      if (!this.#isAppending) void this.#appendAll()
    })
  }

  async #appendAll(): Promise<void> {
    this.#isAppending = true
    for (let conflicts = 0; this.#waiting.length > 0;) {
      const batch = this.#takeBatch()
      try {
        const overtaken = await this.#append(batch)
        conflicts = overtaken.length > 0 ? conflicts + 1 : 0
        if (conflicts > APPEND_CONFLICTS_MAX) throw new StoreUnavailableError('the log of ended sessions is contended')
        if (conflicts > 0) await this.#catchUp()
        this.#waiting.unshift(...overtaken)
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    this.#isAppending = false
  }

  /** As many as the log takes at once, each of another session, so that none decides on what another is about to change. */
  #takeBatch(): Waiting[] {
    const names = new Set<string>()
    const batch: Waiting[] = []
    const rest: Waiting[] = []
    const room = this.#place ? this.#log.roomAt(this.#place) : 1
    for (const each of this.#waiting) {
      if (batch.length >= room || names.has(each.name)) rest.push(each)
      else {
        names.add(each.name)
        batch.push(each)
      }
    }
    this.#waiting = rest
    return batch
  }

  /** @returns those to decide again, where another node was faster */
  async #append(batch: readonly Waiting[]): Promise<Waiting[]> {
    if (!this.#place) await this.#catchUp()
    const place = this.#place
    if (!place) throw new StoreUnavailableError('the log of ended sessions is not open')
    const decided: [Waiting, Decision<unknown>][] = []
    for (const waiting of batch) {
      try {
        decided.push([waiting, waiting.decide()])
      } catch (error) {
        waiting.reject(error)
      }
    }
    const entries = decided.flatMap(([, { entry }]) => entry ?? [])
    if (entries.length > 0) {
      const next = await this.#log.append(place, entries.map(formatEntry))
      if (!next) return decided.map(([waiting]) => waiting)
      entries.forEach((entry, n) => this.ends.take(entry, place.length + n))
      if (next.length > (this.#place?.length ?? 0)) this.#place = next
    }
    for (const [{ resolve }, { answer }] of decided) resolve(answer)
    return []
  }

  /** A poll that was sent after the call. */
  async #catchUp(): Promise<void> {
    await this.#polling?.catch(() => {})
    await this.#poll()
  }

  async #refresh(): Promise<void> {
    if (!this.#isFailing) await this.#poll().catch(() => {})
    const silentMs = performance.now() - this.#heardAt
    if (silentMs < Math.max(this.#settings.leaseMs, this.#settings.lostAfterMs) || this.#settings.onLost === 'accept')
      return
    throw new StoreUnavailableError(
      'this node has not heard which sessions were ended for too long (feedLostAfter), so it serves none; see the store of revocations',
    )
  }

  #poll(): Promise<void> {
    this.#polling ??= this.#pollOnce().finally(() => (this.#polling = undefined))
    return this.#polling
  }

  async #pollOnce(): Promise<void> {
    const sentAt = performance.now()
    const since = this.#place?.length
    try {
      this.#takeReading(await (since === undefined ? this.#log.readAll() : this.#log.readSince(since)), since ?? 0)
      this.#heardAt = sentAt
      this.ends.forget(this.#context.clock.now())
      if (this.#isFailing) this.#context.logger.info({}, 'the feed of ended sessions is heard again')
      this.#isFailing = false
    } catch (error) {
      if (!this.#isFailing && !this.#isClosed) {
        const code = error instanceof SojournError ? error.code : 'error'
        this.#context.logger.warn({ code, err: error }, 'the feed of ended sessions is not heard')
      }
      this.#isFailing = true
      throw error
    }
  }

  #takeReading({ place, entries }: LogReading, since: number): void {
    for (const [number, text] of entries) {
      const entry = parseEntry(text)
      if (entry) this.ends.take(entry, number)
    }
    const isLost = place.length < since
    if (isLost) {
      this.#context.logger.error(
        {},
        'the store of revocations has lost entries: sessions that had ended may open again',
      )
    }
    // An append of this node may have been answered since the poll was sent.
    if (isLost || !this.#place || place.length >= this.#place.length) this.#place = place
  }

  #pollLater(): void {
    if (this.#isClosed) return
    const wait = this.#settings.leaseMs / POLLS_PER_LEASE
    this.#timer = setTimeout(
      () =>
        void this.#poll()
          .catch(() => {})
          .finally(() => this.#pollLater()),
      wait,
    )
    this.#timer.unref()
  }
}
