import { randomBytes } from 'node:crypto'
import { type NearCacheStats, type SessionRecord, type StoreContext, StoreUnavailableError } from '../../core/index.ts'
import type { Version } from '../../token/index.ts'
import { Bus } from './bus.ts'
import type { Client, Duplicate } from './client.ts'
import { type Ear, inTime, openEar } from './ear.ts'
import { decodeEnding } from './encoding.ts'
import { Holders, Sweep } from './holders.ts'
import { nodesKey } from './keys.ts'
import { Lease } from './lease.ts'
import type { Announcement, Ending } from './messages.ts'
import { type CopyLimits, NearCache } from './near-cache.ts'
import { announceScript, decodeListed, longestLease, registerScript, withMargin } from './registry.ts'
import type { Script } from './scripts.ts'
import { openTracked, type Tracked } from './tracking.ts'

export interface CoherenceOptions {
  readonly keyPrefix: string
  readonly context: Pick<StoreContext, 'deadlineMs' | 'logger' | 'ended' | 'tokensChanged'>
  /** `undefined`: this node keeps no copies. */
  readonly copies: CopyLimits | undefined
  /** Length of the leases of this fleet. */
  readonly leaseMs: number
  /** How long after its lease a copy may be served while Redis is away; 0: not at all. */
  readonly staleMs: number
  /** Sends a command by the store's link. */
  send(key: string | undefined, args: string[], script?: Script): Promise<unknown>
}

const NO_COPIES = {
  copies: 0,
  bytes: 0,
  hits: 0,
  misses: 0,
  lapses: 0,
  stale: 0,
  invalidations: 0,
  flushes: 0,
  patches: 0,
}

/** What this node knows of sessions beside Redis, and how all nodes keep it true: copies, leases, the bus, and who holds a session. */
export class Coherence {
  readonly #options: CoherenceOptions
  readonly #node = randomBytes(9).toString('base64url')
  readonly #nodesKey: string
  readonly #holders = new Holders()
  readonly #sweep: Sweep
  readonly #bus: Bus
  #ear: Ear | undefined
  #cache: NearCache | undefined
  #lease: Lease | undefined
  #isRegistered = false
  #isClosed = false
  #off: string | undefined = 'the store is not open'

  constructor(options: CoherenceOptions) {
    const { keyPrefix, leaseMs, context } = options
    this.#options = options
    this.#nodesKey = nodesKey(keyPrefix)
    this.#sweep = new Sweep(this.#holders, (key) => this.#ask(key))
    this.#bus = new Bus({
      node: this.#node,
      leaseMs,
      publish: async (message) =>
        decodeListed(await this.#run(announceScript, [this.#busChannel, message, this.#node])),
      acknowledge: (to, message) => options.send(undefined, ['PUBLISH', this.#channelOf(to), message]),
      heard: (announcement) => this.#heard(announcement),
      failed: (error) => context.logger.warn({ store: 'redis', error }, 'other nodes could not be told of a change'),
    })
  }

  get stats(): NearCacheStats {
    return { ...(this.#off === undefined ? {} : { off: this.#off }), ...(this.#cache?.stats ?? NO_COPIES) }
  }

  /** The copies of this node, where it keeps any. */
  get cache(): NearCache | undefined {
    return this.#cache
  }

  /**
   * Opens what it needs beside the connection of the store, which is up.
   *
   * @returns where copies are kept, the client that is to carry all commands from now on
   */
  async open(base: Client): Promise<Pick<Tracked, 'client' | 'close'> | undefined> {
    if (this.#isClosed) throw new StoreUnavailableError('the redis store was closed while it was opened')
    const leases = await this.#options.send(this.#nodesKey, ['HVALS', this.#nodesKey]).catch(() => [])
    this.#bus.learn(longestLease(leases))
    const duplicate = base.duplicate()
    const ear = openEar(duplicate, {
      channels: [this.#busChannel, this.#channelOf(this.#node)],
      heard: (channel, text) =>
        channel === this.#busChannel ? this.#bus.receive(text) : this.#bus.receiveAcknowledgement(text),
      listening: () => this.#askAgain(),
    })
    this.#ear = ear
    try {
      return await this.#openCopies(duplicate, ear)
    } catch (error) {
      ear.close() // another attempt opens one of its own
      throw error
    }
  }

  async #openCopies(duplicate: Duplicate, ear: Ear): Promise<Tracked | undefined> {
    const { context, copies, leaseMs } = this.#options
    const refusal = await inTime(ear.opened, context.deadlineMs)
    if (refusal !== undefined) return this.#without(refusal)
    if (!copies) return this.#without('the option nearCache is false')
    const tracked = await openTracked(duplicate, {
      deadlineMs: context.deadlineMs,
      invalidated: (key) => this.#invalidated(key),
      renewed: () => this.#renewed(),
      doubted: () => this.#cache?.flush(),
    })
    if (typeof tracked === 'string') return this.#without(tracked)
    this.#off = undefined
    this.#cache = new NearCache(copies)
    this.#lease = new Lease(leaseMs, () => this.#round(tracked, ear))
    return tracked
  }

  #without(why: string): undefined {
    const { staleMs, copies, context } = this.#options
    this.#off = why
    if (staleMs > 0) context.logger.warn({ store: 'redis' }, `staleReads has no copies to serve: ${why}`)
    else if (copies && why.startsWith('Redis refuses')) {
      context.logger.warn({ store: 'redis' }, `every read goes to Redis, without a near cache: ${why}`)
    }
  }

  /** A copy that may be served now; see {@link NearCache.serve}. */
  serve(key: string, atLeast: Version | undefined): ReturnType<NearCache['serve']> {
    return this.#lease ? this.#cache?.serve(key, atLeast, this.#lease.isHeld) : undefined
  }

  /** A copy that may be served since Redis is away. */
  serveStale(key: string, atLeast: Version | undefined): SessionRecord | undefined {
    const { staleMs } = this.#options
    return staleMs > 0 && this.#lease?.isWithin(staleMs) ? this.#cache?.serveStale(key, atLeast) : undefined
  }

  /** Sessions are being read. */
  use(): void {
    this.#lease?.use()
  }

  hold(key: string): () => void {
    const giveUp = this.#holders.hold(key)
    this.#sweep.one(key) // it may have ended since it was opened
    return giveUp
  }

  /** The tokens of a session have changed by this node. Resolves when no node serves a copy of before. */
  tokensChanged(key: string): Promise<void> {
    return this.#bus.announce({ key })
  }

  /** A session was ended by this node. Resolves when no node serves a copy of it. */
  ended(key: string, ending: Ending): Promise<void> {
    if (this.#holders.giveUp(key)) this.#options.context.ended(key, ending.user, ending.reason)
    return this.#bus.announce({ key, ending })
  }

  /** A session was not found. Where it has ended, which its node may still be telling, resolves when no node serves a copy of it. */
  async notFound(key: string): Promise<void> {
    const { ending } = await this.#look(key)
    if (ending) await this.ended(key, ending)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#sweep.close()
    this.#lease?.close()
    // Nobody is to wait for a node that is gone.
    if (this.#isRegistered)
      await this.#options.send(this.#nodesKey, ['HDEL', this.#nodesKey, this.#node]).catch(() => {})
    this.#ear?.close()
  }

  async #round(tracked: Tracked, { isListening }: Ear): Promise<boolean> {
    const { epoch } = tracked
    if (epoch === undefined || !isListening) return false
    const { leaseMs } = this.#options
    this.#isRegistered = true
    try {
      await this.#run(registerScript, [this.#node, `${leaseMs}`, `${withMargin(leaseMs)}`])
      await tracked.barrier()
    } catch {
      return false // reads go to Redis, and tell what is wrong with it
    }
    return tracked.epoch === epoch
  }

  #invalidated(name: string | null): void {
    const { keyPrefix } = this.#options
    if (name === null) this.#cache?.flush()
    else if (name.startsWith(keyPrefix)) this.#cache?.invalidate(name.slice(keyPrefix.length))
  }

  #renewed(): void {
    this.#lease?.end()
    this.#cache?.flush()
    this.#askAgain()
  }

  /** What was said while nobody listened is lost. */
  #askAgain(): void {
    this.#sweep.all(this.#cache?.traces() ?? [])
  }

  #heard({ key, ending }: Announcement): void {
    if (ending) return this.#tell(key, ending)
    this.#cache?.invalidate(key)
    if (this.#holders.has(key)) this.#options.context.tokensChanged(key)
  }

  #tell(key: string, { user, reason }: Ending): void {
    const hadCopy = this.#cache?.drop(key) === true
    if (this.#holders.giveUp(key) || hadCopy) this.#options.context.ended(key, user, reason)
  }

  /** Asks what became of a session that this process holds, or lately had a copy of. */
  async #ask(key: string): Promise<void> {
    const { isThere, ending } = await this.#look(key)
    if (isThere) this.#cache?.forgetTrace(key)
    else if (ending) this.#tell(key, ending)
    else if (this.#holders.has(key)) this.#tell(key, { user: null, reason: 'dropped' })
  }

  async #look(key: string): Promise<{ isThere: boolean; ending?: Ending }> {
    const name = this.#options.keyPrefix + key
    const reply = await this.#options.send(name, ['HMGET', name, 'm', 't', 'e'])
    const [meta, tombstone, ending] = Array.isArray(reply) ? reply : []
    if (meta || !tombstone) return { isThere: Boolean(meta) }
    return { isThere: false, ending: decodeEnding(String(ending ?? '')) }
  }

  #run(script: Script, args: string[]): Promise<unknown> {
    const command = ['EVALSHA', script.sha, '1', this.#nodesKey, ...args]
    return this.#options.send(this.#nodesKey, command, script)
  }

  get #busChannel(): string {
    return `${this.#options.keyPrefix}bus`
  }

  #channelOf(node: string): string {
    return `${this.#options.keyPrefix}acks:${node}`
  }
}
