/**
 * What runs inside Redis for the sessions of a user. The keys of one user share a slot; a session is in another, so that no script touches both:
 * - KEYS[1], a sorted set of the keys of sessions, by the time of their login. No two have the same, so that a time says
 *   where a list goes on;
 * - KEYS[2], those that have a seat, by the same times;
 * - KEYS[3], the epoch, where it has advanced of late.
 *
 * No script touches more entries than its arguments name, or PRUNED_MAX.
 */

import { PRUNED_MAX } from './limits.ts'
import { type Script, script, TAIL } from './scripts.ts'

/** Times differ by as much at least. A power of two, which adds up exactly. */
const STEP = 2 ** -10

const COMMON = `
local index, seats, epoch = KEYS[1], KEYS[2], KEYS[3]
local function exact(number) return string.format('%.17g', number) end

-- The first free time from this one on.
local function free(at)
  while true do
    local taken = redis.call('ZREVRANGEBYSCORE', index, '(' .. exact(at + 1), exact(at), 'WITHSCORES', 'LIMIT', 0, 1)
    if #taken == 0 then return exact(at) end
    at = tonumber(taken[2]) + ${STEP}
  end
end

-- Both live as long as the session of the last login may, and for good where a session may.
local function live(ms)
  for _, key in ipairs({ index, seats }) do
    if ms == '' then redis.call('PERSIST', key)
    elseif redis.call('PTTL', key) < tonumber(ms) then redis.call('PEXPIRE', key, ms) end
  end
end`

/** ARGV: key, time, the time before which no session can be alive or nothing, time to live or nothing. Answers the epoch. */
export const enterScript: Script = script(`
${COMMON}
if ARGV[3] ~= '' then
  local old = redis.call('ZRANGEBYSCORE', index, '-inf', '(' .. ARGV[3], 'LIMIT', 0, ${PRUNED_MAX})
  if #old > 0 then
    redis.call('ZREM', index, unpack(old))
    redis.call('ZREM', seats, unpack(old))
  end
end
if not redis.call('ZSCORE', index, ARGV[1]) then redis.call('ZADD', index, free(tonumber(ARGV[2])), ARGV[1]) end
live(ARGV[4])
return redis.call('GET', epoch) or ''
`)

/** ARGV: key, time, epoch, time to live or nothing. Answers whether the epoch is still this one, with a tail for replicas where it is. */
export const settleScript: Script = script(`
${COMMON}
${TAIL}
if (redis.call('GET', epoch) or '') ~= ARGV[3] then return '0' end
local present = tonumber(redis.call('ZSCORE', index, ARGV[1]) or '-inf')
local at = free(math.max(tonumber(ARGV[2]), present + ${STEP}))
redis.call('ZADD', index, at, ARGV[1])
redis.call('ZADD', seats, 'XX', at, ARGV[1])
live(ARGV[4])
return told('1')
`)

/** ARGV: an epoch, and how long it is remembered. Answers with a tail for replicas. */
export const advanceScript: Script = script(`
${TAIL}
-- A Redis that has reached its maxmemory lets through what comes after the first write, and revokeUser makes room.
redis.call('DEL', KEYS[3])
-- Sent again, it makes another: an epoch that had been left would let a login stand that began in it.
local time = redis.call('TIME')
redis.call('SET', KEYS[3], ARGV[1] .. time[1] .. '.' .. time[2], 'PX', ARGV[2])
return told('1')
`)

/** ARGV: how many at most, and the time after which the list goes on, or \`inf\`. Answers keys and times, the newest first. */
export const listScript: Script = script(`
return redis.call('ZREVRANGEBYSCORE', KEYS[1], '(' .. ARGV[2], '-inf', 'WITHSCORES', 'LIMIT', 0, ARGV[1])
`)

/** ARGV: pairs of a key and the time of which it may be at the latest. */
export const leaveScript: Script = script(`
for at = 1, #ARGV, 2 do
  local present = redis.call('ZSCORE', KEYS[1], ARGV[at])
  if not present or tonumber(present) <= tonumber(ARGV[at + 1]) then
    redis.call('ZREM', KEYS[1], ARGV[at])
    redis.call('ZREM', KEYS[2], ARGV[at])
  end
end
return 1
`)

/** ARGV: key, time, how many seats there are, time to live or nothing. Answers whether the key has one. */
export const seatScript: Script = script(`
${COMMON}
if redis.call('ZSCORE', seats, ARGV[1]) then return 1 end
if redis.call('ZCARD', seats) >= tonumber(ARGV[3]) then return 0 end
local at = redis.call('ZSCORE', index, ARGV[1])
if not at then
  at = free(tonumber(ARGV[2]))
  redis.call('ZADD', index, at, ARGV[1])
end
redis.call('ZADD', seats, at, ARGV[1])
live(ARGV[4])
return 1
`)

/** ARGV: how many at most. Answers keys and times, the oldest first. */
export const seatedScript: Script = script(`
return redis.call('ZRANGE', KEYS[2], 0, ARGV[1] - 1, 'WITHSCORES')
`)
