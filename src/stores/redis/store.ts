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
import type { Duplicate } from './client.ts'
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
import type { OldSessionsDefinition } from './old/old-sessions.ts'
import { openOwnClient } from './own-client.ts'
import { applyScript, endScript, installScript, rewriteScript, type Script } from './scripts.ts'
import type { RedisSource } from './source.ts'

/** Checked options of a store. */
export interface RedisSettings {
  readonly source: RedisSource
  readonly keyPrefix: string
  readonly encrypt: Encrypt
  readonly migrateFrom: OldSessionsDefinition | undefined
}

/** A store on one Redis. Each call is one command about one key, and each may be sent again. */
export class RedisStore implements Store {
  readonly #source: RedisSource
  readonly #keyPrefix: string
  readonly #context: StoreContext
  readonly #atRest: AtRest
  #own: Duplicate | undefined
  #opening: Promise<Link> | undefined
  #link: Link | undefined
  #isServing = false
  #isClosed = false

  readonly oldSessions?: OldSessions
  /** How long an end is remembered at least. */
  readonly #endMs: number

  constructor({ source, keyPrefix, encrypt, migrateFrom }: RedisSettings, context: StoreContext) {
    this.#source = source
    this.#keyPrefix = keyPrefix
    this.#context = context
    this.#atRest = new AtRest(context.keyRing, encrypt)
    this.#endMs = migrateFrom?.lifeMs ?? 0
    if (migrateFrom) {
      this.oldSessions = migrateFrom.open(context, (key, args, script) => this.#reach().send(key, [...args], script))
    }
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
    const reply = await this.#run(applyScript, key, encodeChange(change, this.#toStored(key)))
    return decodeResult(change, reply, (name, stored) => this.#atRest.toValue(key, name, stored).value)
  }

  async end(end: End): Promise<EndResult> {
    const forgetAt = Math.max(end.forgetAt, end.endedAt + this.#endMs)
    return decodeEndResult(await this.#run(endScript, end.key, encodeEnd({ ...end, forgetAt })))
  }

  async install(whole: SessionRecord | Tombstone): Promise<void> {
    if ('endedAt' in whole) await this.end(whole)
    else {
      const args = encodeRecord(whole, this.#context.clock.now(), this.#toStored(whole.key))
      await this.#run(installScript, whole.key, args)
    }
  }

  get stats(): StoreStats {
    return this.#link ? { connection: this.#link.stats } : {}
  }

  async check(): Promise<void> {
    await this.#reach().send(undefined, ['PING'])
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#link?.detach()
    this.#own?.close()
  }

  #toStored(key: string): MapValue {
    return (name, value) => this.#atRest.toStored(key, name, value)
  }

  /** Brings fields into the form in which they are written now. Where it fails, the next read tries again. */
  #rewrite({ key, fields }: SessionRecord, names: ReadonlySet<string>): void {
    const outdated = new Map([...fields].filter(([name]) => names.has(name)))
    this.#run(rewriteScript, key, encodeRewrite(outdated, this.#toStored(key))).catch(() => {})
  }

  #run(script: Script, key: string, args: readonly string[]): Promise<unknown> {
    const name = this.#keyPrefix + key
    return this.#reach().send(name, ['EVALSHA', script.sha, '1', name, ...args], script)
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
