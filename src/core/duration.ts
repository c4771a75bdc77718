import { inspect } from 'node:util'

/** Milliseconds, or a number with a unit: `'500ms'`, `'30s'`, `'15m'`, `'12h'`, `'7d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/

/** The longest time that a timer of Node can wait; a longer one would go off at once. */
export const TIMER_MS_MAX: number = 2 ** 31 - 1

/** @throws TypeError unless it is a duration above zero and at most `msMax`; `name` says which option it is */
export function toMilliseconds(name: string, duration: Duration, msMax: number = Infinity): number {
  const match = typeof duration === 'string' ? DURATION.exec(duration) : undefined
  const ms = match ? Number(match[1]) * (UNITS_MS[match[2] ?? ''] ?? Number.NaN) : duration
  if (typeof ms === 'number' && ms > 0 && ms <= msMax) return ms
  throw new TypeError(
    `${name}: ${inspect(duration)} is not a duration; give milliseconds above 0${msMax === Infinity ? '' : ` and at most ${msMax}`}, or text such as '30s', '15m', '12h'`,
  )
}
