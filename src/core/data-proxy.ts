import { inspect } from 'node:util'
import type { SessionFields } from './data.ts'

/**
 * A plain object whose properties are the fields. A Proxy, so that a field may be called `__proto__` or `toString`
 * without harm and an assignment is noticed at once.
 */
export function createDataProxy(fields: SessionFields): object {
  const target = Object.defineProperty({}, inspect.custom, { value: () => fields.toObject(), configurable: true })
  return new Proxy(target, {
    get: (_, name) => (typeof name === 'symbol' || !fields.has(name) ? Reflect.get(target, name) : fields.get(name)),
    has: (_, name) => (typeof name === 'string' && fields.has(name)) || Reflect.has(Object.prototype, name),
    ownKeys: () => fields.names,
    getPrototypeOf: () => Object.prototype,
    setPrototypeOf: () => false,
    preventExtensions: () => false,
    getOwnPropertyDescriptor: (_, name) =>
      typeof name === 'string' && fields.has(name)
        ? { value: fields.get(name), enumerable: true, writable: true, configurable: true }
        : undefined,
    set: (_, name, value) => {
      if (typeof name === 'symbol') throw new TypeError(`a session field has a string for a name, not ${String(name)}`)
      fields.set(name, value)
      return true
    },
    defineProperty: (_, name, descriptor) => {
      if (typeof name === 'symbol' || !('value' in descriptor))
        throw new TypeError('a session field is a plain property')
      fields.set(name, descriptor.value)
      return true
    },
    deleteProperty: (_, name) => {
      if (typeof name === 'string') fields.remove(name)
      return true
    },
  })
}
