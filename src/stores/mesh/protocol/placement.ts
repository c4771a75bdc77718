import { rendezvousHolders } from '../../../token/index.ts'
import type { Member, View } from './messages.ts'

/** The owner of a key, first, and its backups. By address, not by id: a restarted node gets its keys back. */
export function holdersOf(view: View, key: string, copies: number | 'all'): readonly Member[] {
  return rendezvousHolders(view.members, key, copies)
}
