/** Where a thing stands in a {@link TimeHeap}: what `remove` needs to find it without a search. */
export interface Place<T> {
  readonly thing: T
  /** Milliseconds since 1970. */
  readonly at: number
  index: number
}

/** Things in the order of a time: a binary heap, so that adding, removing and finding the first stay cheap at any size. */
export class TimeHeap<T> {
  readonly #places: Place<T>[] = []

  get size(): number {
    return this.#places.length
  }

  /** The thing with the earliest time. */
  get first(): Place<T> | undefined {
    return this.#places[0]
  }

  add(thing: T, at: number): Place<T> {
    const place = { thing, at, index: this.#places.length }
    this.#places.push(place)
    this.#rise(place)
    return place
  }

  remove(place: Place<T>): void {
    const last = this.#places.pop()
    if (!last || last === place) return
    this.#put(last, place.index)
    this.#rise(last)
    this.#sink(last)
  }

  clear(): void {
    this.#places.length = 0
  }

  #put(place: Place<T>, index: number): void {
    place.index = index
    this.#places[index] = place
  }

  #rise(place: Place<T>): void {
    for (;;) {
      const parent = this.#places[(place.index - 1) >> 1]
      if (!parent || parent.at <= place.at) return
      this.#swap(parent, place)
    }
  }

  #sink(place: Place<T>): void {
    for (;;) {
      const [left, right] = [this.#places[2 * place.index + 1], this.#places[2 * place.index + 2]]
      const child = left && right && right.at < left.at ? right : left
      if (!child || place.at <= child.at) return
      this.#swap(place, child)
    }
  }

  #swap(upper: Place<T>, lower: Place<T>): void {
    const { index } = upper
    this.#put(upper, lower.index)
    this.#put(lower, index)
  }
}
