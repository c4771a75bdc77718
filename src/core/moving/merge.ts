import { hash } from 'node:crypto'
import { LINE_LENGTH_MAX } from '../limits.ts'
import type { Fields } from '../old-sessions.ts'

/**
 * The property of an old session in which we keep what we wrote into it last. The other library carries it along: it
 * reads and writes its sessions whole, so that what a slow request there writes back tells from which state it began.
 */
const MARK = 'sojourn'

/** Digest of each field, as it was at a certain time. */
export type Base = ReadonlyMap<string, string>

/** What has happened to a session on both sides since they were equal. */
export interface Difference {
  /** Fields that changed there and not here, with their value there; `undefined` where it was removed. */
  readonly taken: ReadonlyMap<string, unknown>
  /** Whether there are changes here that are not there. */
  readonly isBehind: boolean
}

/**
 * Digests of the values that a field has had since it was last changed here: each was taken over from there. Whatever
 * there began with one of them overwrites no change of ours.
 */
export type Line = readonly string[]

/**
 * Compares both sides with their last common state. Where both changed a field, it stays as it is here.
 *
 * @param lineOf the line of a field
 */
export function differenceOf(
  ours: Fields,
  theirs: Fields,
  base: Base,
  lineOf: (name: string) => Line | undefined = () => undefined,
): Difference {
  const taken = new Map<string, unknown>()
  let isBehind = false
  for (const name of new Set([...ours.keys(), ...theirs.keys(), ...base.keys()])) {
    const here = digestOf(ours.get(name))
    const there = digestOf(theirs.get(name))
    if (here === there) continue
    const line = lineOf(name)
    const before = base.get(name)
    const isTheirs = line?.at(-1) === (here ?? NONE) && line.includes(before ?? NONE)
    if (here === before || isTheirs) taken.set(name, theirs.get(name))
    else isBehind = true
  }
  return { taken, isBehind }
}

/** The line of a field that is taken over. */
export function extended(line: Line | undefined, before: unknown, after: unknown): Line {
  const [first, last] = [digestOf(before) ?? NONE, digestOf(after) ?? NONE]
  return [...(line?.at(-1) === first ? line : [first]), last].slice(-LINE_LENGTH_MAX)
}

/** Instead of the digest of a field that is not there. */
const NONE = ''

export function baseOf(fields: Fields): Base {
  const base = new Map<string, string>()
  for (const [name, value] of fields) {
    const digest = digestOf(value)
    if (digest !== undefined) base.set(name, digest)
  }
  return base
}

/** What JSON can keep of these fields; a BigInt or a cycle it cannot. */
export function storable(fields: Fields): Fields {
  return new Map([...fields].filter(([, value]) => isStorable(value)))
}

function isStorable(value: unknown): boolean {
  try {
    return digestOf(value) !== undefined
  } catch {
    return false
  }
}

/** Enough that no two states of one field have the same by chance. */
const DIGEST_CHARACTERS = 12

/** Of what JSON makes of the value, since that is all that the other library keeps of it. */
function digestOf(value: unknown): string | undefined {
  const text = value === undefined ? undefined : (JSON.stringify(value) as string | undefined)
  return text === undefined ? undefined : fingerprintOf(text)
}

function fingerprintOf(text: string): string {
  return hash('sha256', text, 'base64url').slice(0, DIGEST_CHARACTERS)
}

/** Puts the mark into fields of the old session with this identifier. */
export function withMark(fields: Fields, id: string): Fields {
  return new Map(fields).set(MARK, { id: fingerprintOf(id), f: Object.fromEntries(baseOf(fields)) })
}

export function withoutMark(fields: Fields): Fields {
  const rest = new Map(fields)
  rest.delete(MARK)
  return rest
}

/**
 * Takes the mark out; `base` is `undefined` where there is none, or it is of another identifier: applications copy the
 * fields of one session into the next, as Passport does.
 */
export function takeMark(fields: Fields, id: string): { fields: Fields; base: Base | undefined } {
  const mark = fields.get(MARK)
  const rest = withoutMark(fields)
  if (!isObject(mark) || !isObject(mark['f']) || mark['id'] !== fingerprintOf(id))
    return { fields: rest, base: undefined }
  return { fields: rest, base: toBase(mark['f']) }
}

export function toBase(digests: Readonly<Record<string, unknown>>): Base {
  return new Map(Object.entries(digests).map(([name, digest]) => [name, String(digest)]))
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
