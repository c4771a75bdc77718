import { AskQueue } from './ask-queue.ts'
import type { Engine } from './engine.ts'
import type { EndReason } from './events.ts'
import { WatchedSession, type Standing } from './watched-session.ts'

/**
 * Why a session is over for a connection that watches it:
 * - an {@link EndReason}, as the `ended` event tells it;
 * - `expired`: its idle or absolute timeout is over;
 * - `superseded`: a login changed the token, and the connection was opened by one from before it;
 * - `unreachable`: the store does not answer, and by what this node knows the session's time is over;
 * - `closed`: `sessions.close()` was called.
 */
export type WatchEnd = EndReason | 'expired' | 'superseded' | 'unreachable' | 'closed'

/** A watch over the session of a connection that stays open. */
export interface SessionWatch {
  /**
   * The visitor has used the session, as a request would: its idle timeout begins anew. Written at most once in 1/20 of
   * the idle timeout, for all watches of a session together; a failure is tried again with a later use. A session that
   * travels in a cookie is used by requests alone.
   */
  use(): void

  /** Ends the watch: its listener is called no more. Twice is once. */
  stop(): void
}

/** The sessions of this process that long-lived connections watch. Each is held and asked for once, however many do. */
export class Watches<Data extends object> {
  readonly #engine: Engine<Data>
  readonly #watched = new Map<string, WatchedSession<Data>>()
  readonly #queue = new AskQueue<WatchedSession<Data>>((waiting) => {
    for (const watched of waiting) watched.endWhenOverdue()
  })

  constructor(engine: Engine<Data>) {
    this.#engine = engine
    engine.events.on('ended', ({ key, reason }) => this.#watched.get(key)?.end(reason))
    engine.events.on('login', ({ key }) => this.#watched.get(key)?.askSoon())
    engine.whenTokensChanged = (key) => this.#watched.get(key)?.askSoon()
  }

  /** @param standing of the session; `undefined` for one that is not stored, of which there is nothing to tell */
  watch(standing: Standing | undefined, ended: (end: WatchEnd) => void, everyMs: number): SessionWatch {
    if (this.#engine.isClosed) return toldClosed(ended)
    if (!standing) return { use() {}, stop() {} }
    const { key } = standing
    const watched = this.#watched.get(key) ?? this.#begin(standing)
    return watched.add({ standing, ended, everyMs })
  }

  close(): void {
    for (const watched of this.#watched.values()) watched.end('closed')
  }

  #begin(standing: Standing): WatchedSession<Data> {
    const watched: WatchedSession<Data> = new WatchedSession(this.#engine, standing, {
      asks: () => this.#queue.add(watched),
      isOver: () => {
        this.#queue.delete(watched)
        this.#watched.delete(standing.key)
      },
    })
    this.#watched.set(standing.key, watched)
    return watched
  }
}

/** What comes while the process shuts down is told as what was there. */
function toldClosed(ended: (end: WatchEnd) => void): SessionWatch {
  let isStopped = false
  process.nextTick(() => {
    if (!isStopped) ended('closed')
  })
  return { use() {}, stop: () => void (isStopped = true) }
}
