import type { Carried } from './carried.ts'
import type { Engine } from './engine.ts'
import { ASK_PAUSE_MS, CLOCK_ERROR_MS, END_WORD_MS } from './limits.ts'
import { endOf, nextEnd } from './policy.ts'
import type { SessionRecord } from './record.ts'
import type { ChangeResult } from './store.ts'
import type { SessionWatch, WatchEnd } from './watch.ts'

/** What an open session knows of itself. */
export interface Standing extends Pick<SessionRecord, 'user' | 'startedAt' | 'lastSeenAt' | 'expiresAt'> {
  readonly key: string
  /** Of the token that opened it. */
  readonly generation: number
  readonly carried?: Carried | undefined
}

interface Watcher {
  readonly standing: Standing
  readonly ended: (end: WatchEnd) => void
  readonly everyMs: number
}

interface Hooks {
  /** It wants to be asked for. */
  asks(): void
  /** Nobody watches it any more. Called once. */
  isOver(): void
}

/** One session that connections of this process watch: when it ends as far as is known, and when to ask the store again. */
export class WatchedSession<Data extends object> {
  readonly #engine: Engine<Data>
  readonly #key: string
  readonly #hooks: Hooks
  readonly #watchers = new Set<Watcher>()
  #newest: Standing
  #endsAt = 0
  readonly #release: () => void
  #timer: NodeJS.Timeout | undefined
  #isTouching = false
  #isOver = false

  constructor(engine: Engine<Data>, standing: Standing, hooks: Hooks) {
    this.#engine = engine
    this.#key = standing.key
    this.#hooks = hooks
    this.#newest = standing
    this.#release = engine.store.hold(standing.key)
  }

  add(watcher: Watcher): SessionWatch {
    this.#learn(watcher.standing)
    this.#watchers.add(watcher)
    // It may have ended since it was opened.
    this.askSoon()
    return { use: () => this.#use(watcher), stop: () => this.#remove(watcher) }
  }

  askSoon(): void {
    clearTimeout(this.#timer)
    this.#hooks.asks()
  }

  async ask(): Promise<boolean> {
    const { carried } = this.#newest
    try {
      const record = await this.#engine.store.call('read', (store) => store.read(this.#key, carried ? { carried } : {}))
      if (!this.#isOver) this.#judge(record)
      return true
    } catch {
      return this.#isOver
    }
  }

  /** Its time is over by what is known, and the store, which may know of a later use, does not answer. */
  endWhenOverdue(): void {
    if (this.#engine.clock.now() >= this.#endsAt + CLOCK_ERROR_MS) this.end('unreachable')
  }

  end(end: WatchEnd): void {
    for (const watcher of this.#watchers) this.#tell(watcher, end)
  }

  #judge(record: SessionRecord | undefined): void {
    const { clock, policy } = this.#engine
    const now = clock.now()
    if (!record && now < this.#endsAt) return this.#gone()
    if (!record || endOf(policy, record) <= now) return this.end('expired')
    const { user, startedAt, lastSeenAt, expiresAt } = record
    this.#learn({ ...this.#newest, user, startedAt, lastSeenAt, expiresAt })
    for (const watcher of this.#watchers) {
      if (watcher.standing.generation < record.floor) this.#tell(watcher, 'superseded')
    }
    this.#rest()
  }

  #gone(): void {
    const { store } = this.#engine
    const told = this.#engine.toldEnd(this.#key)
    const tell = (): void => {
      this.#engine.tellEnd(this.#key, this.#newest.user, 'elsewhere')
      this.end(told ?? 'elsewhere')
    }
    if (told || !store.tellsEnds) return tell()
    clearTimeout(this.#timer)
    this.#timer = setTimeout(tell, END_WORD_MS).unref()
  }

  /** An end never moves nearer, so that of two answers that overtook each other the later end counts. */
  #learn(standing: Standing): void {
    const endsAt = endOf(this.#engine.policy, standing)
    if (endsAt < this.#endsAt) return
    this.#endsAt = endsAt
    this.#newest = standing
  }

  #rest(): void {
    if (this.#isOver) return
    const everyMs = Math.min(...[...this.#watchers].map((watcher) => watcher.everyMs))
    const untilEndMs = Math.max(1, this.#endsAt - this.#engine.clock.now())
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#hooks.asks(), Math.min(everyMs, untilEndMs)).unref()
  }

  #use(watcher: Watcher): void {
    const { clock, policy, carrying } = this.#engine
    if (carrying || this.#isTouching || !this.#watchers.has(watcher)) return
    if (clock.now() - this.#newest.lastSeenAt >= policy.touchEveryMs) void this.#touch(watcher.standing)
  }

  async #touch({ generation }: Standing): Promise<void> {
    this.#isTouching = true
    try {
      const { outcome } = await this.#engine.turns.run(this.#key, () => this.#applyUse(generation))
      if (outcome !== 'applied' && !this.#isOver) this.askSoon()
      this.#isTouching = false
    } catch {
      setTimeout(() => (this.#isTouching = false), ASK_PAUSE_MS).unref() // no call for each frame to a store that fails
    }
  }

  async #applyUse(generation: number): Promise<ChangeResult> {
    const { clock, policy, store } = this.#engine
    const now = clock.now()
    const expiresAt = nextEnd(policy, now, this.#newest.startedAt)
    const change = { key: this.#key, operation: this.#engine.nextOperation(), now, expiresAt, generation }
    const result = await store.call('apply', (store) => store.apply(change))
    if (result.outcome === 'applied') this.#learn({ ...this.#newest, lastSeenAt: now, expiresAt })
    return result
  }

  #tell(watcher: Watcher, end: WatchEnd): void {
    if (!this.#remove(watcher)) return
    try {
      watcher.ended(end)
    } catch (error) {
      this.#engine.logger.error({ err: error, end }, 'a listener of sessions.watch() failed')
    }
  }

  #remove(watcher: Watcher): boolean {
    const wasThere = this.#watchers.delete(watcher)
    if (wasThere && this.#watchers.size === 0) {
      this.#isOver = true
      clearTimeout(this.#timer)
      this.#release()
      this.#hooks.isOver()
    }
    return wasThere
  }
}
