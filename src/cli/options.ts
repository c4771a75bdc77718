/** What was asked cannot be done as it was asked; the message says what can. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError'
}

/** @throws UsageError where the value is none of these, or was given twice */
export function oneOf<Name extends string>(option: string, value: unknown, names: readonly Name[]): Name {
  const name = names.find((name) => name === value)
  if (name !== undefined) return name
  throw new UsageError(`${option} is one of ${names.join(', ')}, not ${toText(value)}`)
}

/** @throws UsageError where the value is not a whole number from `min` to `max` */
export function wholeNumber(option: string, value: unknown, min: number, max: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
  throw new UsageError(`${option} is a whole number from ${min} to ${max}, not ${toText(value)}`)
}

/** Text that may be left out, and must be where it fits only with `other`, which was not given. */
export function only(option: string, value: unknown, other: string | undefined): string | undefined {
  if (value === undefined) return undefined
  if (other !== undefined) throw new UsageError(`${option} goes only with ${other}`)
  // A folder named 7 reaches us as a number.
  const text = typeof value === 'number' ? String(value) : value
  if (typeof text === 'string' && text !== '') return text
  throw new UsageError(`${option} needs one value`)
}

function toText(value: unknown): string {
  return Array.isArray(value) ? value.join(' and ') : String(value)
}
