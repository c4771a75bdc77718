/**
 * The nodes that may serve copies, as Redis lists them: a hash (`nodesKey`) with `until lease` of each node, in
 * milliseconds, `until` by the clock of the server that has the list.
 *
 * Its field `@` tells which server made the list, and when. A list that was lost with its server, flushed or evicted, or
 * that a replica took over with its last entries missing, is young: for as long as a lease of before may last, nobody
 * takes it for whole.
 */

import { LEASE_MARGIN_FACTOR, LEASE_MARGIN_MS, LEASE_MS_MAX, NODE_FORGOTTEN_AFTER_MS } from './limits.ts'
import { type Script, script } from './scripts.ts'

/** How long others take a lease for valid that may last so long on a clock of its own. */
export function withMargin(leaseMs: number): number {
  return leaseMs * LEASE_MARGIN_FACTOR + LEASE_MARGIN_MS
}

const LIST = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if not server then return redis.error_reply('ERR INFO tells no master_replid') end
local maker, since = string.match(redis.call('HGET', KEYS[1], '@') or '', '^(%S+) (%S+)$')
if maker ~= server then
  since = now
  redis.call('HSET', KEYS[1], '@', server .. ' ' .. now)
end`

/** ARGV: the node, the length of its lease, and how long others take it for valid. */
export const registerScript: Script = script(`
${LIST}
redis.call('HSET', KEYS[1], ARGV[1], now + tonumber(ARGV[3]) .. ' ' .. ARGV[2])
return 1
`)

/**
 * ARGV: the channel, the message, and the node that sends it. Answers 1 where the list is whole, or 0; then the other nodes
 * with leases, each followed by its lease's length.
 */
export const announceScript: Script = script(`
${LIST}
redis.call('PUBLISH', ARGV[1], ARGV[2])
local isWhole = now - tonumber(since) > ${withMargin(LEASE_MS_MAX)}
local answer = { isWhole and '1' or '0' }
local list = redis.call('HGETALL', KEYS[1])
for index = 1, #list, 2 do
  local node, ends, lease = list[index], string.match(list[index + 1], '^(%S+) (%S+)$')
  if node ~= '@' and tonumber(ends) + ${NODE_FORGOTTEN_AFTER_MS} < now then
    redis.call('HDEL', KEYS[1], node)
  elseif node ~= '@' and node ~= ARGV[3] and tonumber(ends) >= now then
    answer[#answer + 1] = node
    answer[#answer + 1] = lease
  end
end
return answer
`)

/** What an announcement was answered. */
export interface Listed {
  readonly isWhole: boolean
  /** The lengths of the leases of other nodes, in milliseconds, by node. */
  readonly leases: ReadonlyMap<string, number>
}

export function decodeListed(reply: unknown): Listed {
  const [isWhole, ...rest] = Array.isArray(reply) ? reply.map(String) : []
  const leases = new Map<string, number>()
  for (let index = 0; index + 1 < rest.length; index += 2) {
    leases.set(rest[index] ?? '', Math.min(Number(rest[index + 1]), LEASE_MS_MAX))
  }
  return { isWhole: isWhole === '1', leases }
}
