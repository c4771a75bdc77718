/** A node joins a fleet that has sessions: is it right from its first answer, how long does it take, what does it cost? */

import type { FaultFleet, FaultNode } from './fleet.ts'
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

/** Starts the node and asks it for sessions from the moment it takes visitors; what is wrong is in the load's tally. */
export async function join(fleet: FaultFleet, node: FaultNode, load: Load): Promise<Join> {
  const startedAt = performance.now()
  const since = (): number => Math.round(performance.now() - startedAt)
  const bytes = (): number => {
    const { sent = 0, received = 0 } = fleet.links?.bytesOf(node.index) ?? {}
    return sent + received
  }
  const [bytesBefore, unavailableBefore] = [bytes(), load.tally.unavailable]
  await node.start({ listenFirst: true })
  const listeningMs = since()
  const ready = node.told('ready').then(since)
  const asking = load.each(async (customer) => {
    for (let status = 0; status !== 200 && load.tally.violations.length === 0;)
      status = (await customer.read(() => [node.port]))?.status ?? 0
  })
  const readyMs = await ready
  const unavailable = load.tally.unavailable - unavailableBefore
  await asking
  let last = { bytes: bytes(), ms: since() }
  for (let quiet = 0; quiet < 4;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    quiet = bytes() - last.bytes < QUIET_BYTES ? quiet + 1 : 0
    if (quiet === 0) last = { bytes: bytes(), ms: since() }
    else last = { ...last, bytes: bytes() }
  }
  return { listeningMs, readyMs, settledMs: last.ms, bytes: last.bytes - bytesBefore, unavailable }
}
