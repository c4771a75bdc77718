/**
 * One thing that belongs to each request, kept on the request itself where nobody else sees it. A WeakMap would do, but
 * V8's young-generation collector takes all values of a WeakMap for reachable, and with them what they refer to: each
 * request, its response and its session would be copied twice and live until the next full collection.
 */
export class RequestSlot<Value> {
  readonly #name: symbol
  readonly #ofFrozen = new WeakMap<object, Value>()

  /** @param name for whoever looks at the request in a debugger */
  constructor(name: string) {
    this.#name = Symbol(name)
  }

  get(request: object): Value | undefined {
    return (request as Record<symbol, Value | undefined>)[this.#name] ?? this.#ofFrozen.get(request)
  }

  set(request: object, value: Value): void {
    if (Object.isExtensible(request)) (request as Record<symbol, Value>)[this.#name] = value
    else this.#ofFrozen.set(request, value)
  }
}
