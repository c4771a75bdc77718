import type { Affinity, AffinityOptions, AffinityServer, AffinityWalk } from './affinity.ts'
import { isUsable, markFailed, markPicked, markSucceeded, type Peer, Peers } from './peers.ts'

/**
 * nginx's default: smooth weighted round robin. A server of weight 3 gets three requests of each round, spread
 * out and not in a row; a failed server wins its weight back by and by. No client stays with a server.
 *
 * @throws TypeError when `servers` is empty, repeats a name, or has a bad weight, `maxFails` or `failTimeout`.
 */
export function roundRobin<S extends AffinityServer>(
  servers: readonly S[],
  options: AffinityOptions = {},
): RoundRobin<S> {
  const peers = new Peers(servers, options)
  return {
    servers: [...servers],
    choose: () => chooseOnce(new RoundRobinWalk(peers)),
    begin: () => new RoundRobinWalk(peers),
    setDown: (name, down) => peers.setDown(name, down),
  }
}

/** An {@link Affinity} that does not look at the client's address. */
export interface RoundRobin<S extends AffinityServer> extends Affinity<S> {
  choose(clientIp?: string): S | undefined
  begin(clientIp?: string): AffinityWalk<S>
}

/** One request's walk by round robin; a hash overrides `pick` and comes back here when it finds nothing. */
export class RoundRobinWalk<S extends AffinityServer> implements AffinityWalk<S> {
  protected readonly peers: Peers<S>
  protected readonly tried: Set<Peer<S>> = new Set()
  #triesLeft: number
  #isEnded = false
  #current: Peer<S> | undefined

  constructor(peers: Peers<S>) {
    this.peers = peers
    this.#triesLeft = peers.triesMax
  }

  next(): S | undefined {
    if (this.#current) throw new Error('report failed() or succeeded() of the last server before asking for the next')
    if (this.#isEnded) return undefined
    const peer = this.pick(this.peers.nowS())
    if (!peer) {
      this.#isEnded = true
      return undefined
    }
    this.#current = peer
    this.tried.add(peer)
    return peer.server
  }

  failed(): void {
    const peer = this.#takeCurrent()
    // A lone server is never left alone: there is nobody else to go to.
    if (this.peers.all.length > 1) markFailed(peer, this.peers.nowS())
    this.#triesLeft -= 1
    if (this.#triesLeft <= 0) this.#isEnded = true
  }

  succeeded(): void {
    const peer = this.#takeCurrent()
    markSucceeded(peer)
    this.#isEnded = true
  }

  protected pick(nowS: number): Peer<S> | undefined {
    let best: Peer<S> | undefined
    let total = 0
    for (const peer of this.peers.all) {
      if (this.tried.has(peer) || !isUsable(peer, nowS)) continue
      peer.currentWeight += peer.effectiveWeight
      total += peer.effectiveWeight
      if (peer.effectiveWeight < peer.weight) peer.effectiveWeight += 1
      if (!best || peer.currentWeight > best.currentWeight) best = peer
    }
    if (!best) return undefined
    best.currentWeight -= total
    markPicked(best, nowS)
    return best
  }

  #takeCurrent(): Peer<S> {
    const peer = this.#current
    if (!peer) throw new Error('no outcome is due: call next() first, and report once')
    this.#current = undefined
    return peer
  }
}

export function chooseOnce<S extends AffinityServer>(walk: AffinityWalk<S>): S | undefined {
  const server = walk.next()
  if (server) walk.succeeded()
  return server
}
