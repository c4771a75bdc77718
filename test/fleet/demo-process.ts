/** The demo as a user runs it: a process of its own, with a folder of its own for temporary files. */

import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { removeFolder, temporaryFolder } from '../support/folders.ts'
import { type NodeProcess, startNode } from '../support/processes.ts'

/** A demo of the test's own. Leaving an `await using` block kills it. */
export interface DemoProcess extends AsyncDisposable {
  readonly process: NodeProcess
  /** Every pid that it has named so far. */
  readonly pids: number[]
  /** Names of the temporary files that are there. */
  readonly leftFiles: string[]
  /** Resolves the gateway's address, once the demo serves its page. */
  opened(): Promise<string>
}

/** Every pid that a demo's output names. */
export function pidsIn(output: string): number[] {
  return [...output.matchAll(/\bpid (\d+)/g)].map(([, pid]) => Number(pid))
}

/** Starts `sojourn demo` with these variables and arguments, on any port. */
export function startDemo(env: Readonly<Record<string, string>> = {}, ...args: string[]): DemoProcess {
  const folder = temporaryFolder()
  const file = new URL('../../src/cli/main.ts', import.meta.url)
  const demo = startNode(fileURLToPath(file), {
    args: ['demo', '--port', '0', ...args],
    env: { TMPDIR: folder, ...env },
  })
  return {
    process: demo,
    get pids() {
      return pidsIn(demo.output)
    },
    get leftFiles() {
      return readdirSync(folder)
    },
    async opened() {
      const open = /^Open (http:\S+)/m
      await demo.printed(open)
      return open.exec(demo.output)?.[1] ?? ''
    },
    async [Symbol.asyncDispose]() {
      await demo.kill()
      removeFolder(folder)
    },
  }
}
