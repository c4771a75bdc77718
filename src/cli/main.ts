#!/usr/bin/env node
/** The program `sojourn`. */

import { run } from './run.ts'

const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // The second one ends this process at once, and with it the programs that it started.
    if (interrupted.signal.aborted) process.exit(1)
    interrupted.abort()
  })
}
// Whoever read the output has gone, as `head` does: no reason to leave files behind.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => interrupted.abort())

process.exitCode = await run({
  argv: process.argv.slice(2),
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env: process.env,
  signal: interrupted.signal,
})
