import { isUser } from '../arguments.ts'
import type { Adoption } from '../carried.ts'
import { decodeValue } from '../codec.ts'
import { encodeField, type FieldChanges } from '../data.ts'
import type { Fields, OldSession, OldSessions } from '../old-sessions.ts'
import { type Base, baseOf, differenceOf, storable, takeMark, toBase, withMark, withoutMark } from './merge.ts'
import type { Troubles } from './troubles.ts'
import type { Link, View } from './view.ts'

/** Both sides, compared with what they had last in common. */
export interface Comparison {
  readonly cookie: object
  /** Our session in the format of the other library. */
  readonly ours: Fields
  /** Fields that changed there and not here. */
  readonly taken: Fields
  /** Whether there are changes here that are not there. */
  readonly isBehind: boolean
  /** Whether we have written the old session before, or somebody has who had read that. */
  readonly isMarked: boolean
}

/** What changes here by what was changed there. */
export interface ChangesThere {
  readonly fields: FieldChanges
  /** Where another user is logged in there, or nobody any more. */
  readonly user?: string | null
}

/** Between our sessions and those of the other library. Whatever fails in it is told, and fails no request. */
export class Translation {
  readonly #old: OldSessions
  readonly #troubles: Troubles

  constructor(old: OldSessions, troubles: Troubles) {
    this.#old = old
    this.#troubles = troubles
  }

  decoded(text: string | undefined): OldSession | undefined {
    return text === undefined ? undefined : this.#troubles.attempt('format', () => this.#old.decode(text))
  }

  /** The text of the old session with this identifier that says what ours says. */
  encoded(view: View, old: OldSession, id: string): string | undefined {
    const fields = this.#rendered(view, old)
    if (!fields) return undefined
    const session = { cookie: old.cookie, fields: withMark(fields, id) }
    return this.#troubles.attempt('mapping', () => this.#old.encode(session))
  }

  /** What is to be taken over at first. */
  adopted(text: string, id: string): { fields: Fields; adopted: Adoption } | undefined {
    const session = this.decoded(text)
    if (!session) return undefined
    const { fields } = takeMark(session.fields, id)
    const adopted = this.#troubles.attempt('mapping', () => this.#old.toAdoption({ cookie: session.cookie, fields }))
    return adopted && { fields, adopted }
  }

  compared(text: string, { id, base: first = {} }: Link, view: View): Comparison | undefined {
    const old = this.decoded(text)
    const ours = old && this.#rendered(view, old)
    if (!ours) return undefined
    const { fields, base } = takeMark(old.fields, id)
    const common: Base = base ?? toBase(first)
    const difference = differenceOf(ours, fields, common, (name) => view.lines.get(name))
    return { cookie: old.cookie, ours, isMarked: base !== undefined, ...difference }
  }

  changesBy({ cookie, ours, taken }: Comparison): ChangesThere | undefined {
    if (taken.size === 0) return { fields: new Map() }
    const merged = new Map(ours)
    for (const [name, value] of taken) {
      if (value === undefined) merged.delete(name)
      else merged.set(name, value)
    }
    return this.#troubles.attempt('mapping', () => {
      const before = this.#old.toAdoption({ cookie, fields: ours })
      const after = this.#old.toAdoption({ cookie, fields: merged })
      const fields = this.#changed(new Map(Object.entries(before.data)), new Map(Object.entries(after.data)))
      const [earlier, user] = [userOf(before), userOf(after)]
      return user === earlier ? { fields } : { fields, user }
    })
  }

  #changed(before: Fields, after: Fields): FieldChanges {
    const changes = new Map<string, string | null>()
    for (const [name, value] of differenceOf(before, after, baseOf(before)).taken) {
      if (value === undefined) changes.set(name, null)
      else this.#troubles.attempt('unfit', () => changes.set(name, encodeField(name, value)))
    }
    return changes
  }

  #rendered({ fields, user }: View, old: OldSession): Fields | undefined {
    return this.#troubles.attempt('mapping', () => {
      const entries: [string, unknown][] = []
      for (const [name, value] of fields) if (value !== null) entries.push([name, decodeValue(name, value)])
      const data: object = Object.fromEntries(entries)
      const present = { cookie: old.cookie, fields: withoutMark(old.fields) }
      return storable(withoutMark(this.#old.toFields(user === null ? { data } : { data, user }, present)))
    })
  }
}

/** What can be no user here is nobody. */
function userOf({ user }: Adoption): string | null {
  return isUser(user) ? user : null
}
