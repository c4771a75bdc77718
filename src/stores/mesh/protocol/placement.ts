import { rendezvousHolders } from '../../../token/index.ts'
import type { Member, View } from './messages.ts'

/** One operation asks for the holders of its key six times. */
let last: {
  readonly key: string
  readonly members: readonly Member[] | undefined
  readonly copies: number | 'all'
  readonly holders: readonly Member[]
} = { key: '', members: undefined, copies: 0, holders: [] }

/** The owner of a key, first, and its backups. By address, not by id: a restarted node gets its keys back. */
export function holdersOf({ members }: View, key: string, copies: number | 'all'): readonly Member[] {
  if (last.key !== key || last.members !== members || last.copies !== copies) {
    last = { key, members, copies, holders: rendezvousHolders(members, key, copies) }
  }
  return last.holders
}
