import { compareVersions } from '../token/index.ts'
import type { SessionRecord, Tombstone } from './record.ts'
import type { End, EndResult } from './store.ts'

/** Whether what is installed is an end rather than a session. */
export function isTombstone(whole: SessionRecord | Tombstone): whole is Tombstone {
  return 'endedAt' in whole
}

/**
 * Whether an installed record takes the place of what a store has under its key: over nothing or an older version,
 * and never over an end.
 *
 * @param present the store's record; `undefined` for none
 * @param ended whether the store has a tombstone
 */
export function takesPlace(present: SessionRecord | undefined, ended: boolean, whole: SessionRecord): boolean {
  return !ended && (present === undefined || compareVersions(whole.version, present.version) > 0)
}

/**
 * What a store answers to a request to end what it has under a key. Unless it is `superseded`, the store then has the
 * tombstone and nothing else.
 *
 * @param present the store's record; `undefined` for none
 */
export function answerToEnd(present: SessionRecord | undefined, { generation }: End): EndResult {
  if (!present) return 'gone'
  return generation !== undefined && generation < present.floor ? 'superseded' : 'ended'
}
