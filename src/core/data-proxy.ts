import { inspect } from 'node:util'
import type { SessionFields } from './data.ts'

/** Under a symbol, which no field can be. */
const FIELDS = Symbol('fields')

/** What the Proxy stands before, and what `console.log` finds there in its stead. */
class Target {
  readonly [FIELDS]: SessionFields

  constructor(fields: SessionFields) {
    this[FIELDS] = fields
  }

  [inspect.custom](): object {
    return this[FIELDS].toObject()
  }
}

/** One for all sessions: each request would else make these functions anew. */
const HANDLER: ProxyHandler<Target> = {
  get(target, name) {
    if (typeof name === 'symbol') return Reflect.get(target, name)
    return target[FIELDS].has(name) ? target[FIELDS].get(name) : Reflect.get(Object.prototype, name)
  },
  has: ({ [FIELDS]: fields }, name) =>
    (typeof name === 'string' && fields.has(name)) || Reflect.has(Object.prototype, name),
  ownKeys: ({ [FIELDS]: fields }) => fields.names,
  getPrototypeOf: () => Object.prototype,
  setPrototypeOf: () => false,
  preventExtensions: () => false,
  getOwnPropertyDescriptor: ({ [FIELDS]: fields }, name) =>
    typeof name === 'string' && fields.has(name)
      ? { value: fields.get(name), enumerable: true, writable: true, configurable: true }
      : undefined,
  set({ [FIELDS]: fields }, name, value) {
    if (typeof name === 'symbol') throw new TypeError(`a session field has a string for a name, not ${String(name)}`)
    fields.set(name, value)
    return true
  },
  defineProperty({ [FIELDS]: fields }, name, descriptor) {
    if (typeof name === 'symbol' || !('value' in descriptor)) throw new TypeError('a session field is a plain property')
    fields.set(name, descriptor.value)
    return true
  },
  deleteProperty({ [FIELDS]: fields }, name) {
    if (typeof name === 'string') fields.remove(name)
    return true
  },
}

/**
 * A plain object whose properties are the fields. A Proxy, so that a field may be called `__proto__` or `toString`
 * without harm and an assignment is noticed at once.
 */
export function createDataProxy(fields: SessionFields): object {
  return new Proxy(new Target(fields), HANDLER)
}
