/**
 * Sessions that travel with their clients, sealed in cookies; no server keeps them.
 *
 * Exported from `sojourn/cookie`.
 *
 * @module
 */

import { type Duration, type StoreContext, type StoreDefinition, toMilliseconds } from '../../core/index.ts'
import type { FeedSettings } from './end-feed.ts'
import { CHUNKS_MAX, FEED_LOST_AFTER_MS, LEASE_MS, LEASE_MS_MAX } from './limits.ts'
import type { OldCookies } from './old-cookies.ts'
import { Revocations } from './revocations.ts'
import { CookieStore } from './store.ts'

/** Options of {@link cookieStore}. */
export interface CookieStoreOptions {
  /**
   * `'auto'` compresses a session where that makes it smaller. The length of a compressed session tells something about
   * what is in it: where it holds a secret beside text that others choose, take `'never'`. Default: `'auto'`.
   */
  compress?: 'auto' | 'never' | undefined

  /**
   * Cookies over which a session may be spread, of at most 4,096 bytes each with name and attributes: 1 to 3. Beyond one,
   * raise what the balancer takes as a header (nginx: `large_client_header_buffers`). A session that does not fit fails
   * with `session_too_large`, 413, before its response begins. Default: 1.
   */
  chunks?: number | undefined

  /**
   * A server store that remembers which sessions have ended (`memoryStore`, `sqliteStore`, `redisStore`, `meshStore`, …),
   * so that `logout`, `revoke`, `revokeUser`, `revokeAll`, `rotate` and `login` do on every node what they say. Each node
   * answers from memory; the store is asked some times a second, by a login, a logout and a rotation, and by no request
   * besides. It needs a finite `absoluteTimeout`, for so long an end is remembered. Default: none, and nothing is revoked.
   */
  revocations?: StoreDefinition | undefined

  /**
   * How long a node answers from what it last heard of the ended sessions; it asks three times as often. A logout or a login
   * takes so much longer, until every node knows. At most a second, and half of `deadline`. Default: 300 ms.
   */
  lease?: Duration | undefined

  /**
   * What a node does that has not heard from the store of revocations for `feedLostAfter`: refuses every session with 503, or
   * goes on accepting those that it does not know to have ended. Default: `'refuse'`.
   */
  onFeedLost?: 'refuse' | 'accept' | undefined

  /**
   * How long a node that cannot reach the store of revocations goes on with what it knows. As long, at most, it may serve a
   * session that ended elsewhere meanwhile. Default: `'30s'`.
   */
  feedLostAfter?: Duration | undefined

  /**
   * Sessions of another library, `ironSession(…)` or `fastifySecureSession(…)`: where a client has such a cookie and none of
   * ours, its session is taken over and sealed anew, and the old cookie is cleared. Until this option is taken out again a
   * kept copy of an old cookie can be taken over once more, after a logout too. Default: none.
   */
  migrateFrom?: OldCookies | readonly OldCookies[] | undefined
}

const OPTION_NAMES = ['compress', 'chunks', 'revocations', 'lease', 'onFeedLost', 'feedLostAfter', 'migrateFrom']

/**
 * Seals each session with XAES-256-GCM into a cookie beside the token's. Nothing to run and nothing to lose; every node
 * that has the secret serves every session.
 *
 * Of two requests at once the last answer wins, whole: changes of the other are lost. Without `revocations` a session
 * cannot be ended but by its client forgetting it: a copied cookie works until its time is over. Changes after the first
 * byte of a response, and outside a request, are refused.
 *
 * @example
 * ```ts
 * createSessions({ store: cookieStore(), secret })
 * ```
 * @throws TypeError for options that do not fit
 */
export function cookieStore(options: CookieStoreOptions = {}): StoreDefinition {
  const unknown = Object.keys(options).find((name) => !OPTION_NAMES.includes(name))
  if (unknown !== undefined) {
    throw new TypeError(
      `cookieStore has no option ${JSON.stringify(unknown)}; its options are ${OPTION_NAMES.join(', ')}`,
    )
  }
  const { compress = 'auto', chunks = 1 } = options
  if (compress !== 'auto' && compress !== 'never') throw new TypeError("compress is 'auto' or 'never'")
  if (!Number.isInteger(chunks) || chunks < 1 || chunks > CHUNKS_MAX) {
    throw new TypeError(`chunks is a whole number from 1 to ${CHUNKS_MAX}`)
  }
  const openRevocations = toRevocations(options)
  const { migrateFrom = [] } = options
  const oldCookies = 'read' in migrateFrom ? [migrateFrom] : migrateFrom
  const settings = { compress: compress === 'auto', chunks, oldCookies }
  return {
    name: 'cookie',
    shared: true,
    open: (context) => new CookieStore(settings, openRevocations?.(context), context),
  }
}

function toRevocations(options: CookieStoreOptions): ((context: StoreContext) => Revocations) | undefined {
  const { revocations, onFeedLost = 'refuse' } = options
  const leaseMs = toMilliseconds('lease', options.lease ?? LEASE_MS, LEASE_MS_MAX)
  const lostAfterMs = toMilliseconds('feedLostAfter', options.feedLostAfter ?? FEED_LOST_AFTER_MS)
  if (onFeedLost !== 'refuse' && onFeedLost !== 'accept') throw new TypeError("onFeedLost is 'refuse' or 'accept'")
  if (revocations === undefined) return undefined
  if (typeof revocations?.open !== 'function' || revocations.name === 'cookie') {
    throw new TypeError(
      'revocations is a store of its own: memoryStore(), sqliteStore(…), redisStore(…) or meshStore(…)',
    )
  }
  const settings: FeedSettings = { leaseMs, lostAfterMs, onLost: onFeedLost, isShared: revocations.shared ?? true }
  return (context) => {
    if (!Number.isFinite(context.absoluteTimeoutMs)) {
      throw new TypeError('cookieStore: revocations need a finite absoluteTimeout, for so long an end is remembered')
    }
    if (settings.isShared && 2 * leaseMs > context.deadlineMs) {
      throw new TypeError(
        `cookieStore: a logout waits for lease (${leaseMs} ms), which is at most half of deadline (${context.deadlineMs} ms)`,
      )
    }
    return new Revocations(revocations.open(context), settings, context)
  }
}

export { ironSession, type IronSessionOptions } from './iron-session.ts'
export { fastifySecureSession, type FastifySecureSessionOptions } from './secure-session.ts'
export type { OldCookieOptions, OldCookies } from './old-cookies.ts'
