import type { MeshNode, MeshNodeOptions } from '../../src/stores/mesh/protocol/node.ts'
import type { Random } from './random.ts'

export type CreateNode = (nowMs: number, options: MeshNodeOptions) => MeshNode

/** What a run is about; drawn from its seed, apart from what is asked for. */
export interface SimConfig {
  readonly nodes: number
  readonly copies: number | 'all'
  readonly ack: 'backup' | 'all'
  readonly onPartition: 'serve' | 'majority'
  readonly minCopies: number
  readonly zones: number
  readonly visitors: number
  /** Mean of one message's way, milliseconds. */
  readonly latencyMs: number
  /** Part of the messages that are held up by retransmissions. */
  readonly spikes: number
  /** Duplicates and reorders messages inside a connection, which TCP does not. */
  readonly isChaotic: boolean
  /** How far a node's monotonic clock may run from true time. */
  readonly driftMax: number
  readonly faultEveryMs: number
  /** Faults overlap as they like, also where that may lose sessions. */
  readonly isMayhem: boolean
  readonly safetyMs: number
  readonly fieldsMax: number
  /** Kinds of faults that are left out, to see whether another one is the cause. */
  readonly without: readonly string[]
  /**
   * Lets a majority say that there is no session whose copies are all on the other side of a partition, or paused. The
   * laws do not let it; this is to see what else is wrong.
   */
  readonly excuseAway: boolean
}

export interface Wishes {
  readonly onPartition?: 'serve' | 'majority'
  readonly chaos?: boolean
  readonly faults?: boolean
  readonly nodes?: number
  readonly copies?: number
  readonly ack?: 'backup' | 'all'
  readonly without?: readonly string[]
  readonly excuseAway?: boolean
}

export function drawConfig(random: Random, wishes: Wishes): SimConfig {
  const nodes = random.of([2, 2, 3, 3, 3, 4, 4, 5, 5, 6, 7, 9])
  const config: SimConfig = {
    nodes,
    copies: random.of([2, 2, 2, 3, 'all']),
    ack: random.chance(0.7) ? 'backup' : 'all',
    onPartition: random.chance(0.5) ? 'serve' : 'majority',
    minCopies: random.chance(0.9) ? 1 : 2,
    zones: random.of([1, 1, 2, 3]),
    visitors: 2 + random.below(5),
    latencyMs: random.of([0.3, 0.3, 1, 3, 10, 30]),
    spikes: random.of([0, 0, 0.001, 0.01]),
    isChaotic: random.chance(0.2),
    driftMax: random.of([0, 0.001, 0.01]),
    faultEveryMs: random.of([700, 1200, 2000, 4000]),
    isMayhem: random.chance(0.15),
    safetyMs: random.of([8_000, 12_000, 16_000]),
    fieldsMax: random.of([1, 3, 6]),
    without: wishes.without ?? [],
    excuseAway: wishes.excuseAway ?? false,
  }
  return {
    ...config,
    nodes: wishes.nodes ?? config.nodes,
    copies: wishes.copies ?? config.copies,
    ack: wishes.ack ?? config.ack,
    onPartition: wishes.onPartition ?? config.onPartition,
    isChaotic: wishes.chaos ?? config.isChaotic,
    faultEveryMs: wishes.faults === false ? Infinity : config.faultEveryMs,
  }
}
