import { lacksRight } from './failure.ts'
import { nodesKey } from './keys.ts'
import type { Link } from './link.ts'
import { type Script, script } from './scripts.ts'

/** What every script may need of its user beside commands on its keys. */
const rightsScript: Script = script(`
redis.call('INFO', 'replication')
redis.call('TIME')
return redis.call('HLEN', KEYS[1])
`)

/**
 * A user of Redis without the rights of scripts would read, and be found out by the first visitor who changes something.
 *
 * @throws StoreUnavailableError that says which rights it needs; what else goes wrong is told by the calls that follow
 */
export async function assertRights(send: Link['send'], keyPrefix: string): Promise<void> {
  const key = nodesKey(keyPrefix)
  try {
    await send(key, ['EVALSHA', rightsScript.sha, '1', key], rightsScript)
  } catch (error) {
    if (lacksRight(error)) throw error
  }
}
