import { type Loss, type Member, type NodeId, same, type View } from './messages.ts'
import { holdersOf } from './placement.ts'
import { LOSSES_MAX } from './times.ts'

/** What a node says of the view that it comes from: who there has handed over all that it held. */
interface Origin {
  readonly installed: View
  readonly settled: readonly NodeId[]
}

/** What a new view remembers of the views that its members come from. */
export function pastOf(view: View, origins: readonly Origin[]): Pick<View, 'previous' | 'placements' | 'losses'> {
  const before = origins.map(({ installed }) => installed).filter(({ members }) => members.length > 0)
  const [first] = before
  const previous = first && before.every(({ ballot }) => same(ballot, first.ballot)) ? first.ballot : null
  const hasSettled = ({ ballot }: View, id: NodeId): boolean =>
    origins.some(({ installed, settled }) => same(installed.ballot, ballot) && settled.includes(id))
  const isComplete = (last: View): boolean => [...last.members, ...last.leaving].every(({ id }) => hasSettled(last, id))
  const hasHandedOver = (id: NodeId): boolean =>
    before.some((last) => last.leaving.some((member) => member.id === id) && hasSettled(last, id))
  const placements = distinct(before.flatMap((last) => [...(isComplete(last) ? [] : last.placements), last.members]))
  return { previous, placements, losses: lossesIn(view, placements, before, hasHandedOver) }
}

/** The losses that a new view has to remember: those of the views that its members come from, and what it leaves out itself. */
function lossesIn(
  { members, leaving }: View,
  placements: readonly (readonly Member[])[],
  before: readonly View[],
  hasHandedOver: (id: NodeId) => boolean,
): Loss[] {
  const present = [...members, ...leaving]
  const isBack = (id: string): boolean => present.some((member) => member.id === id)
  const earlier = before.flatMap(({ losses }) => losses)
  const now = placements.map((placed): Loss => ({
    members: placed,
    away: placed.map(({ id }) => id).filter((id) => !isBack(id)),
    dead: [],
  }))
  const all = [...earlier, ...now].map((loss): Loss => {
    const replaced = loss.members.filter((member) => isReplaced(member, present)).map(({ id }) => id)
    return {
      members: loss.members,
      away: loss.away.filter((id) => !isBack(id) && !replaced.includes(id) && !hasHandedOver(id)),
      dead: [...loss.dead, ...loss.away.filter((id) => replaced.includes(id))],
    }
  })
  return distinct(all.filter(({ away }) => away.length > 0))
}

/** Whether another process is at a node's address: then that node is dead, and what it knew is gone. */
export function isReplaced({ id, address }: Member, present: readonly Member[]): boolean {
  return present.some((member) => member.address === address && member.id !== id)
}

/** Without repetitions, and at most {@link LOSSES_MAX}. */
function distinct<T>(items: readonly T[]): T[] {
  return [...new Map(items.map((item) => [JSON.stringify(item), item])).values()].slice(-LOSSES_MAX)
}

/**
 * Whether so many of those who held a key in some view are away that they may have acknowledged what nobody present
 * knows: with `majority` the key is then not served.
 */
export function isOutvoted(
  view: View,
  key: string,
  { copies, ack }: { copies: number | 'all'; ack: 'backup' | 'all' },
): boolean {
  return view.losses.some(({ members, away, dead }) => {
    const holders = holdersOf({ ...view, members }, key, copies).map(({ id }) => id)
    const present = holders.filter((id) => !away.includes(id) && !dead.includes(id)).length
    return (
      present < holders.length - copiesAcknowledged(holders.length, ack) + 1 && holders.some((id) => away.includes(id))
    )
  })
}

/** Whether {@link isOutvoted} may hold for some key: as it would where those who are away are holders together. */
export function mayBeOutvoted(
  { losses }: View,
  { copies, ack }: { copies: number | 'all'; ack: 'backup' | 'all' },
): boolean {
  return losses.some(({ members, away, dead }) => {
    const holders = copies === 'all' ? members.length : Math.min(copies, members.length)
    const present = holders - Math.min(holders, away.length + dead.length)
    return away.length > 0 && present < holders - copiesAcknowledged(holders, ack) + 1
  })
}

/** With `majority`: how many of so many copies an acknowledged change is on, at least; any that many and one more share one. */
export function copiesAcknowledged(holders: number, ack: 'backup' | 'all'): number {
  return ack === 'all' ? holders : Math.floor(holders / 2) + 1
}
