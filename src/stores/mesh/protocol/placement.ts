import { rendezvousScore, seedOfKey, seedOfNode } from '../../../token/index.ts'
import type { Member, View } from './messages.ts'

const seeds = new WeakMap<Member, number>()

function seedOf(member: Member): number {
  const known = seeds.get(member)
  if (known !== undefined) return known
  const seed = seedOfNode(member.address) // the address, not the id: a restarted node gets its keys back
  seeds.set(member, seed)
  return seed
}

/**
 * The owner of a key, first, and its backups: the members in rendezvous order, one of each zone before a second of any.
 */
export function holdersOf(view: View, key: string, copies: number | 'all'): readonly Member[] {
  const keySeed = seedOfKey(key)
  const ranked = view.members
    .map((member) => ({ member, score: rendezvousScore(keySeed, seedOf(member)) }))
    .toSorted((a, b) => b.score - a.score || (a.member.id < b.member.id ? -1 : 1))
    .map(({ member }) => member)
  if (copies === 'all' || copies >= ranked.length) return ranked
  const holders: Member[] = []
  const zones = new Set<string>()
  while (holders.length < copies) {
    const next = ranked.find((member) => !holders.includes(member) && !zones.has(member.zone))
    if (next) {
      holders.push(next)
      zones.add(next.zone)
    } else zones.clear()
  }
  return holders
}
