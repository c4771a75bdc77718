import { LRUCache } from 'lru-cache'
import type { NearCacheStats, SessionRecord } from '../../core/index.ts'
import { compareVersions, type Version } from '../../token/index.ts'
import { bytesOf, MARK_BYTES } from './copy-size.ts'

/** What a node remembers of a key: a copy of the session, that there is none, or only that it had a copy lately. */
export type Entry = SessionRecord | typeof MISSING | typeof TRACE

const MISSING: unique symbol = Symbol('no session')
const TRACE: unique symbol = Symbol('had a copy')

/** How many entries, and about how many bytes of memory they may take. */
export interface CopyLimits {
  readonly maxSessions: number
  readonly maxBytes: number
}

/** The reads of one key that are under way. */
interface Line {
  length: number
  /** Rises with all that makes an answer on its way too old to be kept. */
  changes: number
}

/** A read under way. */
export interface Reading {
  readonly key: string
  readonly line: Line
  readonly changes: number
  readonly flushes: number
}

/**
 * Copies of sessions, as Redis had them when this node read them or changed them last. Whether they may be served is for
 * the lease to say, and what has changed for the tracked connection and the bus.
 */
export class NearCache {
  readonly #entries: LRUCache<string, Entry>
  readonly #lines = new Map<string, Line>()
  readonly #counts = { hits: 0, misses: 0, lapses: 0, stale: 0, invalidations: 0, flushes: 0, patches: 0 }

  constructor({ maxSessions, maxBytes }: CopyLimits) {
    this.#entries = new LRUCache({
      max: maxSessions,
      maxSize: maxBytes,
      sizeCalculation: (entry) => (isCopy(entry) ? bytesOf(entry) : MARK_BYTES),
    })
  }

  get stats(): NearCacheStats {
    return { copies: this.#entries.size, bytes: this.#entries.calculatedSize, ...this.#counts }
  }

  /**
   * The copy of a session, `null` where a copy says that there is none, or `undefined` where Redis is to be asked.
   *
   * @param isLeased whether copies may be served now; asked only where there is one
   */
  serve(key: string, atLeast: Version | undefined, isLeased: () => boolean): SessionRecord | null | undefined {
    const entry = this.#entries.get(key)
    const isTooOld = atLeast !== undefined && !(isCopy(entry) && compareVersions(atLeast, entry.version) <= 0)
    if (entry === undefined || entry === TRACE || isTooOld) this.#counts.misses += 1
    else if (!isLeased()) this.#counts.lapses += 1
    else {
      this.#counts.hits += 1
      return entry === MISSING ? null : entry
    }
    return undefined
  }

  /** The copy of a session for when Redis cannot be asked. That there is none is no such copy: nobody is logged out by it. */
  serveStale(key: string, atLeast: Version | undefined): SessionRecord | undefined {
    const entry = this.#entries.get(key)
    if (!isCopy(entry) || (atLeast && compareVersions(atLeast, entry.version) > 0)) return undefined
    this.#counts.stale += 1
    return { ...entry, isStale: true }
  }

  /** To be called before a read is sent, and {@link endRead} when it is over, however it ended. */
  beginRead(key: string): Reading {
    const line = this.#lines.get(key) ?? { length: 0, changes: 0 }
    if (line.length === 0) this.#lines.set(key, line)
    line.length += 1
    return { key, line, changes: line.changes, flushes: this.#counts.flushes }
  }

  /** Keeps what was read, unless something happened to the session meanwhile; `undefined`: it could not be read. */
  endRead({ key, line, changes, flushes }: Reading, stored: SessionRecord | null | undefined): void {
    line.length -= 1
    if (line.length === 0) this.#lines.delete(key)
    if (stored === undefined || line.changes !== changes || this.#counts.flushes !== flushes) return
    this.#entries.set(key, stored ?? MISSING)
  }

  /** This node sends a change: what is being read may be of before or after it. */
  beginWrite(key: string): void {
    this.#disturb(key)
  }

  /**
   * A change of this node was answered, or failed. The copy that it was made of follows, where nobody came between.
   *
   * @param next what the change made of a copy; `undefined` where that is not known
   */
  endWrite(key: string, next?: (copy: SessionRecord) => SessionRecord | undefined): void {
    this.#disturb(key)
    const entry = this.#entries.peek(key)
    const followed = isCopy(entry) ? next?.(entry) : undefined
    if (followed) {
      this.#counts.patches += 1
      this.#entries.set(key, followed)
    } else this.#entries.delete(key)
  }

  /** Another node changed the session, or Redis dropped it. Only a trace of the copy stays. */
  invalidate(key: string): void {
    this.#disturb(key)
    const entry = this.#entries.peek(key)
    if (!entry || entry === TRACE) return
    this.#counts.invalidations += 1
    if (isCopy(entry)) this.#entries.set(key, TRACE)
    else this.#entries.delete(key)
  }

  /** Forgets a session. Returns whether this node has, or lately had, a copy of it. */
  drop(key: string): boolean {
    this.#disturb(key)
    const entry = this.#entries.peek(key)
    this.#entries.delete(key)
    return entry !== undefined && entry !== MISSING
  }

  /** Nothing that was read so far can be trusted any more. */
  flush(): void {
    this.#counts.flushes += 1
    const entries = [...this.#entries.entries()]
    for (const [key, entry] of entries) {
      if (isCopy(entry)) this.#entries.set(key, TRACE)
      else if (entry === MISSING) this.#entries.delete(key)
    }
  }

  /** The sessions of which only a trace is left: what became of them this node may have missed. */
  traces(): string[] {
    return [...this.#entries.entries()].filter(([, entry]) => entry === TRACE).map(([key]) => key)
  }

  /** The session of a trace lives on, so that there is nothing to be told. */
  forgetTrace(key: string): void {
    if (this.#entries.peek(key) === TRACE) this.#entries.delete(key)
  }

  #disturb(key: string): void {
    const line = this.#lines.get(key)
    if (line) line.changes += 1
  }
}

/** Whether an entry is a copy of a session. */
function isCopy(entry: Entry | undefined): entry is SessionRecord {
  return typeof entry === 'object'
}
