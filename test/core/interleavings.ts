import { AsyncLocalStorage } from 'node:async_hooks'
import { setImmediate } from 'node:timers/promises'
import type { SharedStore } from '../support/shared-store.ts'

/** A store call that waits for its turn. */
interface Waiting {
  readonly actor: string
  readonly call: string
  readonly go: () => void
}

/** One order in which the calls of several actors reached the store. */
export interface Schedule {
  /** `actor call`, in their order. */
  readonly order: string[]
}

/** Whoever acts at the same time as others, by name. A `crashes: n` reaches the store with n calls and then never again. */
export type Actors = Readonly<Record<string, { readonly run: () => Promise<unknown>; readonly crashes?: number }>>

/**
 * Runs what `begin` sets up once in every order in which the calls of its actors can reach the store, and `check` after
 * each.
 *
 * @returns how many orders there were
 */
export async function everyInterleaving<T>(
  begin: () => Promise<{ store: SharedStore; actors: Actors; facts: T }>,
  check: (facts: T, schedule: Schedule) => Promise<void>,
): Promise<number> {
  let count = 0
  for (let choices: number[] | undefined = []; choices; count += 1) {
    const { store, actors, facts } = await begin()
    const { taken, order } = await play(store, actors, choices)
    await check(facts, { order })
    choices = nextChoices(taken)
  }
  return count
}

/** The choices with the last one that has an alternative left changed to it. */
function nextChoices(taken: readonly { choice: number; of: number }[]): number[] | undefined {
  const last = taken.findLastIndex(({ choice, of }) => choice + 1 < of)
  if (last === -1) return undefined
  return taken.slice(0, last + 1).map(({ choice }, index) => (index === last ? choice + 1 : choice))
}

async function play(
  store: SharedStore,
  actors: Actors,
  choices: readonly number[],
): Promise<{ taken: { choice: number; of: number }[]; order: string[] }> {
  const acting = new AsyncLocalStorage<string>()
  const waiting: Waiting[] = []
  const left = new Map(Object.entries(actors).map(([name, { crashes = Infinity }]) => [name, crashes]))
  const before = store.around
  store.around = async (call, run, change) => {
    const actor = acting.getStore()
    if (actor === undefined) return before(call, run, change)
    await new Promise<void>((go) => waiting.push({ actor, call, go }))
    return run()
  }
  const taken: { choice: number; of: number }[] = []
  const order: string[] = []
  const running = Object.entries(actors).map(([name, { run }]) => acting.run(name, () => run().catch(() => {})))
  const done = Promise.all(running)
  for (;;) {
    for (let turn = 0; turn < 3; turn += 1) await setImmediate() // nobody has more to do than to call the store
    // Of calls that one actor makes at once the first goes first: their orders would be too many.
    const isFirst = (one: Waiting): boolean => waiting.find(({ actor }) => actor === one.actor) === one
    const ready = waiting.filter((one) => (left.get(one.actor) ?? 0) > 0 && isFirst(one))
    if (ready.length === 0) break
    const choice = choices[taken.length] ?? 0
    const next = ready[choice]
    if (!next) throw new RangeError('the actors did something else this time')
    taken.push({ choice, of: ready.length })
    waiting.splice(waiting.indexOf(next), 1)
    left.set(next.actor, (left.get(next.actor) ?? 0) - 1)
    order.push(`${next.actor} ${next.call}`)
    next.go()
  }
  if (waiting.length === 0) await done
  store.around = before
  return { taken, order }
}
