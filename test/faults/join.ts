/** A node joins a fleet that has sessions: is it right from its first answer, how long does it take, what does it cost? */

import type { FaultFleet, FaultNode } from './fleet.ts'
import { insist } from './customer.ts'
import type { Load } from './load.ts'

/** What a join took. */
export interface Join {
  /** From its start until it takes visitors, until it is ready, and until its last record has come, in milliseconds. */
  readonly listeningMs: number
  readonly readyMs: number
  readonly settledMs: number
  /** Bytes between it and the others until it had settled, TLS included. */
  readonly bytes: number
  /** Requests that it answered 503 before it was ready. */
  readonly unavailable: number
}

/** A node whose records no longer move sends heartbeats alone: less than this in a quarter of a second. */
const QUIET_BYTES = 10_000
const LOOK_MS = 250
const LOOKS = 4

/** Starts the node and asks it for sessions from the moment it takes visitors; what is wrong is in the load's tally. */
export async function join(
  node: FaultNode,
  load: Load,
): Promise<Pick<Join, 'listeningMs' | 'readyMs' | 'unavailable'>> {
  const startedAt = performance.now()
  const unavailableBefore = load.tally.unavailable
  const since = (): number => Math.round(performance.now() - startedAt)
  await node.start({ listenFirst: true })
  const listeningMs = since()
  const ready = node.told('ready').then(() => ({
    readyMs: since(),
    unavailable: load.tally.unavailable - unavailableBefore,
  }))
  await load.each(async (customer) => {
    const reply = await insist(() => customer.read(() => [node.port]))
    if (reply?.status !== 200) load.tally.violations.push(`${customer.name}: no answer but ${reply?.status}`)
  })
  return { listeningMs, ...(await ready) }
}

/** The same, until nothing moves any more. */
export async function joinAndSettle(fleet: FaultFleet, node: FaultNode, load: Load): Promise<Join> {
  const startedAt = performance.now()
  const now = (): { bytes: number; ms: number } => {
    const { sent = 0, received = 0 } = fleet.links?.bytesOf(node.index) ?? {}
    return { bytes: sent + received, ms: Math.round(performance.now() - startedAt) }
  }
  const before = now()
  const joining = join(node, load)
  let settled = before
  for (let [quiet, last] = [0, before]; quiet < LOOKS;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    const next = now()
    const isQuiet = next.bytes - last.bytes < QUIET_BYTES && node.members.length === fleet.nodes.length
    quiet = isQuiet ? quiet + 1 : 0
    if (!isQuiet) settled = next
    last = next
  }
  return { ...(await joining), settledMs: settled.ms, bytes: settled.bytes - before.bytes }
}
