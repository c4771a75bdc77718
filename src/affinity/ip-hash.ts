import type { Affinity, AffinityOptions, AffinityServer } from './affinity.ts'
import { toHashedBytes } from './client-address.ts'
import { isUsable, markPicked, type Peer, Peers } from './peers.ts'
import { chooseOnce, RoundRobinWalk } from './round-robin.ts'

const HASH_START = 89
const REJECTED_PICKS_MAX = 20

/**
 * nginx's `ip_hash`, bit for bit: a client keeps its server while that one is usable. IPv4 clients of one /24 share a
 * server; of an IPv6 address every bit counts, and `::ffff:192.0.2.1` counts as IPv6.
 *
 * `choose` and `begin` take an IPv4 or IPv6 address, with or without a zone, or `unix:` for a client on a Unix
 * socket, and throw a `TypeError` for anything else.
 *
 * ```ts
 * import { ipHash } from 'sojourn/affinity'
 *
 * const servers = ipHash([{ name: 'a', weight: 2 }, { name: 'b' }, { name: 'c', down: true }])
 * const name = servers.choose('192.0.2.17')?.name
 * ```
 *
 * @throws TypeError when `servers` is empty, repeats a name, or has a bad weight, `maxFails` or `failTimeout`.
 */
export function ipHash<S extends AffinityServer>(servers: readonly S[], options: AffinityOptions = {}): Affinity<S> {
  const peers = new Peers(servers, options)
  return {
    servers: [...servers],
    choose: (clientIp) => chooseOnce(new IpHashWalk(peers, clientIp)),
    begin: (clientIp) => new IpHashWalk(peers, clientIp),
    setDown: (name, down) => peers.setDown(name, down),
  }
}

class IpHashWalk<S extends AffinityServer> extends RoundRobinWalk<S> {
  readonly #bytes: readonly number[]
  /** Kept between picks: after a failure the chain goes on from where it was, not from the start. */
  #hash = HASH_START
  #rejectedPicks = 0

  constructor(peers: Peers<S>, clientIp: string) {
    super(peers)
    this.#bytes = toHashedBytes(clientIp)
  }

  protected override pick(nowS: number): Peer<S> | undefined {
    while (this.#rejectedPicks <= REJECTED_PICKS_MAX) {
      for (const byte of this.#bytes) this.#hash = (this.#hash * 113 + byte) % 6271
      const peer = this.#peerAt(this.#hash % this.peers.weightTotal)
      if (!this.tried.has(peer) && isUsable(peer, nowS)) {
        markPicked(peer, nowS)
        return peer
      }
      this.#rejectedPicks += 1
    }
    return super.pick(nowS)
  }

  #peerAt(offset: number): Peer<S> {
    let rest = offset
    for (const peer of this.peers.all) {
      if (rest < peer.weight) return peer
      rest -= peer.weight
    }
    throw new Error('an offset below the total weight always falls on a server')
  }
}
