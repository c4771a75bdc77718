import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Place, type ProgramMessage, STOP, toEnvironment } from './program.ts'

/** How much of a program's output is kept for the message of a start that fails. */
const OUTPUT_CHARACTERS_MAX = 4_000

/** Time for a graceful end; a program that is paused or stuck is killed afterwards. */
const STOP_DEADLINE_MS = 5_000

/** How a process ended: its exit code, or the signal that ended it. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** What {@link startChild} starts. */
export interface ChildOptions {
  /** A module that calls `runProgram`. */
  readonly program: URL | string
  readonly place: Place
  readonly secret?: string
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Called with each piece of what the program prints. */
  readonly onOutput?: ((text: string) => void) | undefined
}

/** The sibling module of this name, as `.ts` from the sources and as `.js` from the package. */
export function toSibling(name: string): URL {
  return new URL(`./${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)
}

/** A Node process that runs a program and has said that it is ready. It never outlives this process. */
export class Child {
  readonly pid: number
  /** The port that the program listens on. */
  readonly port: number
  /** Resolves when the process is gone. */
  readonly exited: Promise<Exit>
  readonly #process: ChildProcess

  constructor(child: ChildProcess, port: number, exited: Promise<Exit>) {
    this.#process = child
    this.pid = child.pid ?? 0
    this.port = port
    this.exited = exited
  }

  get alive(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null
  }

  /** Sends a signal; with a process that is gone nothing happens. */
  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  /** Ends the program gracefully, or by SIGKILL after five seconds; resolves when it is gone. */
  async stop(): Promise<Exit> {
    if (this.#process.connected) this.#process.send(STOP, () => {})
    const timer = setTimeout(() => this.signal('SIGKILL'), STOP_DEADLINE_MS)
    const exit = await this.exited
    clearTimeout(timer)
    return exit
  }
}

/** Resolves when the program is ready; rejects with what it said when it ends before. */
export async function startChild({ program, place, secret, env, onOutput }: ChildOptions): Promise<Child> {
  const { SOJOURN_PLACE: _, SESSION_SECRET: __, NODE_TEST_CONTEXT: ___, ...inherited } = process.env
  const child = spawn(process.execPath, [program instanceof URL ? fileURLToPath(program) : program], {
    env: { ...inherited, ...env, ...toEnvironment(place, secret) },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // A terminal gives Ctrl-C to the whole group; the parent decides when and in which order its programs end.
    detached: process.platform !== 'win32',
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-OUTPUT_CHARACTERS_MAX)
      onOutput?.(text)
    })
  }
  const exited = once(child, 'exit').then(([code, signal]): Exit => ({ code, signal }))
  child.on('error', () => {}) // a message to a program that is just ending is no error
  const message = await Promise.race([
    once(child, 'message').then(([message]) => message as ProgramMessage),
    once(child, 'close').then(() => undefined),
    exited.then(() => undefined),
  ])
  if (message && 'ready' in message) return new Child(child, message.ready.port, exited)
  const exit = await exited
  throw new Error(`${place.name} did not start: ${(message?.failed ?? output.trim()) || describeExit(exit)}`)
}

/** `SIGKILL`, or `exit code 1`. */
export function describeExit({ code, signal }: Exit): string {
  return signal ?? `exit code ${code}`
}
