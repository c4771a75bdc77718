import type { Carried } from './carried.ts'
import type { Engine } from './engine.ts'
import type { EndReason } from './events.ts'
import { TOMBSTONE_MS } from './limits.ts'
import type { SessionRecord } from './record.ts'
import type { End, EndResult } from './store.ts'

/** A session to be ended. */
export interface Ending {
  readonly key: string
  readonly user: string | null
  /** Why. `undefined` where its time was over and nobody is to be told. */
  readonly reason: EndReason | undefined
  /** See {@link End.generation}. */
  readonly generation?: number
  readonly carried?: Carried | undefined
  /** As it is stored, where it was read: a session of another library that goes on beside it ends with it. */
  readonly record?: SessionRecord
}

/** Ends a session on every node, and raises `ended` where there was one. */
export async function endSession<Data extends object>(
  engine: Engine<Data>,
  { key, user, reason, generation, carried, record }: Ending,
): Promise<EndResult> {
  const now = engine.clock.now()
  const end: End = {
    key,
    endedAt: now,
    forgetAt: now + TOMBSTONE_MS,
    ...(reason ? { reason } : {}),
    ...(generation === undefined ? {} : { generation }),
  }
  if (record) await engine.moving?.leave(record)
  const result = await engine.store.call('end', (store) => store.end(end, carried))
  if (result === 'ended' && reason) engine.tellEnd(key, user, reason)
  return result
}
