/**
 * What runs inside Redis. Each script touches one key, writes with one HSET and sets the time to live by a length, so
 * that no clock but the nodes' counts. A script after which its node may have a copy ends with a read: a client that tracks
 * the key, and is not told of its own writes, would not be told of the next one of another either.
 *
 * A session is a hash with these fields; a value that a node sent is kept as the text that it sent:
 * - `v`, what every change changes: `version lastSeenAt expiresAt;slot count version;slot count version;`, where the
 *   operation of the slot that was quiet for longest comes first;
 * - `m`, what few changes change: `generation pending floor startedAt createdAt retired user`, where `retired` is
 *   `end,end,` and `user` is `-` or `=` and the user, last since it may hold any character;
 * - `f`, only in a session that was changed after a failover: the last version of the incarnation before;
 * - `:name`: `stamp=value`, or `stamp` alone where the field was removed. With `encrypt` a value is `!` and a seal.
 *
 * An ended session is a hash with the field `t`, `endedAt forgetAt`, and, where it was there to be ended, `e`: `reason user`,
 * where `user` is as above.
 */

import { createHash } from 'node:crypto'
import { CLEANING_MARGIN_MS, OPERATION_SLOTS_MAX, RETIRED_MAX } from '../../core/index.ts'
import { SERVERS_MAX } from './limits.ts'

/** A script and the name by which a server that has seen it knows it. */
export interface Script {
  readonly text: string
  readonly sha: string
}

// Redis takes no time to live above 2^63, and Infinity means a session without an end.
const LIVE = `
local function live(ms)
  if ms < 1e15 then redis.call('PEXPIRE', KEYS[1], math.ceil(ms)) else redis.call('PERSIST', KEYS[1]) end
end`

/** A script whose text names the servers that it may change, as `<replication id>=<incarnation>;` for each. */
export interface ScriptOfServers {
  at(servers: string): Script
}

/** What tells, after an answer that is worth it, how many replicas its server has and its replication id. */
export const TAIL = `
local info = redis.call('INFO', 'replication')
local server = string.match(info, 'master_replid:(%x+)')
if not server then return redis.error_reply('ERR INFO tells no master_replid') end
local function told(answer) return answer .. '\\n' .. string.match(info, 'connected_slaves:(%d+)') .. ' ' .. server end`

/**
 * `applyChange` of the core, in its order. ARGV: the header (see `encodeChange`), then what its flags announce, then
 * pairs of a field's name and `=value`, or nothing where it is removed.
 * Answers `a<version> <generation> <pending>`, `g` gone, `s` superseded, or `c` conflict with the stored field; and
 * `i<replication id> <keys>`, having changed nothing, on a server that its text does not name. With the flag `w` a newline,
 * the number of replicas and the replication id follow `a`.
 */
export const applyScript: ScriptOfServers = {
  at: (servers) =>
    script(`
${LIVE}
${TAIL}
local era = string.match('${servers}', server .. '=(%d+);')
if not era then return 'i' .. server .. ' ' .. redis.call('DBSIZE') end
-- Numbers are doubles, which Lua's own conversion to text cuts to 14 digits.
local function exact(number) return string.format('%.17g', number) end

local slot, count, began, now, expires, flags = string.match(ARGV[1], '^(%S*) (%S+) (%S+) (%S+) (%S+) (%S+)$')
local taken = 1
local create, unattended, rotate, confirmed, grace, expected, stamp, login, waits = false
if flags ~= '-' then
  local function take() taken = taken + 1; return ARGV[taken] end
  local function has(flag) return string.find(flags, flag, 1, true) ~= nil end
  create, unattended, rotate, waits = has('c'), has('u'), has('r'), has('w')
  if has('k') then confirmed = take(); grace = take() end
  if has('x') then expected = ':' .. take(); stamp = take() end
  if has('l') then login = take() end
end

local held = redis.call('HMGET', KEYS[1], 'v', 'm', 't', expected or 't')
local moving, meta, tombstone, present = held[1], held[2], held[3], expected and held[4]
local function conflict() return 'c' .. (present or '') end
local function applied(version, generation, pending)
  local answer = 'a' .. version .. ' ' .. generation .. ' ' .. pending
  return waits and told(answer) or answer
end

local version, seen, ends, operations, generation, pending, floor
if moving then
  version, seen, ends, operations = string.match(moving, '^(%S+) (%S+) ([^;]+)(.*)$')
  generation, pending, floor = string.match(meta, '^(%S+) (%S+) (%S+)')
  local first, last = string.find(operations, ';' .. slot .. ' ', 1, true)
  if first then
    local earlier, result, stop = string.match(operations, '^(%S+) ([^;]+)();', last + 1)
    if tonumber(count) == tonumber(earlier) then return applied(result, generation, pending) end
    if tonumber(count) < tonumber(earlier) then return conflict() end
    operations = string.sub(operations, 1, first) .. string.sub(operations, stop + 1)
  elseif select(2, string.gsub(operations, ';', ';')) > ${OPERATION_SLOTS_MAX} then
    operations = string.match(operations, '^;[^;]*(;.*)$')
  end
end
if tombstone or create == (moving ~= false) then return 'g' end
if create then
  version, seen, ends, operations, generation, pending, floor = '0', now, expires, ';', began, '0', began
  meta = table.concat({ generation, pending, floor, now, now, '', '-' }, ' ')
elseif tonumber(ends) <= tonumber(now) then
  return 'g'
end
if tonumber(began) < tonumber(floor) then return 's' end
if expected and (present and string.match(present, '^[^=]+') or '') ~= stamp then return conflict() end

local incarnation, sequence, fork = 0, tonumber(version)
if string.find(version, '.', 1, true) then
  incarnation, sequence = string.match(version, '^(.*)%.(.*)$')
  incarnation, sequence = tonumber(incarnation), tonumber(sequence)
end
if tonumber(era) > incarnation then
  fork = not create and version
  incarnation = tonumber(era)
end
version = (incarnation == 0 and '' or exact(incarnation) .. '.') .. exact(sequence + 1)
if confirmed or rotate or login then
  local started, created, retired, user = string.match(meta, '^%S+ %S+ %S+ (%S+) (%S+) (%S*) (.*)$')
  if confirmed and tonumber(confirmed) > tonumber(generation) then
    retired = string.rep(grace .. ',', math.min(tonumber(confirmed) - tonumber(generation), ${RETIRED_MAX})) .. retired
    retired = string.match(retired, '^${'[^,]*,'.repeat(RETIRED_MAX)}') or retired
    generation, pending = confirmed, '0'
  end
  if rotate and tonumber(began) == tonumber(generation) then pending = '1' end
  if login then
    if sequence ~= 0 then generation = exact(tonumber(generation) + (pending == '1' and 2 or 1)) end
    floor, pending, retired, user, started = generation, '0', '', '=' .. login, now
  end
  meta = table.concat({ generation, pending, floor, started, created, retired, user }, ' ')
end
if not unattended then
  if tonumber(now) > tonumber(seen) then seen = now end
  if tonumber(expires) > tonumber(ends) then ends = expires end
end

moving = version .. ' ' .. seen .. ' ' .. ends .. operations .. slot .. ' ' .. count .. ' ' .. version .. ';'
local writes = { 'v', moving }
if meta ~= held[2] then writes[3] = 'm'; writes[4] = meta end
if fork then writes[#writes + 1] = 'f'; writes[#writes + 1] = fork end
for index = taken + 1, #ARGV, 2 do
  writes[#writes + 1] = ':' .. ARGV[index]
  writes[#writes + 1] = version .. ARGV[index + 1]
end
redis.call('HSET', KEYS[1], unpack(writes))
if create or not unattended then live(math.max(tonumber(ends) - tonumber(now), 0) + ${CLEANING_MARGIN_MS}) end
redis.call('EXISTS', KEYS[1])
return applied(version, generation, pending)
`),
}

/**
 * ARGV: the tombstone, its time to live, the reason, and the least generation that may end the session, if any. Answers
 * `superseded`, or `ended` or `gone` and, where there is or was a session, a space and `e`; then a newline, the number of
 * replicas and the replication id. The delete comes first: after it, a Redis that has reached its maxmemory lets the
 * tombstone through.
 */
export const endScript: Script = script(`
${LIVE}
${TAIL}
local held = redis.call('HMGET', KEYS[1], 'm', 't', 'e')
local meta, tombstone, ending = held[1], held[2], held[3]
local function forget(tombstone) return tonumber(string.match(tombstone, '%S+$')) end
local function answer(outcome) return told(ending and outcome .. ' ' .. ending or outcome) end
if tombstone and forget(tombstone) >= forget(ARGV[1]) then return answer('gone') end
if meta then
  local floor, user = string.match(meta, '^%S+ %S+ (%S+) %S+ %S+ %S* (.*)$')
  if ARGV[4] and tonumber(ARGV[4]) < tonumber(floor) then return told('superseded') end
  ending = ARGV[3] .. ' ' .. user
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 't', ARGV[1], unpack(ending and { 'e', ending } or {}))
live(tonumber(ARGV[2]))
return answer(meta and 'ended' or 'gone')
`)

/** ARGV: incarnation, sequence, time to live, then the hash's fields and values. A record that is as new stays. */
export const installScript: Script = script(`
${LIVE}
local held = redis.call('HMGET', KEYS[1], 'v', 't')
if held[2] then return 0 end
if held[1] then
  local version = string.match(held[1], '^%S+')
  local incarnation = string.match(version, '^(.*)%.') or '0'
  local sequence = tonumber(string.match(version, '[^.]+$'))
  local newer = tonumber(ARGV[1]) - tonumber(incarnation)
  if newer < 0 or (newer == 0 and tonumber(ARGV[2]) <= sequence) then return 0 end
  redis.call('DEL', KEYS[1])
end
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
live(tonumber(ARGV[3]))
return 1
`)

/**
 * ARGV: a field's name, its stamp, and `=value` to stand after it, thrice a field. A field with another stamp has another
 * value, and stays. No change of the session, which keeps its version. The read at the end is for a client that tracks the key.
 */
export const rewriteScript: Script = script(`
for index = 1, #ARGV, 3 do
  local held = redis.call('HGET', KEYS[1], ARGV[index])
  if held and string.match(held, '^[^=]+') == ARGV[index + 1] then
    redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1] .. ARGV[index + 2])
  end
end
return redis.call('EXISTS', KEYS[1])
`)

/**
 * KEYS: the hash of incarnations by replication id. ARGV: the replication id of a server, how many keys it holds, the
 * highest incarnation that the asking node knows, and the key of the list of nodes, which is in the same slot. Answers the whole hash, with this server in it.
 *
 * An empty server among servers that lost nothing yet has incarnation 0, which costs no byte in its records. The clock is a
 * floor for the others, should the hash be lost.
 */
export const claimScript: Script = script(`
local held = redis.call('HGETALL', KEYS[1])
local highest, lowest, known = tonumber(ARGV[3]), nil, false
for index = 1, #held, 2 do
  local incarnation = tonumber(held[index + 1])
  highest = math.max(highest, incarnation)
  if not lowest or incarnation < lowest[2] then lowest = { held[index], incarnation } end
  known = known or held[index] == ARGV[1]
end
if known then return held end
local keys = tonumber(ARGV[2])
if string.find(redis.call('INFO', 'replication'), 'master_replid:' .. ARGV[1], 1, true) then
  keys = redis.call('DBSIZE') - redis.call('EXISTS', KEYS[1], ARGV[4])
end
local incarnation = 0
if keys > 0 or highest > 0 then incarnation = math.max(highest + 1, tonumber(redis.call('TIME')[1])) end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.17g', incarnation))
if #held / 2 >= ${SERVERS_MAX} then redis.call('HDEL', KEYS[1], lowest[1]) end
return redis.call('HGETALL', KEYS[1])
`)

/** KEYS: any, which is written and deleted, so that a WAIT after it waits for every change before. Answers the replication id. */
export const markScript: Script = script(`
redis.call('SET', KEYS[1], '')
redis.call('DEL', KEYS[1])
return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
`)

/**
 * KEYS: one that is there. The same without another key, where its slot is handed to another server: there a key that is not
 * there is none of this one's. Nobody sees a change but those with copies, who read again.
 */
export const touchScript: Script = script(`
local ms = redis.call('PTTL', KEYS[1])
if ms == -2 then return '' end
redis.call('PEXPIRE', KEYS[1], ms < 0 and 60000 or math.max(ms, 1))
if ms < 0 then redis.call('PERSIST', KEYS[1]) end
return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
`)

/** A script by its text. */
export function script(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}
