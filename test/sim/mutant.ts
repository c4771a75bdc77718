import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { CreateNode, Wishes } from './config.ts'

/** A deliberate fault of the shipped protocol. */
export interface ProtocolFault {
  readonly what: string
  /** Of `src/stores/mesh/protocol`. */
  readonly file: string
  /** Occurs exactly once in the file. */
  readonly text: string
  readonly replacement: string
  readonly wishes: Wishes
  /** Shows it, at the time of writing; tried before the others. */
  readonly seed: number
}

const SOURCES = fileURLToPath(new URL('../../src', import.meta.url))
const PROTOCOL = join('stores', 'mesh', 'protocol')

export class OutdatedFaultError extends Error {}

/** Loads a copy of the shipped protocol that has one fault. */
export async function loadMutant({ what, file, text, replacement }: ProtocolFault): Promise<CreateNode> {
  const source = readFileSync(join(SOURCES, PROTOCOL, file), 'utf8')
  const occurrences = source.split(text).length - 1
  if (occurrences !== 1) {
    throw new OutdatedFaultError(
      `the list of faults is out of date: "${what}" replaces a text that occurs ${occurrences} times in ${file}`,
    )
  }
  const folder = mkdtempSync(join(tmpdir(), 'mutant-'))
  try {
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    cpSync(join(SOURCES, PROTOCOL), join(folder, PROTOCOL), { recursive: true })
    // What the protocol builds on is the shipped one: the loader follows the links.
    for (const room of ['core', 'token']) symlinkSync(join(SOURCES, room), join(folder, room), 'dir')
    writeFileSync(
      join(folder, PROTOCOL, file),
      source.replace(text, () => replacement),
    )
    const module = (await import(pathToFileURL(join(folder, PROTOCOL, 'mesh-node.ts')).href)) as {
      createMeshNode: CreateNode
    }
    return module.createMeshNode
  } finally {
    rmSync(folder, { recursive: true })
  }
}
