/**
 * Rendezvous hashing (Thaler and Ravishankar, 1998): every node gives each key a score of its own, and the highest wins.
 * When a node comes or goes, only the keys that it wins or won move.
 */

/** What a node brings into every score: FNV-1a of its stable name. */
export function seedOfNode(name: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193)
  return hash >>> 0
}

/** What a key brings: its first bits. A key is a SHA-256 in base64url, so they are as good as random. */
export function seedOfKey(key: string): number {
  return Buffer.from(key.slice(0, 8), 'base64url').readUInt32BE(0)
}

/** Score of a key at a node: the finalizer of MurmurHash3 over both seeds. */
export function rendezvousScore(keySeed: number, nodeSeed: number): number {
  let hash = keySeed ^ Math.imul(nodeSeed, 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** What places a key at a node. */
export interface RendezvousNode {
  /** Stable name. */
  readonly address: string
  readonly zone: string
  /** Decides between nodes of one address, such as a node that was restarted and the one that it replaces. */
  readonly id?: string
}

const seeds = new WeakMap<RendezvousNode, number>()

function seedOf(node: RendezvousNode): number {
  const known = seeds.get(node)
  if (known !== undefined) return known
  const seed = seedOfNode(node.address)
  seeds.set(node, seed)
  return seed
}

/**
 * The owner of a key, first, and its backups: the nodes in rendezvous order, one of each zone before a second of any.
 * The mesh and `ownerAffinity` both place by it, so that they agree without a word.
 */
export function rendezvousHolders<Node extends RendezvousNode>(
  nodes: readonly Node[],
  key: string,
  copies: number | 'all',
): readonly Node[] {
  const keySeed = seedOfKey(key)
  const ranked = nodes
    .map((node) => ({ node, score: rendezvousScore(keySeed, seedOf(node)) }))
    .toSorted((a, b) => b.score - a.score || ((a.node.id ?? '') < (b.node.id ?? '') ? -1 : 1))
    .map(({ node }) => node)
  if (copies === 'all' || copies >= ranked.length) return ranked
  const holders: Node[] = []
  const zones = new Set<string>()
  while (holders.length < copies) {
    const next = ranked.find((node) => !holders.includes(node) && !zones.has(node.zone))
    if (next) {
      holders.push(next)
      zones.add(next.zone)
    } else zones.clear()
  }
  return holders
}
