import { type Duration, toMilliseconds } from '../../core/index.ts'
import { COPIES_BYTES_MAX, COPIES_MAX, LEASE_MS_MAX, LEASE_OF_DEADLINE_MAX, STALE_MS_MAX } from './limits.ts'
import type { CopyLimits } from './near-cache.ts'

/** Options of the near cache of {@link redisStore}. */
export interface NearCacheOptions {
  /** Sessions of which copies are kept at most; the one that was quiet for longest goes first. Default: 10,000. */
  maxSessions?: number | undefined

  /** Memory that copies may take, in bytes, by an estimate. Default: 32 MiB. */
  maxBytes?: number | undefined

  /**
   * So long a copy may be served after the last sign of life, and so long a logout waits for a node that has stopped. At
   * most `'1s'` and 0.65 of the deadline of the sessions, within which a logout has to be done. Default: half of
   * the deadline.
   */
  lease?: Duration | undefined
}

/** Checked options; the lease is of the deadline of the sessions. */
export type ToNearCache = (deadlineMs: number) => { readonly copies: CopyLimits | undefined; readonly leaseMs: number }

/** @throws TypeError for what does not fit; the result too, where the lease is too long for the deadline */
export function toNearCache(nearCache: boolean | NearCacheOptions): ToNearCache {
  const isOn = nearCache !== false
  const options = typeof nearCache === 'boolean' ? {} : nearCache
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError('nearCache is true, false, or options such as { maxBytes: 64 * 1024 * 1024 }')
  }
  const { maxSessions = COPIES_MAX, maxBytes = COPIES_BYTES_MAX, lease, ...others } = options
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) {
    throw new TypeError(
      `nearCache has no option ${JSON.stringify(unknown)}; its options are maxSessions, maxBytes, lease`,
    )
  }
  const copies = { maxSessions: toCount('maxSessions', maxSessions), maxBytes: toCount('maxBytes', maxBytes) }
  const leaseMs = lease === undefined ? undefined : toMilliseconds('nearCache.lease', lease, LEASE_MS_MAX)
  return (deadlineMs) => {
    if (leaseMs !== undefined && leaseMs > deadlineMs * LEASE_OF_DEADLINE_MAX) {
      throw new TypeError(
        `nearCache.lease of ${leaseMs} ms is too long for a deadline of ${deadlineMs} ms, within which a logout waits for it; give at most ${deadlineMs * LEASE_OF_DEADLINE_MAX} ms, or a longer deadline`,
      )
    }
    return { copies: isOn ? copies : undefined, leaseMs: leaseMs ?? Math.min(LEASE_MS_MAX, deadlineMs / 2) }
  }
}

/** @throws TypeError for what does not fit */
export function toStaleMs(staleReads: Duration | undefined, keepsCopies: boolean): number {
  if (staleReads === undefined) return 0
  if (keepsCopies) return toMilliseconds('staleReads', staleReads, STALE_MS_MAX)
  throw new TypeError(
    'staleReads serves copies of the near cache, and this store keeps none: leave out nearCache: false, and give a url or a client of redis',
  )
}

function toCount(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new TypeError(`nearCache.${name} is a whole number above 0; to keep no copies give nearCache: false`)
}
