/**
 * Loaded first into the runner of the tests and into each of their files: what a process prints is written before it goes
 * on. A file that `--test-force-exit` ends has else printed part of its report into a pipe that had no room for it yet, and
 * tests are missing from the count, or a failure has no name.
 */

/** Node has no public name for it, and does the same by itself on Windows. */
interface Stream {
  readonly _handle?: { setBlocking?(isBlocking: boolean): void } | null
}

for (const stream of [process.stdout, process.stderr] as readonly Stream[]) stream._handle?.setBlocking?.(true)
