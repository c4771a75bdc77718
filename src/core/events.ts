import type { Version } from '../token/index.ts'
import type { SojournError } from './errors.ts'
import type { Logger } from './store.ts'

/** Why a session ended. */
export type EndReason = 'logout' | 'revoked' | 'stolen' | 'dropped' | 'invalid' | 'replaced' | 'refused' | 'elsewhere'

/** What `sessions.on` tells. Keys are safe to log; no event holds a token. */
export interface SessionEvents {
  /** A session was stored for the first time. */
  created: { readonly key: string }
  /** A user logged in. */
  login: { readonly key: string; readonly user: string }
  /**
   * A session has ended, through this node, or through another while this one holds it (as a WebSocket does, or by a copy).
   * `dropped`: by a bounded store under pressure, or it is gone from the store without a word; `invalid`: it did not fit the
   * schema; `replaced`: a newer login of its user took its place; `refused`: its user had as many as they may
   * have (`maxSessionsPerUser`); `elsewhere`: a watch of this node found that it has ended through another, and the store does
   * not say why. Once on each node for each session.
   */
  ended: { readonly key: string; readonly user: string | null; readonly reason: EndReason }
  /** Two use one session: a token came after another had taken its place, and every answer on its way had arrived. */
  stolen: {
    readonly key: string
    readonly user: string | null
    /** Of the token that came too late. */
    readonly generation: number
    /** Who sent it, by `clientLabel`; the owner or the thief. */
    readonly presentedBy: string
    /** Who was the first to use the token that had taken its place. Empty where the store does not know. */
    readonly heldBy: string
  }
  /** A request carried a token from before a login. */
  superseded: { readonly key: string }
  /**
   * The client has seen a newer version than any that the store has: the store lost changes. With `stored: null` it has
   * no such session: it lost it, or it has ended or timed out and this client still carries its cookies, which is common
   * and not logged.
   */
  stale: { readonly key: string; readonly seen: Version; readonly stored: Version | null }
  /** Fields were assigned after the response had begun, and nobody saved them. */
  lateChange: { readonly key: string; readonly fields: readonly string[] }
  /** A request's changes were dropped, since its session had ended meanwhile. */
  changeDropped: { readonly key: string; readonly fields: readonly string[] }
  /** A presented token was forged, mangled or foreign, or (`unknownSecret`) of a secret that this node does not know. */
  tokenRefused: { readonly reason: 'refused' | 'unknownSecret' }
  /** A stored record did not fit the schema; `onInvalid` says what was done. */
  invalid: { readonly key: string; readonly fields: readonly string[] }
  /** A session of another library was taken over. */
  adopted: { readonly key: string; readonly user: string | null }
  /**
   * An old session was not taken over, or is not kept up: it is no session of that library (`format`), a function of
   * `migrateFrom` failed (`mapping`), it cannot be kept here (`unfit`), or others changed it all the time (`busy`). No request
   * fails for it; the log says it once a minute.
   */
  notMoved: { readonly reason: 'format' | 'mapping' | 'unfit' | 'busy'; readonly error?: string }
  /** A store call failed or took longer than the deadline. */
  storeFailed: { readonly call: string; readonly error: SojournError }
  /** A node of a mesh and this one do not speak with each other. The log says it too, once in a while. */
  peerRefused: PeerRefusal
  /** This node of a mesh acknowledges changes that no other node has, since it is alone. Once for each view. */
  underReplicated: { readonly members: readonly string[] }
  /**
   * So many nodes of a mesh with `onPartition: 'majority'` died that nobody may serve what is left of their sessions: this
   * node begins anew, with none. `members` is the view that is lost, by address.
   */
  begunAnew: { readonly members: readonly string[] }
}

/** Why two nodes of a mesh do not speak with each other. */
export interface PeerRefusal {
  /** `host:port` of the peer's mesh, or where its connection came from while nobody knows who it is. */
  readonly address: string
  /**
   * - `secret`: it shares no secret (or no certificate authority) with this node, or is no node at all;
   * - `clock`: its wall clock is too far from this node's;
   * - `version`: it speaks another major version;
   * - `format`: it sent what is no message;
   * - `silence`: it did not finish the handshake, or not in time;
   * - `full`: there are too many connections.
   */
  readonly code: 'secret' | 'clock' | 'version' | 'format' | 'silence' | 'full'
  /** The same in words. */
  readonly reason: string
  /** The peer refused this node, and the words are the peer's. */
  readonly isByPeer: boolean
}

/** Events that a store raises by itself. */
export type StoreEventName = 'peerRefused' | 'underReplicated' | 'begunAnew'

/** The names of {@link SessionEvents}. */
export type SessionEventName = keyof SessionEvents

export type SessionListener<N extends SessionEventName> = (event: SessionEvents[N]) => void

/** What is logged without being asked for, at which level. */
const LOGGED: Record<SessionEventName, { level: 'warn' | 'error'; message: string } | undefined> = {
  created: undefined,
  login: undefined,
  ended: undefined,
  superseded: undefined,
  tokenRefused: undefined,
  adopted: undefined,
  notMoved: undefined, // logged once a minute
  peerRefused: undefined, // the mesh logs it, at a bounded rate
  underReplicated: {
    level: 'warn',
    message: 'the mesh acknowledges changes with one copy alone, since this node is alone: its end would lose them',
  },
  begunAnew: {
    level: 'error',
    message: 'more than half of the mesh was lost with its sessions: this node begins anew, with none',
  },
  stolen: { level: 'warn', message: 'two clients use one session: a copied token was seen' },
  stale: { level: 'warn', message: 'a client has seen a newer version than the store has: the store lost changes' },
  lateChange: { level: 'warn', message: 'session fields were assigned after the response had begun; call save()' },
  changeDropped: { level: 'warn', message: 'a session ended while a request was in flight; its changes were dropped' },
  invalid: { level: 'warn', message: 'a stored session does not fit the schema' },
  storeFailed: { level: 'error', message: 'a call to the session store failed' },
}

/** Counts every event, logs some, and hands it to its listeners; a listener that throws is logged and harms nobody. */
export class EventBus {
  readonly counts: Record<string, number> = {}
  readonly #listeners = new Map<string, Set<(event: never) => void>>()
  readonly #logger: Logger

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /**
   * @returns a function that removes the listener
   * @throws TypeError for a name that is none, since an alarm that never rings looks like peace
   */
  on<N extends SessionEventName>(name: N, listener: SessionListener<N>): () => void {
    if (!Object.hasOwn(LOGGED, name)) {
      throw new TypeError(`there is no event ${JSON.stringify(name)}; the events are ${Object.keys(LOGGED).join(', ')}`)
    }
    if (typeof listener !== 'function') throw new TypeError(`on(${JSON.stringify(name)}, listener): give a function`)
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners)
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }

  emit<N extends SessionEventName>(name: N, event: SessionEvents[N]): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1
    const logged = 'stored' in event && event.stored === null ? undefined : LOGGED[name]
    if (logged) this.#logger[logged.level](event, logged.message)
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        const result: unknown = (listener as SessionListener<N>)(event)
        if (result instanceof Promise) result.catch((error: unknown) => this.#logFailure(name, error))
      } catch (error) {
        this.#logFailure(name, error)
      }
    }
  }

  #logFailure(event: SessionEventName, error: unknown): void {
    this.#logger.error({ err: error, event }, 'a listener of sessions.on() failed')
  }
}
