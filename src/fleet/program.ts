/** What a program that a fleet starts has in common with every other: its place, how it says that it is ready, and its end. */

const PLACE_VARIABLE = 'SOJOURN_PLACE'
const SECRET_VARIABLE = 'SESSION_SECRET'

/** Where a program runs, as its fleet decided. */
export interface Place<Settings = unknown> {
  readonly name: string
  /** Port of 127.0.0.1 to listen on; `0` is any free one. */
  readonly port: number
  /** What the caller of the fleet gave; JSON. */
  readonly settings: Settings
}

/** What a program sends to its parent, once. */
export type ProgramMessage = { readonly ready: { readonly port: number } } | { readonly failed: string }

/** What the parent sends to end a program gracefully. */
export const STOP = 'stop'

/** A program that runs. */
export interface RunningProgram {
  /** The port that it listens on. */
  readonly port: number
  /** Ends it gracefully; the process exits afterwards. */
  stop(): Promise<void>
  /** Removes what the parent, which is gone, would have removed. The process exits right afterwards. */
  abandon?(): void
}

/** The variables by which a program learns its place. Nothing of it is in argv, which every user of the machine can read. */
export function toEnvironment(place: Place, secret?: string): Record<string, string> {
  return {
    [PLACE_VARIABLE]: JSON.stringify(place),
    ...(secret === undefined ? {} : { [SECRET_VARIABLE]: secret }),
  }
}

/**
 * Runs this process as a program of a fleet: starts it at its place, says that it is ready, and ends it when the parent
 * asks or SIGTERM comes. When the parent is gone, by SIGKILL too, the process exits at once.
 */
export async function runProgram<Settings>(
  start: (place: Place<Settings>, secret: string | undefined) => Promise<RunningProgram>,
): Promise<void> {
  const text = process.env[PLACE_VARIABLE]
  if (text === undefined || !process.send) {
    console.error('This program is started by a fleet: run `sojourn demo`.')
    process.exit(1)
  }
  let program: RunningProgram | undefined
  const abandon = (): never => {
    program?.abandon?.()
    process.exit(1)
  }
  process.once('disconnect', abandon)
  if (!process.connected) abandon() // the parent died while this process loaded its modules
  try {
    program = await start(JSON.parse(text) as Place<Settings>, process.env[SECRET_VARIABLE])
  } catch (error) {
    await tell({ failed: error instanceof Error ? error.message : String(error) })
    process.exit(1)
  }
  const { port } = program
  const stop = (): void =>
    void program?.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error)
        process.exit(1)
      },
    )
  process.on('SIGTERM', stop) // a second one must not cut off what the first has begun
  process.on('message', (message) => {
    if (message === STOP) stop()
  })
  await tell({ ready: { port } })
}

function tell(message: ProgramMessage): Promise<void> {
  return new Promise((resolve) => process.send?.(message, () => resolve()))
}
