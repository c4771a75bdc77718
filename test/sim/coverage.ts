/** What a run met. Over many seeds each kind must come up, or the run proves less than it says. */
export const COVERED = [
  'crash', 'hostCrash', 'restart', 'pause', 'partitionSymmetric', 'partitionOneWay', 'partitionPartial', 'reset',
  'join', 'leave', 'clockJump', 'viewChange', 'handover', 'conflict', 'concurrentWrites', 'logoutInFlight',
  'loginInFlight', 'rotationInFlight', 'resend', 'timeout', 'duplicate', 'forgotten',
] as const // prettier-ignore

/** Told, and not asked for. */
const TOLD = [
  'read',
  'applied',
  'ended',
  'superseded',
  'unavailable',
  'splitSeeds',
  'lossExcused',
  'begunAnew',
  'staleCopies',
] as const

export type Covered = (typeof COVERED)[number] | (typeof TOLD)[number]

export class Coverage {
  readonly counts: Map<Covered, number> = new Map()

  add(kind: Covered, count = 1): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + count)
  }
}

/** Seeds in which each kind came up, and how often in all. */
export class CoverageOfSeeds {
  seeds = 0
  readonly #seeds: Map<Covered, number> = new Map()
  readonly #counts: Map<Covered, number> = new Map()

  add({ counts }: Coverage): void {
    this.seeds += 1
    for (const [kind, count] of counts) {
      this.#seeds.set(kind, (this.#seeds.get(kind) ?? 0) + 1)
      this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + count)
    }
  }

  /** Kinds that came up in fewer than one seed of ten. */
  get rare(): Covered[] {
    return COVERED.filter((kind) => (this.#seeds.get(kind) ?? 0) < this.seeds / 10)
  }

  toString(): string {
    return [...COVERED, ...TOLD]
      .map((kind) => {
        const share = Math.round(((this.#seeds.get(kind) ?? 0) / Math.max(1, this.seeds)) * 100)
        return `  ${kind.padEnd(20)} ${String(this.#counts.get(kind) ?? 0).padStart(9)}  in ${share} % of seeds`
      })
      .join('\n')
  }
}
