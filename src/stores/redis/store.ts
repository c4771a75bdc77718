import { StoreUnavailableError } from '../../core/index.ts'
import type {
  Change,
  ChangeResult,
  End,
  EndResult,
  SessionRecord,
  Store,
  StoreContext,
  StoreStats,
  Tombstone,
} from '../../core/index.ts'
import type { Duplicate } from './client.ts'
import { decodeRecord, decodeResult, decodeEndResult, encodeChange, encodeEnd, encodeRecord } from './encoding.ts'
import { Link } from './link.ts'
import { openOwnClient } from './own-client.ts'
import { applyScript, endScript, installScript, type Script } from './scripts.ts'
import type { RedisSource } from './source.ts'

/** A store on one Redis. Each call is one command about one key, and each may be sent again. */
export class RedisStore implements Store {
  readonly #source: RedisSource
  readonly #keyPrefix: string
  readonly #context: StoreContext
  #own: Duplicate | undefined
  #opening: Promise<Link> | undefined
  #link: Link | undefined
  #isServing = false
  #isClosed = false

  constructor(source: RedisSource, keyPrefix: string, context: StoreContext) {
    this.#source = source
    this.#keyPrefix = keyPrefix
    this.#context = context
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
    return decodeRecord(key, await this.#reach().send(name, ['HGETALL', name]))
  }

  async apply(change: Change): Promise<ChangeResult> {
    return decodeResult(await this.#run(applyScript, change.key, encodeChange(change)))
  }

  async end(end: End): Promise<EndResult> {
    return decodeEndResult(await this.#run(endScript, end.key, encodeEnd(end)))
  }

  async install(whole: SessionRecord | Tombstone): Promise<void> {
    if ('endedAt' in whole) await this.end(whole)
    else await this.#run(installScript, whole.key, encodeRecord(whole, this.#context.clock.now()))
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
