import type { Version } from '../../src/token/index.ts'
import type { PromisedVersion, SessionHistory, SimOperation } from './session-history.ts'

/** A law does not hold in this world. */
export class LawBrokenError extends Error {
  readonly law: string

  constructor(law: string, message: string) {
    super(message)
    this.law = law
  }
}

export function fail(law: string, { key }: SessionHistory, what: string): never {
  throw new LawBrokenError(law, `session ${key.slice(0, 8)}: ${what}`)
}

export function text({ incarnation, sequence }: Version): string {
  return `${incarnation}.${sequence}`
}

export function show({ id, kind, startedAt }: SimOperation): string {
  return `${kind} #${id} of ${startedAt.toFixed(1)}`
}

export function showPromise({ at, version }: PromisedVersion): string {
  return `version ${text(version)} was acknowledged or read at ${at.toFixed(1)}`
}

export function showHint(hint: Version | undefined): string {
  return hint ? ` with the hint ${text(hint)}` : ''
}
