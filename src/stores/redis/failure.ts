import { SojournError, StoreUnavailableError } from '../../core/index.ts'

/** What to do about an answer of Redis that begins with this code. */
const ADVICE: Readonly<Record<string, string>> = {
  OOM: 'it has reached its maxmemory and evicts nothing; raise maxmemory',
  READONLY: 'it is a replica; connect to the master',
  LOADING: 'it is loading its data and will serve when that is done',
  BUSY: 'a script of another application has blocked it',
  MISCONF: 'it cannot save to disk and so refuses writes; look at its log',
  MASTERDOWN: 'it is a replica that has lost its master',
  NOREPLICAS: 'too few replicas are connected to it for min-replicas-to-write',
  NOAUTH: 'it asks for a password; put it into the url or the client',
  WRONGPASS: 'the user name or the password is wrong',
  NOPERM:
    'the user lacks a right; it needs +@read +@write +@scripting +@connection +@pubsub +info +time, and ~sojourn:* &sojourn:* for the keyPrefix sojourn:',
  WRONGTYPE: 'another application keeps something else under this key; give redisStore a keyPrefix of its own',
  MOVED: 'it is a node of a Cluster; give redisStore({ cluster }) or a client of the Cluster',
  ASK: 'it is a node of a Cluster; give redisStore({ cluster }) or a client of the Cluster',
  CLUSTERDOWN: 'the Cluster does not serve this key now: a master is away and no replica has taken its place',
  TRYAGAIN: 'it is a node of a Cluster that hands the key to another node',
}

/** Codes that come inside another message from servers before Redis 7. */
const CODE_WITHIN = new RegExp(`\\b(${Object.keys(ADVICE).join('|')})\\b`)

/** How Redis 7 tells that the user lacks a right which only a script needs; others say NOPERM there too. */
const SCRIPT_LACKS = /^ERR The user executing the script can't /

/** Whether Redis answered this, as against a connection that failed. Only answers begin with a code in capitals. */
export function isReply(error: unknown): boolean {
  return /^[A-Z]{2,} /.test(messageOf(error))
}

/** Whether the server has not seen the script, or has forgotten it. */
export function isUnknownScript(error: unknown): boolean {
  return messageOf(error).startsWith('NOSCRIPT')
}

/** What a server answers that is not the master of the key now, though it or another soon may be. */
const PASSING = /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|READONLY|MASTERDOWN|LOADING|NOREPLICAS) /

/** Whether another attempt may succeed where another server can take over. */
export function isPassing(error: unknown): boolean {
  return !isReply(error) || PASSING.test(messageOf(error))
}

/** Whether a call failed, as {@link toStoreError} tells it, since the user of Redis may not do it. */
export function lacksRight(error: unknown): boolean {
  return error instanceof SojournError && codeOf(messageOf(error.cause)) === 'NOPERM'
}

/** The error that a call rejects with. */
export function toStoreError(error: unknown): SojournError {
  if (error instanceof SojournError) return error
  const message = messageOf(error)
  if (!isReply(error))
    return new StoreUnavailableError(`Redis cannot be reached: ${message}`, { cause: toCause(error) })
  const advice = ADVICE[codeOf(message)]
  return new StoreUnavailableError(`Redis refused${advice === undefined ? '' : `, since ${advice}`}: ${message}`, {
    cause: toCause(error),
  })
}

/** ioredis hangs the command with its arguments on an error, and node-redis a url: what visitors keep, and a password. */
export function toCause(error: unknown): Error {
  const cause = new Error(messageOf(error))
  if (error instanceof Error && 'code' in error) Object.assign(cause, { code: error.code })
  return cause
}

function codeOf(message: string): string {
  return SCRIPT_LACKS.test(message) ? 'NOPERM' : (CODE_WITHIN.exec(message)?.[1] ?? '')
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join(', ')
  return error instanceof Error ? error.message : String(error)
}
