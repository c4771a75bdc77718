import type { PeerRefusal } from '../../core/index.ts'

/** What a peer refused is believed for so long, in milliseconds; it is dialed again at least every second. */
const REFUSED_MS = 5_000

/** Why peers and this node do not get on: the last reason of each kind. */
export class PeerRefusals {
  readonly #last = new Map<PeerRefusal['code'], { readonly reason: string; readonly atMs: number }>()

  /** Strangers may knock at this node's port as they like; who does not open its own door to it is a peer. */
  add({ code, address, reason }: PeerRefusal, peers: readonly string[]): void {
    const isPeer = code === 'clock' || code === 'version' || peers.includes(address)
    if (isPeer) this.#last.set(code, { reason, atMs: performance.now() })
  }

  get reasons(): string {
    return [...this.#last.values()].map(({ reason }) => reason).join('; ')
  }

  get areRecent(): boolean {
    return [...this.#last.values()].some(({ atMs }) => performance.now() - atMs < REFUSED_MS)
  }
}
