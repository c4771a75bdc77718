/** What `createSessions` tells a store when it opens it, for tests that open stores by themselves. */

import { randomBytes } from 'node:crypto'
import type { Logger, StoreContext } from '../../src/core/index.ts'
import { createKeyRing, toCookiePolicy } from '../../src/token/index.ts'

const silent: Logger = { info() {}, warn() {}, error() {} }

/** The defaults, with a secret of its own, on which nobody listens; a test says only what matters to it. */
export function contextOf(parts: Partial<StoreContext> = {}): StoreContext {
  return {
    keyRing: createKeyRing(randomBytes(32).toString('base64url')),
    clock: { now: Date.now },
    logger: silent,
    absoluteTimeoutMs: 43_200_000,
    cookie: toCookiePolicy(),
    deadlineMs: 1_000,
    dropped() {},
    ended() {},
    tokensChanged() {},
    raise() {},
    ...parts,
  }
}
