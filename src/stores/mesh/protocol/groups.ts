import type { NodeId } from './messages.ts'

/**
 * The group that a node belongs to when not everybody hears everybody: cliques, made greedily from the lowest id on, so
 * that nodes that know the same come to the same groups.
 *
 * @param hears whom each node says it hears; a node that is only mentioned has no row, and its own word is not needed
 */
export function groupOf(self: NodeId, hears: ReadonlyMap<NodeId, ReadonlySet<NodeId>>): NodeId[] {
  const mentioned = [...hears.values()].flatMap((row) => [...row])
  const left = [...new Set([...hears.keys(), ...mentioned])].toSorted()
  const isEdge = (a: NodeId, b: NodeId): boolean => {
    const [rowOfA, rowOfB] = [hears.get(a), hears.get(b)]
    return (rowOfA !== undefined || rowOfB !== undefined) && (rowOfA?.has(b) ?? true) && (rowOfB?.has(a) ?? true)
  }
  while (left.length > 0) {
    const group: NodeId[] = []
    for (const node of left) if (group.every((member) => isEdge(member, node))) group.push(node)
    if (group.includes(self)) return group
    for (const node of group) left.splice(left.indexOf(node), 1)
  }
  return [self]
}
