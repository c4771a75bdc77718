import { keyOfSelector } from '../../token/index.ts'
import { endSession } from '../ending.ts'
import type { Engine } from '../engine.ts'
import { SessionSupersededError } from '../errors.ts'
import { fitted } from '../fitting.ts'
import type { Opening } from '../life.ts'
import { REOPENINGS_MAX } from '../limits.ts'
import type { OldSessions } from '../old-sessions.ts'
import { endOf } from '../policy.ts'
import type { SessionRecord } from '../record.ts'
import { withoutReserved } from '../use.ts'
import { Translation } from './translation.ts'
import { Troubles } from './troubles.ts'
import { type Meeting, Twin } from './twin.ts'
import { linkOf } from './view.ts'

/** Takes over the sessions that another library keeps in the same store, and opens ours beside them. */
export class MovingIn<Data extends object> {
  readonly old: OldSessions
  readonly troubles: Troubles
  readonly translation: Translation
  readonly #engine: Engine<Data>

  /** @throws TypeError where no cookie is read */
  constructor(engine: Engine<Data>, old: OldSessions) {
    if (engine.policy.header) throw new TypeError('migrateFrom reads cookies, which a header carrier does not have')
    this.#engine = engine
    this.old = old
    this.troubles = new Troubles(engine)
    this.translation = new Translation(old, this.troubles)
  }

  twinOf(opening: Opening, key: () => string): Twin<Data> {
    return new Twin(this.#engine, this, opening, key)
  }

  /** What a client has that presents no session of ours. */
  async open(header: string): Promise<Opening> {
    const find = async (): Promise<Opening> => {
      const opening = await this.#find(header)
      return (opening && (await fitted(this.#engine, opening))) ?? this.#blank({})
    }
    return this.beside(await find(), header, find)
  }

  /** After another request was faster to take over an old session, or where its session of ours has ended. */
  async openAfter({ origin, token, key }: Opening, header: string): Promise<Opening> {
    if (!origin || !token || key === undefined) return this.#blank({})
    const stored = await this.#read(key, true)
    // Something brought back the old session of one that has ended here.
    if (!stored) await this.#engine.store.call('removeOld', () => this.old.remove(origin.id))
    const opening = stored && (await this.#present(stored, origin.id, token.selector))
    return this.beside(opening ?? (await this.#blank({})), header, () => this.open(header))
  }

  /** Looks at the old session that goes on beside one of ours, and opens ours anew where that changed it. */
  async beside(first: Opening, header: string, again: () => Promise<Opening>): Promise<Opening> {
    let opening = first
    for (let reopenings = 0; opening.link; reopenings++) {
      const { link } = opening
      const { meeting, twin } = await this.#meet(opening, header)
      if (meeting === 'superseded') return this.#superseded(opening.key ?? '')
      if (meeting === 'ended') {
        return this.old.idIn(header) === link.id ? this.#blank({ isPresented: true }) : this.open(header)
      }
      if (meeting === 'same' || reopenings === REOPENINGS_MAX) return { ...opening, twin: twin as Twin<never> }
      opening = { ...(await again()), isToCarry: true } // so that no copy from before serves the client's next request
      if (typeof meeting === 'object' && opening.record) return { ...opening, userThere: meeting.user }
    }
    return opening
  }

  /** An old cookie names one session of ours for ever, so that all requests that come with it at once get the same. */
  async #find(header: string): Promise<Opening | undefined> {
    const id = this.old.idIn(header)
    if (id === undefined) return undefined
    const selector = this.old.selectorOf(id)
    const key = keyOfSelector(selector)
    const stored = await this.#read(key, false)
    if (stored) return this.#present(stored, id, selector)
    const text = await this.#engine.store.call('readOld', () => this.old.read(id))
    const found = text === undefined ? undefined : this.translation.adopted(text, id)
    if (text === undefined || !found) return undefined
    const { fields, adopted } = found
    return this.#blank({ token: { selector }, key, adopted, origin: { id, text, fields } })
  }

  /**
   * An old cookie stands for the session that it is linked with, as that is now. From before a login it is no more than an
   * old token.
   */
  async #present(stored: SessionRecord, id: string, selector: Buffer): Promise<Opening | undefined> {
    const { policy, clock } = this.#engine
    if (endOf(policy, stored) <= clock.now()) return undefined
    const { key, generation } = stored
    const link = linkOf(stored)
    if (link?.id !== id) return this.#superseded(key)
    const opening = { isPresented: true, token: { selector }, key, generation, record: withoutReserved(stored), link }
    // Once the token was rotated, who holds it is told apart from others by it, and nobody is given it anew.
    return this.#blank(generation === stored.floor ? { ...opening, isCurrent: true, given: generation } : opening)
  }

  /** Before a session of ours ends that no request has open. */
  async leave(record: SessionRecord): Promise<void> {
    const link = linkOf(record)
    if (link) await this.#engine.store.call('removeOld', () => this.old.remove(link.id))
  }

  async #meet(opening: Opening, header: string): Promise<{ meeting: Meeting | 'superseded'; twin: Twin<Data> }> {
    const { key = '', generation, record } = opening
    const twin = this.twinOf(opening, () => key)
    const meeting = await twin.meet(this.old.idIn(header), opening.isUsed ?? false)
    if (meeting !== 'ended') return { meeting, twin }
    const end = { key, user: record?.user ?? null, reason: 'logout' as const, generation: generation ?? 1 }
    const result = await this.#engine.turns.run(key, () => endSession(this.#engine, end))
    return { meeting: result === 'superseded' ? 'superseded' : 'ended', twin }
  }

  #superseded(key: string): Promise<Opening> {
    this.#engine.events.emit('superseded', { key })
    return this.#blank({ key, detached: () => new SessionSupersededError() })
  }

  async #blank(rest: Omit<Opening, 'initial'>): Promise<Opening> {
    return { ...rest, initial: await this.#engine.initial() }
  }

  #read(key: string, fresh: boolean): Promise<SessionRecord | undefined> {
    this.#engine.assertOpen()
    return this.#engine.store.call('read', (store) => store.read(key, { fresh }))
  }
}
