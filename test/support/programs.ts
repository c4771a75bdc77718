/** The programs that tests use and npm does not bring: where they are, and what a test does without one. */

import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** A program outside npm, under the name of the Debian package that brings it. */
export type ProgramName = (typeof programNames)[number]

export const programNames = ['redis-server', 'nginx', 'chromium', 'openssl'] as const

/** The names under which systems know the executable. */
const programCommands: Readonly<Record<ProgramName, readonly string[]>> = {
  'redis-server': ['redis-server'],
  nginx: ['nginx'],
  chromium: ['chromium', 'chromium-browser', 'google-chrome'],
  openssl: ['openssl'],
}

/** Path of the program's executable. Throws with what to install where there is none; see {@link needs}. */
export function program(name: ProgramName): string {
  const path = findProgram(name)
  if (path === undefined) throw new Error(reason(name))
  return path
}

/** Path of the program's executable, or `undefined`. */
export function findProgram(name: ProgramName): string | undefined {
  for (const command of programCommands[name]) {
    const path = findCommand(command)
    if (path !== undefined) return path
  }
  return undefined
}

/** Path of an executable in PATH, or in the folders for administrators that a user's PATH leaves out. */
export function findCommand(command: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  return folders.map((folder) => join(folder, command)).find(isExecutable)
}

/**
 * The `skip` option of a test that uses programs: `test(title, { skip: needs('redis-server') }, ...)`. It is `false` where all
 * are there, else the reason, which `npm test` counts. Throws where `CI=true`: there a missing program is a failure.
 */
export function needs(...names: ProgramName[]): string | false {
  const missing = names.filter((name) => findProgram(name) === undefined)
  if (missing.length === 0) return false
  const reasons = missing.map(reason).join(', ')
  if (process.env['CI'] === 'true') throw new Error(reasons)
  return reasons
}

function reason(name: ProgramName): string {
  return `needs ${name} (apt-get install ${name})`
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
