import {
  type Application,
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
  USE_FIELD,
  withoutReserved,
} from '../../core/index.ts'
import { Adopter } from './adopter.ts'
import { Envelope } from './envelope.ts'
import { CHUNKS_MAX } from './limits.ts'
import type { OldCookies } from './old-cookies.ts'
import type { Presented, Revocations } from './revocations.ts'

/** The options of a {@link CookieStore}, defaults filled in. */
export interface CookieSettings {
  readonly compress: boolean
  readonly chunks: number
  readonly oldCookies: readonly OldCookies[]
}

/** A session as its client carries it: what is sealed, what was presented with it, and the values of its cookies once it was sealed. */
interface Sealed extends Presented {
  readonly values: readonly string[]
}

/** Keeps no session: they come and go with the requests of their clients. With revocations it knows which have ended. */
export class CookieStore implements Store {
  readonly carried: CarriedSessions
  readonly #context: StoreContext
  readonly #envelope: Envelope
  readonly #revocations: Revocations | undefined
  /** A change that is sent again is answered with its first result. */
  readonly #results = new WeakMap<Change, Promise<ChangeResult>>()

  constructor(settings: CookieSettings, revocations: Revocations | undefined, context: StoreContext) {
    this.#context = context
    const envelope = new Envelope({ ...settings, keyRing: context.keyRing, cookie: context.cookie })
    this.#envelope = envelope
    this.#revocations = revocations
    const adopter = new Adopter(settings.oldCookies, context)
    this.carried = {
      rotates: revocations !== undefined,
      read(key, generation, header): CarriedReading {
        const unpacked = envelope.unpack(key, header)
        if (unpacked.kind !== 'valid') return unpacked
        const carried: Sealed = { ...unpacked.payload, generation, values: [] }
        return { kind: 'valid', carried }
      },
      toSetCookies: (carried, header, lifeMs) => [
        ...envelope.toSetCookies(carried ? (carried as Sealed).values : [], header, lifeMs),
        ...adopter.toClearCookies(header),
      ],
      adopt: (header) => adopter.adopt(header),
    }
  }

  async ready(): Promise<void> {
    await this.#revocations?.open()
  }

  async read(_: string, options: ReadOptions = {}): Promise<SessionRecord | undefined> {
    const carried = options.carried as Sealed | undefined
    if (!carried || !this.#revocations) return carried?.record
    const waiting = this.#revocations.fresh()
    if (waiting) await waiting
    return this.#revocations.present(carried)
  }

  apply(change: Change, carried?: Carried): Promise<ChangeResult> {
    const result = this.#results.get(change) ?? this.#apply(change, carried as Sealed | undefined)
    this.#results.set(change, result)
    return result
  }

  async end(end: End, carried?: Carried): Promise<EndResult> {
    if (this.#revocations) return this.#revocations.end(end, carried as Sealed | undefined)
    if (carried) return 'ended' // its cookies are cleared
    throw unsupported('revoke a session')
  }

  async endUser(user: string, now: number): Promise<void> {
    if (!this.#revocations) throw unsupported('revoke the sessions of a user')
    await this.#revocations.endUser(user, now)
  }

  async endAll(now: number): Promise<void> {
    if (!this.#revocations) throw unsupported('revoke all sessions')
    await this.#revocations.endAll(now)
  }

  async install(): Promise<void> {}

  async check(): Promise<void> {
    await this.#revocations?.check()
  }

  async close(deadlineMs?: number): Promise<void> {
    await this.#revocations?.close(deadlineMs)
  }

  async #apply(change: Change, carried: Sealed | undefined): Promise<ChangeResult> {
    const revocations = this.#revocations
    if (!revocations) {
      // Nobody knows which of two tokens is the newer one, so that there is nothing to rotate, nor a first use of anything.
      if (change.confirm) return { outcome: 'gone' }
      const { rotate: _, ...rest } = change
      return this.#sealed(applyChange(carried?.record, false, rest), rest, 0)
    }
    await revocations.fresh()
    if (!carried) {
      const application = applyChange(undefined, revocations.isEnded(change.key), change)
      return this.#sealed(application, change, revocations.epoch)
    }
    if (!change.login && !change.rotate && !change.confirm && !change.fields?.has(USE_FIELD)) {
      return this.#sealed(applyChange(revocations.present(carried), false, change), change, carried.epoch)
    }
    return revocations.commit(carried, change, (application, epoch) => this.#sealed(application, change, epoch))
  }

  #sealed({ result, record }: Application, change: Change, epoch: number): ChangeResult {
    if (!record || result.outcome !== 'applied') return result
    const payload = {
      record: withoutReserved(record),
      absoluteEnd: record.startedAt + this.#context.absoluteTimeoutMs,
      epoch,
    }
    const generation = change.login ? result.generation : change.generation
    // What only moves its idle end has fitted once, by the settings of another deployment: no read may fail for its size.
    const chunks = hasFields(change) ? undefined : CHUNKS_MAX
    const carried: Sealed = { ...payload, generation, values: this.#envelope.pack(payload, chunks) }
    return { ...result, carried }
  }
}

function hasFields({ fields }: Change): boolean {
  return fields !== undefined && [...fields.keys()].some((name) => name !== USE_FIELD)
}

function unsupported(what: string): SojournError {
  return new SojournError(
    'unsupported',
    501,
    `a session that travels in a cookie is ended only by its client; to ${what} give cookieStore({ revocations: … }) a server store`,
  )
}
