import type { TLSSocket } from 'node:tls'
import type { Member, NodeId } from '../protocol/messages.ts'
import type { Ending, Hello } from './connection.ts'
import { dial, type DialError } from './dial.ts'
import { Dialer } from './dialer.ts'
import { ADDRESSES_MAX, LOST_PEER_MS } from './limits.ts'
import type { RefusalLog } from './refusal-log.ts'
import type { WireSecurity } from './security.ts'

export interface DialingOptions {
  readonly security: WireSecurity
  readonly handshakeMs: number
  readonly log: RefusalLog
  /** Carries on with a socket; resolves when its connection ended. */
  carry(socket: TLSSocket, onHello: (hello: Hello) => void): Promise<Ending>
  /** The peers with whom a connection stands. */
  peers(): Member[]
  /** A peer that was lost is dead: its address refuses connections, or is another process's now. */
  onDead(peer: NodeId): void
}

/** Which addresses are dialed: those that are wanted, and for some time the own addresses of peers that were lost. */
export class Dialing {
  readonly #options: DialingOptions
  readonly #dialers = new Map<string, Dialer>()
  /** Who answered at an address last: a peer may be known to itself by another. */
  readonly #peerAt = new Map<string, NodeId>()
  /** What the last attempt told where no connection came about: nobody listens there, or this node itself. */
  readonly #absent = new Map<string, 'refused' | 'self'>()
  readonly #lost = new Map<NodeId, { readonly member: Member; readonly atMs: number }>()
  #wanted: ReadonlySet<string> = new Set()
  #isStopped = false

  constructor(options: DialingOptions) {
    this.#options = options
  }

  want(addresses: Iterable<string>): void {
    this.#wanted = new Set([...addresses].slice(0, ADDRESSES_MAX))
    this.#update()
  }

  /** The wanted addresses of which nothing is known: neither a peer, nor that there is none. */
  unreached(): string[] {
    return [...this.#wanted].filter((address) => !this.#isConnected(address) && !this.#absent.has(address))
  }

  found(peer: Member): void {
    this.#lost.delete(peer.id)
    // Who answers at the address of a lost peer under another id has taken its place.
    this.#bury(({ address }) => address === peer.address)
  }

  lost(peer: Member): void {
    this.#lost.set(peer.id, { member: peer, atMs: performance.now() })
    this.#update()
    for (const dialer of this.#dialers.values()) dialer.wake()
  }

  /** Called from time to time. */
  tick(): void {
    const now = performance.now()
    for (const [id, { atMs }] of this.#lost) if (now - atMs > LOST_PEER_MS) this.#lost.delete(id)
    this.#update()
  }

  stop(): void {
    this.#isStopped = true
    for (const dialer of this.#dialers.values()) dialer.stop()
  }

  #update(): void {
    if (this.#isStopped) return
    const targets = new Set([...this.#wanted, ...[...this.#lost.values()].map(({ member }) => member.address)])
    for (const [address, dialer] of this.#dialers) {
      if (targets.has(address)) continue
      dialer.stop()
      this.#dialers.delete(address)
      this.#peerAt.delete(address)
      this.#absent.delete(address)
    }
    for (const address of targets) {
      if (!this.#dialers.has(address)) this.#dialers.set(address, this.#createDialer(address))
    }
  }

  #createDialer(address: string): Dialer {
    const { security, handshakeMs } = this.#options
    return new Dialer(address, {
      open: (address, signal) => dial(address, security, handshakeMs, signal),
      carry: async (address, socket) => {
        const ending = await this.#options.carry(socket, ({ member }) => this.#peerAt.set(address, member.id))
        if (ending.code === 'self') this.#absent.set(address, 'self')
        else this.#absent.delete(address)
        return ending
      },
      isConnected: (address) => this.#isConnected(address),
      failed: (address, error) => this.#failed(address, error),
    })
  }

  #isConnected(address: string): boolean {
    const known = this.#peerAt.get(address)
    return this.#options.peers().some((peer) => peer.address === address || peer.id === known)
  }

  #failed(address: string, { failure, message }: DialError): void {
    const level = failure === 'secret' ? 'warn' : 'info'
    const facts = { address, reason: message }
    this.#options.log.add(level, `dial ${failure} ${address}`, facts, 'the mesh did not reach an address')
    if (failure !== 'refused') return void this.#absent.delete(address)
    this.#absent.set(address, 'refused')
    const known = this.#peerAt.get(address)
    this.#bury((member) => member.address === address || member.id === known)
    this.#update()
  }

  #bury(isDead: (member: Member) => boolean): void {
    for (const [id, { member }] of this.#lost) {
      if (!isDead(member)) continue
      this.#lost.delete(id)
      this.#options.onDead(id)
    }
  }
}
