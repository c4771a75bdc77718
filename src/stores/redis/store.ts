import { StoreUnavailableError } from '../../core/index.ts'
import type {
  Change,
  ChangeResult,
  End,
  EndResult,
  OldSessions,
  ReadOptions,
  SessionRecord,
  Store,
  StoreContext,
  StoreStats,
  Tombstone,
} from '../../core/index.ts'
import type { Version } from '../../token/index.ts'
import { AtRest, type Encrypt } from './at-rest.ts'
import type { Client } from './client.ts'
import { Coherence } from './coherence.ts'
import { Commands } from './commands.ts'
import {
  after,
  decodeStored,
  decodeResult,
  decodeEndResult,
  encodeChange,
  encodeEnd,
  encodeRecord,
  encodeRewrite,
  type MapValue,
} from './encoding.ts'
import { Link } from './link.ts'
import { warnOfEviction } from './eviction.ts'
import type { CopyLimits } from './near-cache.ts'
import type { OldSessionsDefinition } from './old/old-sessions.ts'
import { openOwnClient } from './own-client.ts'
import { Replicas } from './replicas.ts'
import { assertRights } from './rights.ts'
import { installScript, rewriteScript } from './scripts.ts'
import type { RedisSource } from './source.ts'
import { RedisUsers } from './users.ts'

/** Checked options of a store. */
export interface RedisSettings {
  readonly source: RedisSource
  readonly keyPrefix: string
  readonly encrypt: Encrypt
  readonly migrateFrom: OldSessionsDefinition | undefined
  readonly waitReplicas: number
  /** `undefined`: there is no near cache. */
  readonly copies: CopyLimits | undefined
  readonly leaseMs: number
  /** How long after its lease a copy may be served while Redis is away; 0: not at all. */
  readonly staleMs: number
}

/** A store on one Redis. Each call is one command about one key, and each may be sent again. */
export class RedisStore implements Store {
  readonly #source: RedisSource
  readonly #keyPrefix: string
  readonly #context: StoreContext
  readonly #atRest: AtRest
  readonly #waitReplicas: number
  readonly #commands: Commands
  #replicas: Replicas | undefined
  readonly #coherence: Coherence
  /** The client of our own that carries the commands, where it is ours. */
  #own: { readonly client: Client; close(): void } | undefined
  #opening: Promise<void> | undefined
  #joining: Promise<void> | undefined
  #link: Link | undefined
  #isServing = false
  #isClosed = false

  readonly oldSessions?: OldSessions
  readonly users: RedisUsers
  /** How long an end is remembered at least. */
  readonly #endMs: number

  constructor(settings: RedisSettings, context: StoreContext) {
    const { source, keyPrefix, encrypt, migrateFrom, waitReplicas, copies, leaseMs, staleMs } = settings
    // It rejects and never throws: a message on the bus may still come when the store is closed.
    const send: Link['send'] = async (...command) => this.#reach().send(...command)
    this.#source = source
    this.#keyPrefix = keyPrefix
    this.#context = context
    this.#atRest = new AtRest(context.keyRing, encrypt)
    this.#endMs = migrateFrom?.lifeMs ?? 0
    if (migrateFrom) {
      this.oldSessions = migrateFrom.open(context, (key, args, script) => send(key, [...args], script))
    }
    this.#waitReplicas = waitReplicas
    this.#commands = new Commands({
      keyPrefix,
      waitReplicas,
      deadlineMs: context.deadlineMs,
      logger: context.logger,
      send,
      replicas: () => this.#toReplicas(),
    })
    this.users = new RedisUsers({
      keyPrefix,
      absoluteTimeoutMs: context.absoluteTimeoutMs,
      send,
      replicated: (...answer) => this.#commands.replicated(...answer),
    })
    this.#coherence = new Coherence({ keyPrefix, context, copies, leaseMs, staleMs, send })
  }

  async ready(): Promise<void> {
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = undefined
      throw error
    })
    await this.#opening
    await this.check()
    this.#joining ??= this.#join().catch((error: unknown) => {
      this.#joining = undefined
      throw error
    })
    await this.#joining
    if (!this.#isServing) {
      await assertRights((...command) => this.#reach().send(...command), this.#keyPrefix)
      await warnOfEviction((args) => this.#reach().send(undefined, args), this.#context.logger)
    }
    this.#isServing = true
  }

  async read(key: string, options: ReadOptions = {}): Promise<SessionRecord | undefined> {
    const copy = options.fresh ? undefined : this.#coherence.serve(key, options.atLeast)
    if (copy !== undefined) return copy ?? undefined
    this.#coherence.use()
    const stale = (): SessionRecord | undefined =>
      this.#link?.isOut && !options.fresh ? this.#coherence.serveStale(key, options.atLeast) : undefined
    try {
      const found = stale() ?? (await this.#readAndKeep(key))
      // Who is about to end it, and finds that another has, may not be done before that one.
      if (!found && options.fresh) await this.#coherence.notFound(key)
      return found
    } catch (error) {
      const found = stale() // Redis may have gone away meanwhile
      if (found) return found
      throw error
    }
  }

  async #readAndKeep(key: string): Promise<SessionRecord | undefined> {
    const { cache } = this.#coherence
    const reading = cache?.beginRead(key)
    let stored: SessionRecord | null | undefined
    try {
      stored = (await this.#readStored(key)) ?? null
      return stored ?? undefined
    } finally {
      if (reading) cache?.endRead(reading, stored)
    }
  }

  copy(key: string, atLeast?: Version): SessionRecord | undefined {
    return this.#coherence.serve(key, atLeast) ?? undefined
  }

  async apply(change: Change): Promise<ChangeResult> {
    const { key } = change
    const matters = Boolean(change.login ?? change.rotate ?? change.confirm)
    const args = encodeChange(change, this.#toStored(key))
    const result = await this.#write(
      key,
      () => this.#commands.apply(key, args, matters),
      (reply) => decodeResult(change, reply, (name, text) => this.#atRest.toValue(key, name, text).value),
      (copy, result) => after(copy, change, result),
    )
    if (matters && !change.create && result.outcome === 'applied') await this.#coherence.tokensChanged(key)
    return result
  }

  async end(end: End): Promise<EndResult> {
    const { key } = end
    const args = encodeEnd({ ...end, forgetAt: Math.max(end.forgetAt, end.endedAt + this.#endMs) })
    const { result, ending } = await this.#write(key, () => this.#commands.end(key, args), decodeEndResult)
    // Another may have ended it, or logged in, and be telling that still.
    await (result === 'superseded' ? this.#coherence.tokensChanged(key) : this.#coherence.ended(key, ending))
    return result
  }

  async install(whole: SessionRecord | Tombstone): Promise<void> {
    if ('endedAt' in whole) return void (await this.end(whole))
    const { key, user, startedAt } = whole
    if (user !== null) await this.users.enter({ user, key, at: startedAt })
    const args = encodeRecord(whole, this.#context.clock.now(), this.#toStored(key))
    await this.#write(
      key,
      () => this.#commands.run(installScript, key, args),
      () => {},
    )
    await this.#coherence.tokensChanged(key)
  }

  hold(key: string): () => void {
    return this.#coherence.hold(key)
  }

  get stats(): StoreStats {
    const { replication } = this.#commands
    const nearCache = this.#coherence.stats
    return { replication, nearCache, ...(this.#link ? { connection: this.#link.stats } : {}) }
  }

  async check(): Promise<void> {
    await this.#reach().send(undefined, ['PING'])
  }

  async close(): Promise<void> {
    await this.#coherence.close()
    this.#isClosed = true
    this.#link?.detach()
    this.#replicas?.close()
    this.#own?.close()
  }

  async #readStored(key: string): Promise<SessionRecord | undefined> {
    const name = this.#keyPrefix + key
    const reply = await this.#reach().send(name, ['HGETALL', name])
    const outdated = new Set<string>()
    const stored = decodeStored(key, reply, (field, text) => {
      const { value, isOutdated } = this.#atRest.toValue(key, field, text)
      if (isOutdated) outdated.add(field)
      return value
    })
    if (stored && outdated.size > 0) this.#rewrite(stored, outdated)
    return stored
  }

  #toStored(key: string): MapValue {
    return (name, value) => this.#atRest.toStored(key, name, value)
  }

  /** Brings fields into the form in which they are written now. Where it fails, the next read tries again. */
  #rewrite({ key, fields }: SessionRecord, names: ReadonlySet<string>): void {
    const outdated = new Map([...fields].filter(([name]) => names.has(name)))
    const args = encodeRewrite(outdated, this.#toStored(key))
    this.#write(
      key,
      () => this.#commands.run(rewriteScript, key, args),
      () => {},
    ).catch(() => {})
  }

  /**
   * Every change of a session is sent by this: its copy follows, or is dropped.
   *
   * @param follow what the change has made of a copy. Default: that is not known
   */
  async #write<Reply, T>(
    key: string,
    sent: () => Promise<Reply>,
    decode: (reply: Reply) => T,
    follow?: (copy: SessionRecord, result: T) => SessionRecord | undefined,
  ): Promise<T> {
    const { cache } = this.#coherence
    let next: ((copy: SessionRecord) => SessionRecord | undefined) | undefined
    const refusal = this.#reach().refusal(this.#keyPrefix + key)
    if (refusal) throw refusal // nothing is sent, so that the copy stays
    cache?.beginWrite(key)
    try {
      const result = decode(await sent())
      next = (copy) => follow?.(copy, result)
      return result
    } finally {
      cache?.endWrite(key, next)
    }
  }

  #toReplicas(): Replicas {
    const { client } = this.#source as { client?: Client }
    const base = client ?? this.#own?.client
    if (!base) throw new StoreUnavailableError('the redis store is not open')
    return (this.#replicas ??= new Replicas(base, {
      keyPrefix: this.#keyPrefix,
      count: Math.max(this.#waitReplicas, 1),
    }))
  }

  #reach(): Link {
    if (!this.#link || this.#isClosed) throw new StoreUnavailableError('the redis store is not open')
    return this.#link
  }

  async #open(): Promise<void> {
    if (!('client' in this.#source)) this.#own = await openOwnClient(this.#source, this.#context.deadlineMs)
    const client = 'client' in this.#source ? this.#source.client : this.#own?.client
    if (client) this.#connect(client)
  }

  /** Copies need a connection that is told of changes, and then every command goes over that one. */
  async #join(): Promise<void> {
    const client = 'client' in this.#source ? this.#source.client : this.#own?.client
    const tracked = client && (await this.#coherence.open(client))
    if (!tracked) return
    this.#own?.close()
    this.#own = tracked
    this.#connect(tracked.client)
  }

  #connect(client: Client): void {
    if (this.#isClosed) {
      this.#own?.close()
      throw new StoreUnavailableError('the redis store was closed while it was opened')
    }
    const { logger, deadlineMs } = this.#context
    this.#link?.detach()
    this.#link = new Link(client, {
      deadlineMs,
      wentAway: (error) => {
        if (this.#isServing) logger.warn({ store: 'redis', error }, `cannot use Redis: ${error.message}`)
      },
      cameBack: () => {
        if (this.#isServing) logger.info({ store: 'redis' }, 'Redis can be used again')
      },
    })
  }
}
