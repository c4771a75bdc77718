import type { Logger, PeerRefusal } from '../../../core/index.ts'
import { LOG_PAUSE_MS } from './limits.ts'

/** Kinds that are remembered: a few of this node, and a few of each address. */
const KINDS_MAX = 2_000

/** Logs what peers do wrong, so that a flood of it does not become a flood of lines; tells of each refusal. */
export class RefusalLog {
  readonly #logger: Logger
  readonly #onRefused: (refusal: PeerRefusal) => void
  readonly #kinds = new Map<string, { loggedAtMs: number; unlogged: number }>()

  constructor(logger: Logger, onRefused: (refusal: PeerRefusal) => void = () => {}) {
    this.#logger = logger
    this.#onRefused = onRefused
  }

  /** @param kind see {@link add} */
  refuse(kind: string, refusal: PeerRefusal, facts: object, message: string): void {
    this.add('warn', kind, { ...facts, ...refusal }, message)
    this.#onRefused(refusal)
  }

  /** @param kind each has a line of its own */
  add(level: 'info' | 'warn', kind: string, facts: object, message: string): void {
    const now = performance.now()
    const known = this.#kinds.get(kind)
    if (known && now - known.loggedAtMs < LOG_PAUSE_MS) {
      known.unlogged += 1
      return
    }
    if (this.#kinds.size >= KINDS_MAX) this.#kinds.clear()
    this.#kinds.set(kind, { loggedAtMs: now, unlogged: 0 })
    this.#logger[level](known && known.unlogged > 0 ? { ...facts, unlogged: known.unlogged } : facts, message)
  }
}
