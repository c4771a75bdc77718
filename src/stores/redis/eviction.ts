import type { Logger } from '../../core/index.ts'

/**
 * Warns of a Redis that makes room by dropping what it was not told to drop: a session, or the list of a user's sessions,
 * after which `revokeUser` would miss some. Everything of ours has a time to live, so that `volatile-*` drops it too.
 *
 * @param ask sends a command to some server; an answer that a managed Redis refuses is none
 */
export async function warnOfEviction(ask: (args: string[]) => Promise<unknown>, logger: Logger): Promise<void> {
  const memory = await ask(['INFO', 'memory']).catch(() => '')
  const policy = /^maxmemory_policy:(\S+)/m.exec(String(memory))?.[1]
  if (policy === undefined || policy === 'noeviction') return
  logger.warn(
    { store: 'redis', policy },
    `Redis has maxmemory-policy ${policy}: when its memory is full it drops sessions, and knows no more of all sessions of a user, so that revokeUser and list miss some; give it maxmemory-policy noeviction`,
  )
}
