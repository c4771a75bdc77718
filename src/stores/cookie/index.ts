/**
 * Sessions that travel with their clients, sealed in cookies; no server keeps them.
 *
 * Exported from `sojourn/cookie`.
 *
 * @module
 */

import type { StoreDefinition } from '../../core/index.ts'
import { CHUNKS_MAX } from './limits.ts'
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
}

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
  const { compress = 'auto', chunks = 1, ...others } = options
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) {
    throw new TypeError(`cookieStore has no option ${JSON.stringify(unknown)}; its options are compress, chunks`)
  }
  if (compress !== 'auto' && compress !== 'never') throw new TypeError("compress is 'auto' or 'never'")
  if (!Number.isInteger(chunks) || chunks < 1 || chunks > CHUNKS_MAX) {
    throw new TypeError(`chunks is a whole number from 1 to ${CHUNKS_MAX}`)
  }
  const settings = { compress: compress === 'auto', chunks }
  return { name: 'cookie', shared: true, open: (context) => new CookieStore(settings, context) }
}
