/** Random numbers from a seed, so that a schedule can be drawn again. */
export interface Random {
  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number
  of<T>(items: readonly T[]): T
  shuffled<T>(items: readonly T[]): T[]
}

/** mulberry32: 32 bits of state, good enough to draw schedules. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const below = (limit: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let bits = Math.imul(state ^ (state >>> 15), state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return Math.floor((((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32) * limit)
  }
  return {
    below,
    of: (items) => items[below(items.length)] as (typeof items)[number],
    shuffled(items) {
      const order = items.map((item) => ({ item, rank: below(2 ** 31) }))
      return order.toSorted((a, b) => a.rank - b.rank).map(({ item }) => item)
    },
  }
}
