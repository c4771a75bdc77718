import type { Engine } from '../engine.ts'
import type { SessionEvents } from '../events.ts'
import { OLD_TROUBLE_EVERY_MS } from '../limits.ts'

type Reason = SessionEvents['notMoved']['reason']

/** Counts what went wrong with old sessions, and logs it now and then. No request fails for it. */
export class Troubles {
  readonly #engine: Pick<Engine<object>, 'events' | 'logger'>
  readonly #toldAt = new Map<Reason, number>()

  constructor(engine: Pick<Engine<object>, 'events' | 'logger'>) {
    this.#engine = engine
  }

  tell(reason: Reason, error?: unknown): void {
    const { events, logger } = this.#engine
    const facts =
      error === undefined ? { reason } : { reason, error: error instanceof Error ? error.message : 'not an Error' }
    events.emit('notMoved', facts)
    const now = performance.now()
    const toldAt = this.#toldAt.get(reason)
    if (toldAt !== undefined && now - toldAt < OLD_TROUBLE_EVERY_MS) return
    this.#toldAt.set(reason, now)
    logger.warn(facts, 'a session of another library was not taken over, or is not kept up')
  }

  /** `undefined` where it fails, which is told. */
  attempt<T>(reason: Reason, task: () => T): T | undefined {
    try {
      return task()
    } catch (error) {
      this.tell(reason, error)
      return undefined
    }
  }
}
