/** Milliseconds, or a number with a unit: `'500ms'`, `'30s'`, `'15m'`, `'12h'`, `'7d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/

/** @throws TypeError unless it is a duration above zero; `name` says which option it is */
export function toMilliseconds(name: string, duration: Duration): number {
  const match = typeof duration === 'string' ? DURATION.exec(duration) : undefined
  const ms = match ? Number(match[1]) * (UNITS_MS[match[2] ?? ''] ?? Number.NaN) : duration
  if (typeof ms === 'number' && ms > 0) return ms
  throw new TypeError(
    `${name}: ${JSON.stringify(duration)} is not a duration; give milliseconds above 0, or text such as '30s', '15m', '12h'`,
  )
}
