import { DevalueError, parse, stringify } from 'devalue'
import { SessionInvalidError, UnstorableValueError } from './errors.ts'

/** Marks a value written by devalue. No JSON text begins with it. */
const EXACT_MARK = '~'
const PLAIN_DEPTH_MAX = 100

/**
 * Encodes one field so that it decodes to an equal value: plain JSON data as JSON; a value with Date, Map, Set,
 * BigInt, undefined, NaN, -0, a hole or a cycle in it by devalue.
 *
 * @throws UnstorableValueError for what neither keeps exactly: a class instance, a function, a symbol
 */
export function encodeValue(field: string, value: unknown): string {
  if (isPlain(value, 0)) return JSON.stringify(value)
  try {
    return EXACT_MARK + stringify(value, { refused: refuseInexact })
  } catch (error) {
    const path = error instanceof DevalueError ? error.path : ''
    const reason = reasonOf(error)
    throw new UnstorableValueError(
      field,
      `session field ${JSON.stringify(field)} cannot be stored${path ? ` at ${path}` : ''}: ${reason}; keep plain data, Date, Map, Set or BigInt in it`,
      error,
    )
  }
}

/** devalue's reasons in the words of who keeps a session. */
function reasonOf(error: unknown): string {
  if (error instanceof RangeError) return 'it is nested too deeply'
  if (!(error instanceof DevalueError)) return error instanceof Error ? error.message : String(error)
  const made = (error.value as { constructor?: { name?: string } } | null | undefined)?.constructor?.name
  if (error.message.includes('Promise')) return 'cannot keep a promise (await it first)'
  if (error.message.endsWith('non-POJOs')) return `cannot keep an instance of ${made ?? 'a class'}`
  return error.message.replace('stringify', 'keep')
}

/** Inverse of {@link encodeValue}. @throws SessionInvalidError when the stored text is damaged */
export function decodeValue(field: string, text: string): unknown {
  try {
    return text.startsWith(EXACT_MARK) ? parse(text.slice(1)) : JSON.parse(text)
  } catch {
    // the reason would quote the content, which has no place in a log
    throw new SessionInvalidError(`session field ${JSON.stringify(field)} is damaged in the store`, field)
  }
}

/** devalue takes a subclass for its base and drops names beside an array's items. What it would change is refused. */
function refuseInexact(value: unknown): false {
  if (typeof value !== 'object' || value === null) return false
  const type = Object.prototype.toString.call(value).slice('[object '.length, -1)
  if (type === 'Object') return false // devalue refuses a class instance itself
  const prototype: unknown = Object.getPrototypeOf(value)
  const made = (prototype as { constructor?: { name?: string } } | null)?.constructor?.name ?? 'without a prototype'
  if (made !== type.slice(type.lastIndexOf('.') + 1)) throw new TypeError(`cannot keep a ${type} that is a ${made}`)
  if (Array.isArray(value) && !/^\d+$/.test(Object.keys(value).at(-1) ?? '0')) {
    throw new TypeError('cannot keep names beside the items of an array')
  }
  return false
}

/** Whether JSON keeps the value exactly. A cycle runs into the depth limit and so to devalue, which keeps cycles. */
function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
    case 'object':
      break
    default:
      return false
  }
  if (value === null) return true
  if (depth >= PLAIN_DEPTH_MAX) return false
  if (Array.isArray(value)) return isPlainArray(value, depth)
  if (Object.getPrototypeOf(value) !== Object.prototype || Object.getOwnPropertySymbols(value).length > 0) return false
  for (const item of Object.values(value)) if (!isPlain(item, depth + 1)) return false
  return true
}

function isPlainArray(items: readonly unknown[], depth: number): boolean {
  if (Object.getPrototypeOf(items) !== Array.prototype || Object.keys(items).length !== items.length) return false
  for (const item of items) if (!isPlain(item, depth + 1)) return false // `every` would pass over a hole
  return true
}
