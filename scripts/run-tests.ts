/** Runs the tests on the project's Node: installs the programs they use where it may, and ends with what was skipped and why. */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findCommand, findProgram, programNames } from '../test/support/programs.ts'
import type { ProgramName } from '../test/support/programs.ts'

const filesAtOnceMax = 2

/** A test that takes longer hangs. It fails, and its file is ended, so that a run always comes to its summary. */
const testTimeoutMs = 120_000

process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  const missing = provide()
  const status = await runTests(args)
  return missing.length > 0 && process.env['CI'] === 'true' ? 1 : status
}

/** Installs the missing programs where this is root on a Debian-like system, and answers those still missing. */
function provide(): ProgramName[] {
  const missing = programNames.filter((name) => findProgram(name) === undefined)
  if (missing.length === 0) return []

  const aptGet = findCommand('apt-get')
  if (aptGet !== undefined && process.getuid?.() === 0) {
    console.log(`Installing ${missing.join(', ')} (apt-get) ...`)
    const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, encoding: 'utf8' } as const
    for (const command of [['update'], ['install', '--yes', '--no-install-recommends', ...missing]]) {
      const { status, stdout, stderr } = spawnSync(aptGet, ['-q', ...command], options)
      if (status !== 0) console.error(`apt-get ${command.join(' ')} failed:\n${stdout}${stderr}`)
    }
  }
  const still = missing.filter((name) => findProgram(name) === undefined)
  if (still.length > 0) {
    const outcome = process.env['CI'] === 'true' ? 'fail' : 'are skipped'
    console.log(
      `Missing: ${still.join(', ')}. The tests that use them ${outcome}; install: apt-get install ${still.join(' ')}`,
    )
  }
  return still
}

async function runTests(args: string[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-test-'))
  try {
    const skips = join(folder, 'skips')
    const runner = spawn(
      process.execPath,
      [
        '--test',
        `--test-concurrency=${filesAtOnceMax}`,
        `--test-timeout=${testTimeoutMs}`,
        '--test-force-exit',
        '--import=./test/support/whole-output.ts',
        '--test-reporter=spec',
        '--test-reporter-destination=stdout',
        '--test-reporter=./test/support/skip-reporter.ts',
        `--test-reporter-destination=${skips}`,
        ...(args.some((arg) => !arg.startsWith('-')) ? args : [...args, 'test/**/*.test.ts']),
      ],
      // A test file, and each of the processes that tests start by the hundred, loads what another has compiled.
      { stdio: 'inherit', env: { ...process.env, NODE_COMPILE_CACHE: join(folder, 'compiled') } },
    )
    // The runner ends its test files when it is told to end; this process stays for its summary.
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => runner.kill(signal))
    await once(runner, 'exit')
    if (existsSync(skips)) process.stdout.write(readFileSync(skips, 'utf8'))
    return runner.exitCode ?? 1
  } finally {
    rmSync(folder, { recursive: true, maxRetries: 3 })
  }
}
