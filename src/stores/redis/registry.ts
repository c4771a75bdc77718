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

// The deletes let a Redis that has reached its maxmemory write: it lets through what comes after the first write of a script.
const LIST = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local longest = ${withMargin(LEASE_MS_MAX)}
local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if not server then return redis.error_reply('ERR INFO tells no master_replid') end
local function set(field, value)
  redis.call('HDEL', KEYS[1], field)
  redis.call('HSET', KEYS[1], field, value)
end
local maker, since = string.match(redis.call('HGET', KEYS[1], '@') or '', '^(%S+) (%d+)$')
since = tonumber(since)
-- Since then its clock may have been set back.
if maker ~= server or since > now then
  since = now
  set('@', server .. ' ' .. now)
end`

/** ARGV: the node, the length of its lease, and how long others take it for valid. */
export const registerScript: Script = script(`
${LIST}
set(ARGV[1], now + tonumber(ARGV[3]) .. ' ' .. ARGV[2])
return 1
`)

/**
 * ARGV: the channel, the message, and the node that sends it. Answers for how long the list is young, in milliseconds, or 0
 * where it is whole; then the other nodes with leases, each followed by its lease's length.
 */
export const announceScript: Script = script(`
${LIST}
redis.call('PUBLISH', ARGV[1], ARGV[2])
local answer = { tostring(math.max(since + longest - now, 0)) }
local list = redis.call('HGETALL', KEYS[1])
for index = 1, #list, 2 do
  local node, ends, lease = list[index], string.match(list[index + 1], '^(%S+) (%S+)')
  ends = tonumber(ends)
  if node == '@' then -- it is none
  elseif not ends or ends + ${NODE_FORGOTTEN_AFTER_MS} < now then
    redis.call('HDEL', KEYS[1], node)
  elseif node ~= ARGV[3] and ends >= now then
    if ends > now + longest then set(node, now + longest .. ' ' .. lease) end
    answer[#answer + 1] = node
    answer[#answer + 1] = lease
  end
end
return answer
`)

/** What an announcement was answered. */
export interface Listed {
  /** For how long there may be nodes with leases that the list does not name, in milliseconds. */
  readonly youngMs: number
  /** The lengths of the leases of other nodes, in milliseconds, by node. */
  readonly leases: ReadonlyMap<string, number>
}

export function decodeListed(reply: unknown): Listed {
  const [young, ...rest] = Array.isArray(reply) ? reply.map(String) : []
  const leases = new Map<string, number>()
  for (let index = 0; index + 1 < rest.length; index += 2) leases.set(rest[index] ?? '', toLeaseMs(rest[index + 1]))
  return { youngMs: toLeaseMs(young), leases }
}

/** The longest lease in the values of the list, in milliseconds; 0 where there is none. */
export function longestLease(values: unknown): number {
  const entries = Array.isArray(values) ? values.map((value) => /^[\d.]+ ([\d.]+)$/.exec(String(value))) : []
  return Math.max(0, ...entries.map((entry) => (entry ? toLeaseMs(entry[1]) : 0)))
}

/** What is no number may be the longest. */
function toLeaseMs(text: string | undefined): number {
  const ms = Number(text)
  return ms >= 0 ? Math.min(ms, withMargin(LEASE_MS_MAX)) : LEASE_MS_MAX
}
