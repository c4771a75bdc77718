/**
 * What runs inside Redis. Each script touches one key, writes with one HSET and sets the time to live by a length, so
 * that no clock but the nodes' counts.
 *
 * A session is a hash with these fields; a value that a node sent is kept as the text that it sent:
 * - `v`, what every change changes: `version lastSeenAt expiresAt;slot count version;slot count version;`, where the
 *   operation of the slot that was quiet for longest comes first;
 * - `m`, what few changes change: `generation pending floor startedAt createdAt retired user`, where `retired` is
 *   `end,end,` and `user` is `-` or `=` and the user, last since it may hold any character;
 * - `:name`: `stamp=value`, or `stamp` alone where the field was removed. With `encrypt` a value is `!` and a seal.
 *
 * An ended session is a hash with the one field `t`: `endedAt forgetAt`.
 */

import { createHash } from 'node:crypto'
import { CLEANING_MARGIN_MS, OPERATION_SLOTS_MAX, RETIRED_MAX } from '../../core/index.ts'

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

/**
 * `applyChange` of the core, in its order. ARGV: the header (see `encodeChange`), then what its flags announce, then
 * pairs of a field's name and `=value`, or nothing where it is removed.
 * Answers `a<version> <generation> <pending>`, `g` gone, `s` superseded, or `c` conflict with the stored field.
 */
export const applyScript: Script = script(`
${LIVE}
-- Numbers are doubles, which Lua's own conversion to text cuts to 14 digits.
local function exact(number) return string.format('%.17g', number) end

local slot, count, began, now, expires, flags = string.match(ARGV[1], '^(%S*) (%S+) (%S+) (%S+) (%S+) (%S+)$')
local taken = 1
local create, unattended, rotate, confirmed, grace, expected, stamp, login = false
if flags ~= '-' then
  local function take() taken = taken + 1; return ARGV[taken] end
  local function has(flag) return string.find(flags, flag, 1, true) ~= nil end
  create, unattended, rotate = has('c'), has('u'), has('r')
  if has('k') then confirmed = take(); grace = take() end
  if has('x') then expected = ':' .. take(); stamp = take() end
  if has('l') then login = take() end
end

local held = redis.call('HMGET', KEYS[1], 'v', 'm', 't', expected or 't')
local moving, meta, tombstone, present = held[1], held[2], held[3], expected and held[4]
local function conflict() return 'c' .. (present or '') end

local version, seen, ends, operations, generation, pending, floor
if moving then
  version, seen, ends, operations = string.match(moving, '^(%S+) (%S+) ([^;]+)(.*)$')
  generation, pending, floor = string.match(meta, '^(%S+) (%S+) (%S+)')
  local first, last = string.find(operations, ';' .. slot .. ' ', 1, true)
  if first then
    local earlier, result, stop = string.match(operations, '^(%S+) ([^;]+)();', last + 1)
    if tonumber(count) == tonumber(earlier) then return 'a' .. result .. ' ' .. generation .. ' ' .. pending end
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

local incarnation, sequence = '', tonumber(version)
if string.find(version, '.', 1, true) then
  incarnation, sequence = string.match(version, '^(.*%.)(.*)$')
  sequence = tonumber(sequence)
end
version = incarnation .. exact(sequence + 1)
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
for index = taken + 1, #ARGV, 2 do
  writes[#writes + 1] = ':' .. ARGV[index]
  writes[#writes + 1] = version .. ARGV[index + 1]
end
redis.call('HSET', KEYS[1], unpack(writes))
if create or not unattended then live(math.max(tonumber(ends) - tonumber(now), 0) + ${CLEANING_MARGIN_MS}) end
return 'a' .. version .. ' ' .. generation .. ' ' .. pending
`)

/**
 * ARGV: the tombstone, its time to live, and the least generation that may end the session, if any. Answers `ended`,
 * `gone` or `superseded`. The delete comes first: after it, a Redis that has reached its maxmemory lets the tombstone through.
 */
export const endScript: Script = script(`
${LIVE}
local held = redis.call('HMGET', KEYS[1], 'm', 't')
local meta, tombstone = held[1], held[2]
local function forget(tombstone) return tonumber(string.match(tombstone, '%S+$')) end
if tombstone and forget(tombstone) >= forget(ARGV[1]) then return 'gone' end
if meta and ARGV[3] then
  local floor = string.match(meta, '^%S+ %S+ (%S+)')
  if tonumber(ARGV[3]) < tonumber(floor) then return 'superseded' end
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 't', ARGV[1])
live(tonumber(ARGV[2]))
return meta and 'ended' or 'gone'
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

export function script(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}
