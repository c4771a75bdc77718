import { describeExit } from '../fleet/child.ts'
import { controlFleet } from '../fleet/control.ts'
import { type FleetAffinity, startFleet, toNodeNames } from '../fleet/fleet.ts'
import type { DemoNodeSettings } from '../fleet/node.ts'
import { type FleetStore, type FleetStoreName, openFleetStore, toMeshAddress } from '../fleet/stores.ts'
import { takeTour, TourError } from '../fleet/tour.ts'
import type { Surroundings } from './run.ts'

/** What `sojourn demo` was asked for. */
export interface DemoOptions {
  readonly store: FleetStoreName
  readonly affinity: FleetAffinity
  readonly nodes: number
  readonly port: number
  readonly redisUrl: string | undefined
  readonly folder: string | undefined
  /** End after the visit. */
  readonly once: boolean
}

/** As a shell tells that Ctrl-C ended a program. */
const INTERRUPTED = 130

/**
 * Starts a fleet, visits it, and serves its page until the signal; resolves the exit code. Ends all that it started and
 * removes what it made, however it ends.
 */
export async function runDemo(options: DemoOptions, { stdout, stderr, signal }: Surroundings): Promise<number> {
  const print = (line: string): void => void stdout.write(`${line}\n`)
  const complain = (line: string): void => void stderr.write(`${line}\n`)
  const { store, affinity, nodes, port, folder, redisUrl, once } = options
  const onOutput = (program: string, text: string): void => complain(`${program}: ${text.trimEnd()}`)
  try {
    await using place = await openFleetStore({ name: store, nodes: toNodeNames(nodes), folder, redisUrl, onOutput })
    signal.throwIfAborted()
    const settings = { store: place.store } satisfies DemoNodeSettings
    await using fleet = await startFleet({ nodes, settings, affinity, port, mesh: toMesh(place.store), onOutput })
    signal.throwIfAborted()
    fleet.on('down', ({ name, pid }, exit, asked) => {
      if (!asked) complain(`${name} (pid ${pid}) ended by itself: ${describeExit(exit)}`)
    })
    using _ = controlFleet(fleet, { store, affinity })

    print(`Sojourn demo: ${nodes} nodes, chosen by ${affinity}; sessions ${place.where}`)
    print(`  gateway ${fleet.url}`)
    for (const { name, url, pid } of fleet.nodes) print(`  ${name}  ${url} (pid ${pid})`)
    print('\nA visitor with one cookie jar asks each node by its own port, and the gateway:')
    await unlessAborted(signal, takeTour({ fleet, store, affinity, print }))
    print('Every step was as it should be.')
    if (once) return 0

    print(`\nOpen ${fleet.url} (Ctrl-C ends everything)`)
    await unlessAborted(signal, new Promise(() => {})).catch(() => print('\nEnding the fleet.'))
    return 0
  } catch (error) {
    if (signal.aborted) return INTERRUPTED
    const message = error instanceof Error ? error.message : String(error)
    complain(`sojourn demo: ${error instanceof TourError ? 'failed at ' : ''}${message}`)
    return 1
  }
}

function toMesh(store: FleetStore): Record<string, string> | undefined {
  if (store.name !== 'mesh') return undefined
  return Object.fromEntries(Object.entries(store.ports).map(([name, port]) => [name, toMeshAddress(port)]))
}

/** Settles as the task does, or rejects at once when the signal comes. */
async function unlessAborted<T>(signal: AbortSignal, task: Promise<T>): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(signal.reason as Error)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort)
  try {
    return await Promise.race([task, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
