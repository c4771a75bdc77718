import {
  applyChange,
  type Carried,
  type CarriedReading,
  type CarriedSessions,
  type Change,
  type ChangeResult,
  type End,
  type EndResult,
  type ReadOptions,
  type SessionRecord,
  SojournError,
  type Store,
  type StoreContext,
} from '../../core/index.ts'
import { Envelope } from './envelope.ts'
import type { Payload } from './payload.ts'

/** The options of a {@link CookieStore}, defaults filled in. */
export interface CookieSettings {
  readonly compress: boolean
  readonly chunks: number
}

/** A session as its client carries it: what is sealed, and once it was sealed the values of its cookies. */
interface Sealed extends Carried, Payload {
  readonly values: readonly string[]
}

/** Keeps nothing: sessions come and go with the requests of their clients. */
export class CookieStore implements Store {
  readonly carried: CarriedSessions
  readonly #context: StoreContext
  readonly #envelope: Envelope

  constructor(settings: CookieSettings, context: StoreContext) {
    this.#context = context
    const envelope = new Envelope({ ...settings, keyRing: context.keyRing, cookie: context.cookie })
    this.#envelope = envelope
    this.carried = {
      read(key, header): CarriedReading {
        const unpacked = envelope.unpack(key, header)
        return unpacked.kind === 'valid'
          ? { kind: 'valid', carried: { ...unpacked.payload, values: [] } as Sealed }
          : unpacked
      },
      toSetCookies: (carried, header) => envelope.toSetCookies(carried ? (carried as Sealed).values : [], header),
    }
  }

  async ready(): Promise<void> {}

  async read(_: string, options: ReadOptions = {}): Promise<SessionRecord | undefined> {
    return options.carried?.record
  }

  async apply(change: Change, carried?: Carried): Promise<ChangeResult> {
    // Nobody knows which of two tokens is the newer one, so that there is nothing to rotate, nor a first use of anything.
    if (change.confirm) return { outcome: 'gone' }
    const { rotate: _, ...rest } = change
    const { result, record } = applyChange(carried?.record, false, rest)
    return record && result.outcome === 'applied' ? { ...result, carried: this.#seal(record) } : result
  }

  async end(_: End, carried?: Carried): Promise<EndResult> {
    if (carried) return 'ended' // its cookies are cleared
    throw new SojournError(
      'unsupported',
      501,
      'a session that travels in a cookie is ended only by its client; to revoke sessions give cookieStore({ revocations: … }) a server store',
    )
  }

  async install(): Promise<void> {}

  async check(): Promise<void> {}

  async close(): Promise<void> {}

  #seal(record: SessionRecord): Sealed {
    const payload = { record, absoluteEnd: record.startedAt + this.#context.absoluteTimeoutMs, epoch: 0 }
    return { ...payload, values: this.#envelope.pack(payload) }
  }
}
