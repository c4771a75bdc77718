import type { Fleet, FleetKind, FleetOptions } from './fleet.ts'

/** One line of the table, of one fleet. */
export interface Figure {
  readonly label: string
  /** As it is printed. */
  readonly text: string
  /** What a ratio is made of; left out where there is none to make. */
  readonly value?: number
}

/** How much is done: everything, or a tenth of it. */
export interface Scale {
  readonly isQuick: boolean
  /** A count of the full run, or what a quick one makes of it. */
  count(full: number): number
}

/** Fleets that rows share, one after the other. */
export const SHAPES = {
  three: { nodes: 3, spares: 0, isProxied: true },
  two: { nodes: 2, spares: 1, isProxied: true },
  bare: { nodes: 2, spares: 0, isProxied: false },
} as const satisfies Readonly<Record<string, FleetOptions>>

export interface Row {
  readonly name: string
  readonly shape: keyof typeof SHAPES
  measure(fleet: Fleet, scale: Scale, kind: FleetKind): Promise<readonly Figure[]>
}

/** A count out of so many. */
export function outOf(label: string, count: number, of: number): Figure {
  return { label, text: `${count} of ${of.toLocaleString('en')}`, value: count / of }
}

export function number(label: string, value: number, unit = ''): Figure {
  const digits = Math.abs(value) < 10 ? 1 : 0
  const text = value.toLocaleString('en', { maximumFractionDigits: digits })
  return { label, text: unit === '' ? text : `${text} ${unit}`, value }
}
