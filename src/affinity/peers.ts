import type { AffinityOptions, AffinityServer } from './affinity.ts'

const WEIGHT_MAX = 2 ** 31 - 1
const FAIL_TIMEOUT_DEFAULT_MS = 10_000

/** A server and what nginx remembers of it; times are whole seconds. */
export interface Peer<S> {
  readonly server: S
  readonly weight: number
  readonly maxFails: number
  readonly failTimeoutS: number
  down: boolean
  fails: number
  accessedS: number
  checkedS: number
  currentWeight: number
  effectiveWeight: number
}

/** The servers of one upstream, their state, and the clock that it is counted by. */
export class Peers<S extends AffinityServer> {
  readonly all: readonly Peer<S>[]
  /** Includes servers that are down: marking one down moves no client of another. */
  readonly weightTotal: number
  readonly #now: () => number

  constructor(servers: readonly S[], options: AffinityOptions) {
    if (!Array.isArray(servers) || servers.length === 0) {
      throw new TypeError('servers must name at least one server: [{ name: "a" }]')
    }
    this.all = servers.map((server) => toPeer(server))
    const names = new Set<string>()
    for (const { name } of servers) {
      if (names.has(name)) throw new TypeError(`servers has the name ${JSON.stringify(name)} twice; give each its own`)
      names.add(name)
    }
    this.weightTotal = this.all.reduce((sum, peer) => sum + peer.weight, 0)
    this.#now = options.now ?? (() => performance.now())
  }

  /** Servers that a new request may try. */
  get triesMax(): number {
    return this.all.reduce((count, peer) => count + (peer.down ? 0 : 1), 0)
  }

  nowS(): number {
    return Math.floor(this.#now() / 1000)
  }

  setDown(name: string, down: boolean): void {
    const peer = this.all.find(({ server }) => server.name === name)
    if (!peer) throw new TypeError(`no server is named ${JSON.stringify(name)}`)
    peer.down = down
  }
}

export function isUsable(peer: Peer<unknown>, nowS: number): boolean {
  if (peer.down) return false
  const isFailed = peer.maxFails > 0 && peer.fails >= peer.maxFails
  return !isFailed || nowS - peer.checkedS > peer.failTimeoutS
}

/** A server that is picked after its time-out is on probation: others wait another time-out until it has proved itself. */
export function markPicked(peer: Peer<unknown>, nowS: number): void {
  if (nowS - peer.checkedS > peer.failTimeoutS) peer.checkedS = nowS
}

export function markFailed(peer: Peer<unknown>, nowS: number): void {
  peer.fails += 1
  peer.accessedS = nowS
  peer.checkedS = nowS
  if (peer.maxFails > 0) {
    peer.effectiveWeight = Math.max(0, peer.effectiveWeight - Math.floor(peer.weight / peer.maxFails))
  }
}

export function markSucceeded(peer: Peer<unknown>): void {
  if (peer.accessedS < peer.checkedS) peer.fails = 0
}

function toPeer<S extends AffinityServer>(server: S): Peer<S> {
  const { name, weight = 1, down = false, maxFails = 1, failTimeout = FAIL_TIMEOUT_DEFAULT_MS } = server
  if (typeof name !== 'string' || name === '') throw new TypeError('each server needs a name, a non-empty string')
  const of = `of server ${JSON.stringify(name)}`
  if (!Number.isInteger(weight) || weight < 1 || weight > WEIGHT_MAX) {
    throw new TypeError(`weight ${of} must be a whole number from 1 to ${WEIGHT_MAX}, not ${String(weight)}`)
  }
  if (!Number.isInteger(maxFails) || maxFails < 0) {
    throw new TypeError(`maxFails ${of} must be a whole number of at least 0, not ${String(maxFails)}`)
  }
  if (!Number.isInteger(failTimeout / 1000) || failTimeout < 0) {
    throw new TypeError(`failTimeout ${of} must be whole seconds given in ms, as 10_000, not ${String(failTimeout)}`)
  }
  return {
    server,
    weight,
    down,
    maxFails,
    failTimeoutS: failTimeout / 1000,
    fails: 0,
    // nginx starts at second 0 of the epoch, which is further away than any time-out.
    accessedS: -Infinity,
    checkedS: -Infinity,
    currentWeight: 0,
    effectiveWeight: weight,
  }
}
