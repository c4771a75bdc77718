import { StoreUnavailableError } from '../../core/index.ts'
import type {
  Change,
  ChangeResult,
  End,
  EndResult,
  OldSessions,
  SessionRecord,
  Store,
  StoreContext,
  StoreStats,
  Tombstone,
} from '../../core/index.ts'
import { AtRest, type Encrypt } from './at-rest.ts'
import type { Client, Duplicate } from './client.ts'
import { Commands } from './commands.ts'
import {
  decodeRecord,
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
import type { OldSessionsDefinition } from './old/old-sessions.ts'
import { openOwnClient } from './own-client.ts'
import { Replicas } from './replicas.ts'
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
  #own: Duplicate | undefined
  #opening: Promise<Link> | undefined
  #link: Link | undefined
  #isServing = false
  #isClosed = false

  readonly oldSessions?: OldSessions
  readonly users: RedisUsers
  /** How long an end is remembered at least. */
  readonly #endMs: number

  constructor({ source, keyPrefix, encrypt, migrateFrom, waitReplicas }: RedisSettings, context: StoreContext) {
    this.#source = source
    this.#keyPrefix = keyPrefix
    this.#context = context
    this.#atRest = new AtRest(context.keyRing, encrypt)
    this.#endMs = migrateFrom?.lifeMs ?? 0
    this.users = new RedisUsers(keyPrefix, context, (key, args, script) => this.#reach().send(key, args, script))
    if (migrateFrom) {
      this.oldSessions = migrateFrom.open(context, (key, args, script) => this.#reach().send(key, [...args], script))
    }
    this.#waitReplicas = waitReplicas
    this.#commands = new Commands({
      keyPrefix,
      waitReplicas,
      deadlineMs: context.deadlineMs,
      logger: context.logger,
      send: (...command) => this.#reach().send(...command),
      replicas: () => this.#toReplicas(),
    })
  }

  async ready(): Promise<void> {
    this.#opening ??= this.#open()
    try {
      this.#link = await this.#opening
    } catch (error) {
      this.#opening = undefined
      throw error
    }
    await this.check()
    if (!this.#isServing) await warnOfEviction((args) => this.#reach().send(undefined, args), this.#context.logger)
    this.#isServing = true
  }

  async read(key: string): Promise<SessionRecord | undefined> {
    const name = this.#keyPrefix + key
    const reply = await this.#reach().send(name, ['HGETALL', name])
    const outdated = new Set<string>()
    const record = decodeRecord(key, reply, (field, stored) => {
      const { value, isOutdated } = this.#atRest.toValue(key, field, stored)
      if (isOutdated) outdated.add(field)
      return value
    })
    if (record && outdated.size > 0) this.#rewrite(record, outdated)
    return record
  }

  async apply(change: Change): Promise<ChangeResult> {
    const { key } = change
    const matters = Boolean(change.login ?? change.rotate ?? change.confirm)
    const reply = await this.#commands.apply(key, encodeChange(change, this.#toStored(key)), matters)
    return decodeResult(change, reply, (name, stored) => this.#atRest.toValue(key, name, stored).value)
  }

  async end(end: End): Promise<EndResult> {
    const forgetAt = Math.max(end.forgetAt, end.endedAt + this.#endMs)
    return decodeEndResult(await this.#commands.end(end.key, encodeEnd({ ...end, forgetAt })))
  }

  async install(whole: SessionRecord | Tombstone): Promise<void> {
    if ('endedAt' in whole) await this.end(whole)
    else {
      const { key, user, startedAt } = whole
      if (user !== null) await this.users.enter({ user, key, at: startedAt })
      const args = encodeRecord(whole, this.#context.clock.now(), this.#toStored(whole.key))
      await this.#commands.run(installScript, whole.key, args)
    }
  }

  get stats(): StoreStats {
    const { replication } = this.#commands
    return this.#link ? { connection: this.#link.stats, replication } : { replication }
  }

  async check(): Promise<void> {
    await this.#reach().send(undefined, ['PING'])
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#link?.detach()
    this.#replicas?.close()
    this.#own?.close()
  }

  #toStored(key: string): MapValue {
    return (name, value) => this.#atRest.toStored(key, name, value)
  }

  /** Brings fields into the form in which they are written now. Where it fails, the next read tries again. */
  #rewrite({ key, fields }: SessionRecord, names: ReadonlySet<string>): void {
    const outdated = new Map([...fields].filter(([name]) => names.has(name)))
    this.#commands.run(rewriteScript, key, encodeRewrite(outdated, this.#toStored(key))).catch(() => {})
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

  async #open(): Promise<Link> {
    const { logger, deadlineMs } = this.#context
    if (!('client' in this.#source)) this.#own = await openOwnClient(this.#source, deadlineMs)
    const client = 'client' in this.#source ? this.#source.client : this.#own?.client
    if (!client || this.#isClosed) {
      this.#own?.close()
      throw new StoreUnavailableError('the redis store was closed while it was opened')
    }
    return new Link(client, {
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
