import { createHash } from 'node:crypto'
import type { Adoption, Fields, OldSession, OldSessions, StoreContext } from '../../../core/index.ts'
import { type Script, script } from '../scripts.ts'
import { createCookiePart, renewCookiePart, toOldClearCookie, toOldSetCookie } from './old-cookie.ts'
import type { OldSerializer, OldSettings } from './options.ts'
import { createIdFor, readSignedId, selectorOfId, toSignedValue } from './signed-id.ts'

/** What `connectRedis()` and `fastifySession()` return: a description that opens nothing. */
export interface OldSessionsDefinition {
  /** How long the end of a session is to be remembered: so long a late write of an old server could bring it back. */
  readonly lifeMs: number
  /** @throws TypeError where the old cookie has the name of ours */
  open(context: StoreContext, send: SendCommand): OldSessions
}

/** Sends one command about one key. */
export type SendCommand = (key: string, args: readonly string[], script?: Script) => Promise<unknown>

/**
 * ARGV: SHA-1 of the text that was read, the text to write, its time to live. What was written already is not written
 * again, so that it may be sent again.
 */
const replaceScript: Script = script(`
local held = redis.call('GET', KEYS[1])
if not held then return 0 end
if held ~= ARGV[2] and redis.sha1hex(held) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
`)

export function defineOldSessions(settings: OldSettings): OldSessionsDefinition {
  return { lifeMs: settings.lifeMs, open: (context, send) => openOldSessions(settings, context, send) }
}

function openOldSessions(settings: OldSettings, { cookie, clock }: StoreContext, send: SendCommand): OldSessions {
  const { format, keyPrefix, user, data, save, serializer } = settings
  const { cookieName } = format
  if (cookieName === cookie.name || cookieName === cookie.hintName) {
    throw new TypeError(
      `migrateFrom reads the cookie ${cookieName}, which is the name of this session's own; give cookie.name another`,
    )
  }
  const attributes = { ...settings.attributes, secure: settings.attributes.secure ?? cookie.secure }
  const keyOf = (id: string): string => keyPrefix + id
  return {
    isMirrored: settings.isMirrored,
    idIn: (header) => readSignedId(header, format),
    selectorOf: selectorOfId,
    createId: createIdFor,

    async read(id) {
      const text = await send(keyOf(id), ['GET', keyOf(id)])
      return typeof text === 'string' ? text : undefined
    },
    async replace(id, before, after, lifeMs) {
      const sha = createHash('sha1').update(before).digest('hex')
      const args = ['EVALSHA', replaceScript.sha, '1', keyOf(id), sha, after, `${Math.ceil(lifeMs)}`]
      return Number(await send(keyOf(id), args, replaceScript)) === 1
    },
    async put(id, text, lifeMs) {
      await send(keyOf(id), ['SET', keyOf(id), text, 'PX', `${Math.ceil(lifeMs)}`])
    },
    async touch(id, lifeMs) {
      await send(keyOf(id), ['PEXPIRE', keyOf(id), `${Math.ceil(lifeMs)}`])
    },
    async remove(id) {
      await send(keyOf(id), ['DEL', keyOf(id)])
    },

    decode: (text) => decode(text, serializer),
    encode: ({ cookie, fields }) =>
      serializer.stringify({ cookie: renewCookiePart(cookie, clock.now()), ...Object.fromEntries(fields) }),
    createCookie: () => createCookiePart(attributes),
    toAdoption({ cookie, fields }): Adoption {
      const old = { cookie, ...Object.fromEntries(fields) }
      const found = atOnce('user', user(old))
      const taken = { data: checkObject('data', data(old)) }
      return typeof found === 'string' || Number.isFinite(found) ? { ...taken, user: String(found) } : taken
    },
    toFields({ data, user = null }, old): Fields {
      const saved = save({ data, user, old: Object.fromEntries(old?.fields ?? []) })
      const fields = new Map(Object.entries(checkObject('save', saved)))
      fields.delete('cookie')
      return fields
    },

    toSetCookie(id, cookie) {
      const value = toSignedValue(id, format)
      try {
        return toOldSetCookie(cookieName, value, cookie, clock.now())
      } catch {
        return toOldSetCookie(cookieName, value, createCookiePart(attributes), clock.now())
      }
    },
    toClearCookie: () => toOldClearCookie(cookieName, attributes),
  }
}

/** @throws for what is no session: the reason tells nothing of what it holds */
function decode(text: string, serializer: OldSerializer): OldSession {
  let value: unknown
  try {
    value = serializer.parse(text)
  } catch {
    throw new Error('its text cannot be parsed')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('it is no object')
  const fields = new Map<string, unknown>(Object.entries(value))
  const cookie = fields.get('cookie')
  if (typeof cookie !== 'object' || cookie === null) throw new Error('it has no cookie, which these libraries keep')
  fields.delete('cookie')
  return { cookie, fields }
}

/** @throws TypeError for what has no properties to take over: the session would be empty without a word */
function checkObject(option: string, result: unknown): object {
  const value = atOnce(option, result)
  const isList = Array.isArray(value) || value instanceof Map || value instanceof Set
  if (typeof value === 'object' && value !== null && !isList) return value
  throw new TypeError(`migrateFrom: ${option} returned no plain object`)
}

/** @throws TypeError for a promise: nobody waits for it */
function atOnce(option: string, result: unknown): unknown {
  if (!(result instanceof Promise)) return result
  result.catch(() => {})
  throw new TypeError(`migrateFrom: ${option} returned a promise; its function answers at once`)
}
