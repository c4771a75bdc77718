import { compareVersions } from '../../token/index.ts'
import type { Engine } from '../engine.ts'
import type { Opening } from '../life.ts'
import { UNITE_TRIES_MAX } from '../limits.ts'
import type { OldSessions } from '../old-sessions.ts'
import type { SessionRecord } from '../record.ts'
import type { Change, ChangeResult } from '../store.ts'
import { LINK_FIELD, lineFieldOf } from '../use.ts'
import { baseOf, extended } from './merge.ts'
import type { MovingIn } from './moving-in.ts'
import type { ChangesThere, Comparison, Translation } from './translation.ts'
import { isNext, type Link, type View, viewAfter, viewOf } from './view.ts'

/** What came of looking at the old session when ours was opened. */
export type Meeting =
  | 'same'
  /** What changed there was taken over. */
  | 'changed'
  /** It was ended there. */
  | 'ended'
  /** Another user, or nobody, is logged in there now. */
  | { readonly user: string | null }

/** What a change will have made of the link. */
interface NextLink {
  readonly link: Link | undefined
  /** Of an old session that was made for it. */
  readonly text?: string
  /** The old session that is left behind. */
  readonly leaves?: string
}

/**
 * One request's hold of a session of another library that goes on beside ours until no server of that kind is left.
 *
 * - It exists as long as ours does: whoever ends one ends the other, and its time to live follows ours with each change.
 * - Where it is mirrored, each change of ours is written into it before it is acknowledged, and what changes there is
 *   taken over when ours is opened. Both sides are compared field by field with the state that they had last in common.
 *   That state travels in the old session itself (`merge.ts`), so that it is one with what is compared with it.
 * - What is taken over is written on the condition that our field is as it was before the old session was read; what is
 *   mirrored, on the condition that the old session is as it was before ours was read. So no order of requests of
 *   whichever servers loses a change of ours that was acknowledged, nor one of theirs to another field.
 */
export class Twin<Data extends object> {
  readonly #engine: Engine<Data>
  readonly #moving: MovingIn<Data>
  readonly #old: OldSessions
  readonly #translation: Translation
  readonly #key: () => string
  #link: Link | undefined
  /** The old session that is taken over, until it is. */
  #origin: Opening['origin']
  /** Of the linked one, as it was last read or written here. */
  #text: string | undefined
  #view: View | undefined
  #next: NextLink | undefined
  /** What the client is to be told of its old cookie. */
  #cookie: string | undefined

  constructor(engine: Engine<Data>, moving: MovingIn<Data>, opening: Opening, key: () => string) {
    this.#engine = engine
    this.#moving = moving
    this.#old = moving.old
    this.#translation = moving.translation
    this.#key = key
    this.#link = opening.link
    this.#origin = opening.origin
    if (opening.record) this.#see(opening.record)
  }

  /** What is to be written with a change that begins a session or logs in, for which the old cookie must change too. */
  async prepare(change: Change, selector: Buffer | undefined): Promise<Change> {
    this.#next = change.create || change.login ? await this.#nextLink(change, selector) : undefined
    if (!this.#next) return change
    const { link } = this.#next
    return { ...change, fields: new Map(change.fields).set(LINK_FIELD, link ? JSON.stringify(link) : null) }
  }

  async #nextLink(change: Change, selector: Buffer | undefined): Promise<NextLink | undefined> {
    const { isMirrored } = this.#old
    if (change.create && this.#origin) {
      const { id, fields } = this.#origin
      return { link: isMirrored ? { id, base: Object.fromEntries(baseOf(fields)) } : { id } }
    }
    const left = change.create ? undefined : this.#link
    const leaves = left ? { leaves: left.id } : {}
    const made = isMirrored && selector ? await this.#made(change, this.#old.createId(selector)) : undefined
    if (made) return { ...made, ...leaves }
    return left ? { link: undefined, ...leaves } : undefined
  }

  /** A new old session, which is there before ours can be linked with it. */
  async #made(change: Change, id: string): Promise<NextLink | undefined> {
    const cookie = this.#translation.decoded(this.#text)?.cookie ?? this.#old.createCookie()
    const view = viewAfter(change, this.#view)
    const text = this.#translation.encoded(view, { cookie, fields: new Map() }, id)
    if (text === undefined) return undefined
    await this.#call('putOld', () => this.#old.put(id, text, change.expiresAt - change.now))
    return { link: { id }, text }
  }

  /** After a change was sent: the old session follows one that was applied, before anybody is told. */
  async follow(change: Change, result: ChangeResult): Promise<void> {
    const next = this.#next
    this.#next = undefined
    if (result.outcome !== 'applied') {
      if (next?.text !== undefined && next.link) await this.#remove(next.link.id)
      return
    }
    const before = this.#view
    this.#view = { ...viewAfter(change, before), version: result.version }
    if (next) await this.#turnTo(next)
    if (!this.#link) return
    if (!this.#old.isMirrored) return this.#touch()
    const isExact = change.create === true || (before !== undefined && isNext(before.version, result.version))
    if (isExact && (next?.text !== undefined || (await this.#mirror()))) return
    await this.#unite()
  }

  async #turnTo({ link, text, leaves }: NextLink): Promise<void> {
    this.#link = link
    if (!this.#origin) this.#cookie = link ? this.#toSetCookie(link, text) : this.#old.toClearCookie()
    this.#text = text ?? this.#origin?.text
    this.#origin = undefined
    if (leaves !== undefined) await this.#remove(leaves)
  }

  /** Looks at the old session, now that ours is open. */
  async meet(presentedId: string | undefined, isUsed: boolean): Promise<Meeting> {
    const link = this.#link
    if (!link || !this.#view) return 'same'
    this.#text = await this.#readThere(link)
    if (this.#text === undefined) return 'ended'
    if (isUsed) await this.#touch()
    if (!this.#old.isMirrored) return 'same'
    if (presentedId !== link.id) this.#cookie = this.#toSetCookie(link, this.#text)
    const found = this.#translation.compared(this.#text, link, this.#view)
    if (!found) return 'same'
    // At first all requests of a page find that it lacks what is new here; who took it over is writing that.
    const isBehind = found.isBehind && (found.isMarked || this.#view.version.sequence > 1)
    if (found.taken.size === 0 && !isBehind) return 'same'
    const { version } = this.#view
    const meeting = await this.#engine.turns.run(this.#key(), () => this.#unite())
    // Or ours was a copy from before.
    return meeting === 'same' && compareVersions(version, this.#view.version) !== 0 ? 'changed' : meeting
  }

  /** Before ours ends. */
  async leave(): Promise<void> {
    if (this.#link) await this.#remove(this.#link.id)
    if (this.#link || this.#old.isMirrored) this.#cookie = this.#old.toClearCookie()
  }

  /** The session of this request is another one from now on, that is not stored yet. */
  becomeNew(): void {
    this.#link = undefined
    this.#origin = undefined
    this.#text = undefined
    this.#view = undefined
  }

  /** Our record was read again. */
  reread(record: SessionRecord): void {
    this.#see(record)
  }

  get hasCookie(): boolean {
    return this.#cookie !== undefined
  }

  takeCookie(): string | undefined {
    const cookie = this.#cookie
    this.#cookie = undefined
    return cookie
  }

  /** Brings both sides together. Within a turn of our key. */
  async #unite(): Promise<Meeting> {
    const link = this.#link
    let meeting: Meeting = 'same'
    if (!link) return meeting
    for (let tries = 0; tries < UNITE_TRIES_MAX; tries++) {
      const here = await this.#readHere()
      const text = here && (await this.#readThere(link))
      if (!here || text === undefined) return meeting
      const found = this.#translation.compared(text, link, this.#see(here))
      const changes = found && this.#translation.changesBy(found)
      if (!changes) return meeting
      if (!(await this.#take(here, found, changes))) continue
      if (changes.fields.size > 0) meeting = 'changed'
      if (changes.user !== undefined) return { user: changes.user }
      const now = await this.#readHere()
      if (!now) return meeting
      this.#see(now)
      this.#text = text
      if (await this.#mirror()) return meeting
    }
    this.#moving.troubles.tell('busy')
    return meeting
  }

  /** @returns whether our fields were still as they are in this record */
  async #take(here: SessionRecord, { ours, taken }: Comparison, { fields }: ChangesThere): Promise<boolean> {
    const { store, clock } = this.#engine
    for (const [name, value] of fields) {
      const line = extended(this.#view?.lines.get(name), ours.get(name), taken.get(name))
      const lines = taken.has(name) ? [[lineFieldOf(name), JSON.stringify(line)] as const] : []
      const change: Change = {
        key: here.key,
        operation: this.#engine.nextOperation(),
        now: clock.now(),
        expiresAt: here.expiresAt,
        unattended: true,
        generation: here.generation,
        fields: new Map([[name, value], ...lines]),
        expect: { field: name, stamp: here.fields.get(name)?.stamp ?? null },
      }
      const { outcome } = await store.call('apply', (store) => store.apply(change))
      if (outcome !== 'applied') return false
    }
    return true
  }

  /** Writes ours, as this request knows it, over the old session as it was read before. @returns whether that was still so */
  async #mirror(): Promise<boolean> {
    const [link, view, before] = [this.#link, this.#view, this.#text]
    if (!link || !view || before === undefined) return false
    const old = this.#translation.decoded(before)
    const text = old && this.#translation.encoded(view, old, link.id)
    if (text === undefined) return true // which was told
    const isWritten = await this.#call('replaceOld', () => this.#old.replace(link.id, before, text, this.#lifeMs()))
    if (isWritten) this.#text = text
    return isWritten
  }

  #toSetCookie({ id }: Link, text: string | undefined): string {
    return this.#old.toSetCookie(id, this.#translation.decoded(text)?.cookie ?? this.#old.createCookie())
  }

  #see(record: SessionRecord): View {
    return (this.#view = viewOf(record, this.#engine.policy))
  }

  #lifeMs(): number {
    return Math.max(1, (this.#view?.expiresAt ?? 0) - this.#engine.clock.now())
  }

  async #touch(): Promise<void> {
    const link = this.#link
    if (link) await this.#call('touchOld', () => this.#old.touch(link.id, this.#lifeMs()))
  }

  #readHere(): Promise<SessionRecord | undefined> {
    return this.#engine.store.call('read', (store) => store.read(this.#key(), { fresh: true }))
  }

  #readThere({ id }: Link): Promise<string | undefined> {
    return this.#call('readOld', () => this.#old.read(id))
  }

  #remove(id: string): Promise<void> {
    return this.#call('removeOld', () => this.#old.remove(id))
  }

  #call<T>(name: string, operation: () => Promise<T>): Promise<T> {
    return this.#engine.store.call(name, operation)
  }
}
