/** Temporary folders that are gone when the test process ends. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atEnd } from './processes.ts'

/** Makes an empty folder of this process's own; {@link removeFolder} or the process's end removes it. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-'))
  atEnd(() => removeFolder(folder))
  return folder
}

/** Removes a folder and what is in it. Removing twice succeeds. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}
