/** Everything random in a run comes from one seed, through streams that do not disturb each other. */
export interface Random {
  /** From 0 to 1, without 1. */
  float(): number
  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number
  between(low: number, high: number): number
  chance(probability: number): boolean
  of<T>(items: readonly T[]): T
  shuffled<T>(items: readonly T[]): T[]
  /** Waiting times of events that come by themselves, `mean` apart on average. */
  exponential(mean: number): number
  /** Characters of base64url. */
  text(length: number): string
  /** A stream of its own. */
  fork(): Random
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** mulberry32, its state scrambled so that neighbouring seeds have nothing in common. */
export function createRandom(seed: number): Random {
  let state = (Math.imul(seed ^ (seed >>> 16), 0x45d9f3b) ^ 0x9e3779b9) >>> 0
  const float = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let bits = Math.imul(state ^ (state >>> 15), state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number): number => Math.floor(float() * limit)
  return {
    float,
    below,
    between: (low, high) => low + float() * (high - low),
    chance: (probability) => float() < probability,
    of: (items) => items[below(items.length)] as (typeof items)[number],
    shuffled: (items) =>
      items
        .map((item) => ({ item, rank: float() }))
        .toSorted((a, b) => a.rank - b.rank)
        .map(({ item }) => item),
    exponential: (mean) => -Math.log(1 - float()) * mean,
    text: (length) => Array.from({ length }, () => ALPHABET[below(64)]).join(''),
    fork: () => createRandom(below(2 ** 31)),
  }
}
