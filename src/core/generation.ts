import { RETIRED_MAX } from './limits.ts'
import type { SessionRecord } from './record.ts'

/**
 * What a presented generation means for a session:
 * - `current`: the newest that was presented before; where the record is `pending`, its successor is given (again);
 * - `successor`: presented for the first time; from now its predecessors have their grace;
 * - `grace`: a predecessor whose grace has not ended: served, and given nothing;
 * - `superseded`: from before a login;
 * - `stolen`: its successor was presented, and its grace has ended.
 */
export type GenerationJudgement = 'current' | 'successor' | 'grace' | 'superseded' | 'stolen'

/**
 * Judges a token's generation at open. A generation above the successor is possible only where a store lost a
 * rotation; since its tag is ours, it counts as the successor.
 */
export function judgeGeneration(
  record: Pick<SessionRecord, 'generation' | 'floor' | 'retired'>,
  presented: number,
  now: number,
): GenerationJudgement {
  if (presented < record.floor) return 'superseded'
  if (presented > record.generation) return 'successor'
  if (presented === record.generation) return 'current'
  const index = record.generation - presented - 1
  const full = record.retired.length === RETIRED_MAX
  const graceEndsAt = record.retired[index] ?? (full ? record.retired[RETIRED_MAX - 1] : undefined)
  return graceEndsAt !== undefined && now <= graceEndsAt ? 'grace' : 'stolen'
}
