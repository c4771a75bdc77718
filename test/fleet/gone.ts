import assert from 'node:assert/strict'

/** Asserts that no process has one of these pids. */
export function assertGone(...pids: number[]): void {
  for (const pid of pids) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' }, `pid ${pid} is still there`)
}
