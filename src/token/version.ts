/** Version of a session's data; also the stamp of a field. Ordered by incarnation, then by sequence. */
export interface Version {
  /** Raised by a store that fails over or changes owner, so that no version is issued twice. */
  readonly incarnation: number
  /** Raised by one with each applied change. The first is 1. */
  readonly sequence: number
}

/** Below, equal to or above zero, as `a` is older than, equal to or newer than `b`. */
export function compareVersions(a: Version, b: Version): number {
  return a.incarnation - b.incarnation || a.sequence - b.sequence
}

const VERSION = /^(0|[1-9a-z][0-9a-z]{0,9})\.(0|[1-9a-z][0-9a-z]{0,9})$/

/** `incarnation.sequence` in base 36: the text of the hint cookie. */
export function formatVersion(version: Version): string {
  return `${version.incarnation.toString(36)}.${version.sequence.toString(36)}`
}

/** Inverse of {@link formatVersion}; anything else is `undefined`, since a client may send any text as its hint. */
export function parseVersion(text: string): Version | undefined {
  const match = VERSION.exec(text)
  if (!match) return undefined
  const [incarnation, sequence] = [parseInt(match[1] ?? '', 36), parseInt(match[2] ?? '', 36)]
  return Number.isSafeInteger(incarnation) && Number.isSafeInteger(sequence) ? { incarnation, sequence } : undefined
}
