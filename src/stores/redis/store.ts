import { StoreUnavailableError } from '../../core/index.ts'
import type {
  Change,
  ChangeResult,
  SessionRecord,
  Store,
  StoreContext,
  Tombstone,
} from '../../core/index.ts'
import type { Client } from './client.ts'
import { decodeRecord, decodeResult, encodeChange, encodeRecord, encodeTombstone } from './encoding.ts'
import { Link } from './link.ts'
import { applyScript, endScript, installScript, type Script } from './scripts.ts'

/** A client, and how it is opened and closed where it is our own. */
export interface ClientSource {
  /** Called once; the client may still be connecting. */
  make(deadlineMs: number): Promise<Client>
  /** Rejects with the reason why it is not connected. */
  connected(client: Client, deadlineMs: number): Promise<void>
  close(client: Client): void
}

export class RedisStore implements Store {
  readonly #source: ClientSource
  readonly #keyPrefix: string
  readonly #context: StoreContext
  #client: Client | undefined
  #link: Link | undefined
  #isClosed = false

  constructor(source: ClientSource, keyPrefix: string, context: StoreContext) {
    this.#source = source
    this.#keyPrefix = keyPrefix
    this.#context = context
  }

  async ready(): Promise<void> {
  }
}
