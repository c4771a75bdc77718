/** Processes that a test starts, each ended with the test process at the latest. */

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { on, once } from 'node:events'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import { findCommand } from './programs.ts'

const outputCharactersMax = 1_000_000

/** How a process ended: its exit code, or the signal that ended it. */
export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

/** A process of the test's own. Leaving an `await using` block kills it. */
export interface OwnedProcess extends AsyncDisposable {
  readonly pid: number

  /** What it wrote to stdout and stderr so far; the last million characters. */
  readonly output: string

  /** Resolves when the process is gone. */
  readonly exited: Promise<Exit>

  /** Resolves once its output holds the pattern, or at once if it does. Rejects with its output when it exits before. */
  printed(pattern: RegExp): Promise<void>

  /** Sends a signal to a process that stays, such as `SIGSTOP`. Throws where the process is gone. */
  signal(signal: NodeJS.Signals): void

  /** Ends the process and resolves when its pid is gone. Default: `SIGKILL`. Ending twice succeeds. */
  kill(signal?: NodeJS.Signals): Promise<Exit>
}

/** A Node process of the test's own, with a channel for messages. */
export interface NodeProcess extends OwnedProcess {
  /** Sends a message, which the child receives by `process.on('message')`. Rejects where the child is gone. */
  send(message: object): Promise<void>

  /** The child's next message (`process.send`), in order. Rejects with the child's output when it exits before. */
  receive(): Promise<unknown>
}

/** What {@link startNode} starts its file with. */
export interface NodeProcessOptions {
  args?: readonly string[]

  /** Added to the test's own environment. */
  env?: Readonly<Record<string, string>>

  /** Options of Node itself. */
  execArgv?: readonly string[]
}

/**
 * Runs a `.ts` file in a Node of its own. It does not wait until the child is ready: await the first `receive()`, or
 * `printed()` with its ready line.
 */
export function startNode(file: string | URL, options: NodeProcessOptions = {}): NodeProcess {
  const path = typeof file === 'string' ? file : fileURLToPath(file)
  const args = [...(options.execArgv ?? []), path, ...(options.args ?? [])]
  const child = spawnOwned(process.execPath, args, { env: options.env ?? {}, withMessages: true })
  const owned = own(child)
  const messages = on(child, 'message', { close: ['disconnect'] })
  return {
    ...owned,
    get output() {
      return owned.output
    },
    send: (message) =>
      new Promise((resolve, reject) => {
        child.send(message, (error) => (error ? reject(error) : resolve()))
      }),
    async receive() {
      const { value, done } = await messages.next()
      if (done === true) throw new Error(`The process exited before a message.\n${owned.output}`)
      const [message]: unknown[] = value
      return message
    },
  }
}

/** Runs a program. It does not wait until the program is ready: await `printed()` with its ready line. */
export function startProcess(command: string, args: readonly string[]): OwnedProcess {
  return own(spawnOwned(command, args, { env: {}, withMessages: false }))
}

/** Runs when this process ends, by itself or by SIGINT, SIGTERM or SIGHUP. Synchronous; last in, first out. */
export function atEnd(action: () => void): void {
  if (actionsAtEnd.length === 0) {
    process.once('exit', () => actionsAtEnd.toReversed().forEach((action) => action()))
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => process.exit(128 + constants.signals[signal]))
    }
  }
  actionsAtEnd.push(action)
}

const actionsAtEnd: (() => void)[] = []

interface SpawnSettings {
  env: Readonly<Record<string, string>>
  withMessages: boolean
}

/** A SIGKILL of the test process leaves no time for {@link atEnd}; where setpriv is there, the kernel ends the child. */
function spawnOwned(command: string, args: readonly string[], { env, withMessages }: SpawnSettings): ChildProcess {
  const setpriv = process.platform === 'linux' ? findCommand('setpriv') : undefined
  const line = setpriv === undefined ? [command, ...args] : [setpriv, '--pdeathsig', 'KILL', '--', command, ...args]
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env
  return spawn(line[0] ?? command, line.slice(1), {
    // With the runner's variable a child would report tests instead of printing.
    env: { ...inherited, ...env },
    stdio: ['ignore', 'pipe', 'pipe', ...(withMessages ? (['ipc'] as const) : [])],
    serialization: 'advanced',
  })
}

function own(child: ChildProcess): OwnedProcess {
  const { pid } = child
  if (pid === undefined) throw new Error(`${child.spawnfile} could not be started`)

  let output = ''
  let gone = false
  const exited = once(child, 'exit').then(([code, signal]): Exit => ({ code, signal }))
  let closed = false
  child.once('exit', () => (gone = true)).once('close', () => (closed = true))
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-outputCharactersMax)
      child.emit('printed')
    })
  }
  atEnd(() => void (gone || child.kill('SIGKILL')))

  async function kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Exit> {
    if (!gone) child.kill(signal)
    return exited
  }

  return {
    pid,
    get output() {
      return output
    },
    exited,
    signal(signal) {
      if (!child.kill(signal)) throw new Error(`process ${pid} is gone`)
    },
    printed: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): boolean => {
          if (!pattern.test(output)) return false
          child.off('printed', look).off('close', fail)
          resolve()
          return true
        }
        const fail = (): void => {
          if (look()) return
          child.off('printed', look)
          reject(new Error(`The process exited before it printed ${pattern}.\n${output}`))
        }
        if (look()) return
        if (closed) return fail()
        child.on('printed', look).once('close', fail)
      }),
    kill,
    [Symbol.asyncDispose]: async () => void (await kill()),
  }
}
