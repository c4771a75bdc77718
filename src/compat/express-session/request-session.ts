import { inspect } from 'node:util'
import { createCookie, isCookie, type SessionCookie } from './cookie.ts'

/** As express-session calls it; without one, a failure is one of the request, as is what it throws or rejects with. */
export type Callback = (error?: unknown) => unknown

/** What `req.session` has beside its data, as in express-session. */
export interface SessionMethods {
  /** The session's key: safe to log, no credential, and the name for `sessions.revoke`. */
  readonly id: string
  readonly cookie: SessionCookie
  /** Ends the session on every node; `req.session` is an empty one afterwards, which gets a new token. */
  regenerate(callback?: Callback): this
  /** Writes the changes made so far, now, and logs the user in or out whom they name. Before a redirect it is not needed. */
  save(callback?: Callback): this
  /** Reads the session again, and forgets what was changed and not saved. */
  reload(callback?: Callback): this
  /** Ends the session on every node and takes away `req.session`. */
  destroy(callback?: Callback): this
  /** Does nothing: each use renews the session by itself. */
  touch(): this
  /** Does nothing, as {@link touch}. */
  resetMaxAge(): this
}

/**
 * `req.session`: the data themselves, and express-session's methods. A field with the name of one is out of reach here.
 *
 * @example
 * ```ts
 * import 'sojourn/express/types'
 * import type { RequestSession } from 'sojourn/express/compat'
 *
 * declare module 'sojourn' {
 *   interface Register {
 *     requestSession: RequestSession<{ views: number }>
 *   }
 * }
 * ```
 */
export type RequestSession<Data extends object> = SessionMethods & Data

/** The request behind `req.session`. */
export interface Handle {
  readonly request: object
  readonly session: { readonly key: string; readonly data: object; readonly expiresAt: Date; readonly lastSeenAt: Date }
  regenerate(callback: Callback | undefined): void
  save(callback: Callback | undefined, from: object): void
  reload(callback: Callback | undefined, from: object): void
  destroy(callback: Callback | undefined): void
}

/** What stands behind one session object. */
interface Backing {
  readonly handle: Handle
  readonly cookie: SessionCookie
  /** Fields that were assigned or deleted through it. */
  readonly assigned: Set<string>
  /** Of a session that ended: what it had. */
  past?: { readonly id: string; readonly values: Record<string, unknown> }
}

const backings = new WeakMap<object, Backing>()

function backingOf(shown: object): Backing {
  const backing = backings.get(shown)
  if (backing) return backing
  throw new TypeError('call it as a method of req.session: req.session.save(callback)')
}

/** The methods of express-session. They are not enumerable, so that a copy of the session's properties leaves them out. */
class ShownSession {
  get id(): string {
    const { past, handle } = backingOf(this)
    return past?.id ?? handle.session.key
  }

  get req(): object {
    return backingOf(this).handle.request
  }

  regenerate(callback?: Callback): this {
    backingOf(this).handle.regenerate(callback)
    return this
  }

  save(callback?: Callback): this {
    backingOf(this).handle.save(callback, this)
    return this
  }

  reload(callback?: Callback): this {
    backingOf(this).handle.reload(callback, this)
    return this
  }

  destroy(callback?: Callback): this {
    backingOf(this).handle.destroy(callback)
    return this
  }

  touch(): this {
    return this
  }

  resetMaxAge(): this {
    return this
  }

  [inspect.custom](): object {
    return Object.fromEntries(Object.entries(this))
  }
}

const METHODS: ReadonlySet<string> = new Set(['regenerate', 'save', 'reload', 'destroy', 'touch', 'resetMaxAge'])
const READ_ONLY: ReadonlySet<string> = new Set(['id', 'req'])

/** Whether a name is express-session's and no field. */
function isReserved(name: string | symbol): boolean {
  return typeof name === 'symbol' || name === 'cookie' || METHODS.has(name) || READ_ONLY.has(name)
}

/** Makes what `req.session` is, on the session of a request. */
export function showSession(handle: Handle): object {
  const backing: Backing = { handle, cookie: createCookie(handle.session), assigned: new Set() }
  const target: object = Object.create(ShownSession.prototype) as object
  const values = (): Record<string, unknown> => backing.past?.values ?? (handle.session.data as Record<string, unknown>)

  const assign = (name: string | symbol, value: unknown): boolean => {
    if (typeof name === 'symbol')
      return Reflect.defineProperty(target, name, { value, configurable: true, writable: true })
    if (isReserved(name)) return assignReserved(target, name, value)
    backing.assigned.add(name)
    values()[name] = value
    return true
  }
  const shown = new Proxy(target, {
    get: (_, name, receiver) => {
      if (name === 'cookie') return backing.cookie
      return isReserved(name) ? Reflect.get(target, name, receiver) : values()[name as string]
    },
    has: (_, name) => (isReserved(name) ? name === 'cookie' || Reflect.has(target, name) : Reflect.has(values(), name)),
    ownKeys: () => ['cookie', ...Object.keys(values()).filter((name) => !isReserved(name))],
    getOwnPropertyDescriptor: (_, name) => {
      if (name === 'cookie') return { value: backing.cookie, enumerable: true, writable: true, configurable: true }
      return Reflect.getOwnPropertyDescriptor(isReserved(name) ? target : values(), name)
    },
    set: (_, name, value) => assign(name, value),
    defineProperty: (_, name, descriptor) => {
      if (!('value' in descriptor)) throw new TypeError('a session field is a plain property')
      return assign(name, descriptor.value)
    },
    deleteProperty: (_, name) => {
      if (isReserved(name)) return Reflect.deleteProperty(target, name)
      backing.assigned.add(name as string)
      return Reflect.deleteProperty(values(), name)
    },
    setPrototypeOf: () => false,
    preventExtensions: () => false,
  })
  backings.set(shown, backing)
  return shown
}

/** Some middleware wraps a method; Passport's `keepSessionInfo` copies the cookie of the session before. */
function assignReserved(target: object, name: string, value: unknown): boolean {
  if (name === 'cookie') {
    if (isCookie(value)) return true
    throw new TypeError('req.session.cookie cannot be set: how it is set is said in createSessions({ cookie })')
  }
  if (METHODS.has(name) && typeof value === 'function') {
    return Reflect.defineProperty(target, name, { value, configurable: true, writable: true })
  }
  throw new TypeError(`req.session.${name} is express-session's own; give the field another name`)
}

/** Whether this is what {@link showSession} made. */
export function isShown(value: unknown): value is object {
  return typeof value === 'object' && value !== null && backings.has(value)
}

/** The session behind it ended: from now on these values are its own. */
export function leaveBehind(shown: object, id: string, values: object): void {
  backingOf(shown).past = { id, values: values as Record<string, unknown> }
}

/** Names of the fields that were assigned or deleted through it. */
export function assignedIn(shown: object): ReadonlySet<string> {
  return backingOf(shown).assigned
}
