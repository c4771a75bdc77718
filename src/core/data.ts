import type { Version } from '../token/index.ts'
import { decodeValue, encodeValue } from './codec.ts'
import { createDataProxy } from './data-proxy.ts'
import { SessionTooLargeError, UnstorableValueError } from './errors.ts'
import { FIELD_BYTES_MAX, FIELD_NAME_LENGTH_MAX, FIELDS_MAX } from './limits.ts'
import type { StoredField } from './record.ts'
import { isReserved, RESERVED_PREFIX } from './use.ts'

/** One field of a session in one request. */
class Field {
  /** As the store has it; `undefined` where it has none. */
  stored: StoredField | undefined
  /**
   * - `encoded`: as stored, not looked at;
   * - `initial`: from `initial()`, not stored; a change of it is noticed against `baseline`;
   * - `decoded`: looked at; where it is an object, only encoding it again tells whether it changed;
   * - `assigned`: by the handler;
   * - `removed`.
   */
  state: 'encoded' | 'initial' | 'decoded' | 'assigned' | 'removed'
  value: unknown
  /** Of a field from `initial()` that was handed out as an object, assigned or removed: its encoding before. */
  baseline: string | undefined

  constructor(stored: StoredField | undefined, state: Field['state'], value?: unknown) {
    this.stored = stored
    this.state = state
    this.value = value
  }
}

/** Fields to write, encoded; `null` removes. */
export type FieldChanges = ReadonlyMap<string, string | null>

/**
 * The data of one session in one request: decodes a field when it is first read, and encodes again only fields that
 * were read as objects or assigned, so that nested mutation is noticed and what nobody touched costs nothing.
 */
export class SessionFields {
  /** What the store has of the fields that nobody has looked at yet: most requests read one or two of many. */
  #untouched: ReadonlyMap<string, StoredField>
  readonly #touched = new Map<string, Field>()
  /** Told of each assignment and removal. */
  whenAssigned: (() => void) | undefined
  #proxy: object | undefined

  /**
   * @param stored what the store has; what is not the application's is passed over
   * @param initial what `initial()` returned: the values of fields that the store has never had
   */
  constructor(stored: ReadonlyMap<string, StoredField>, initial: object) {
    this.#untouched = stored
    this.#begin(initial)
  }

  /** Forgets everything, as where a session ended and another begins; whoever holds `proxy` goes on with that one. */
  restart(initial: object, stored: ReadonlyMap<string, StoredField> = NOTHING): void {
    this.#untouched = stored
    this.#touched.clear()
    this.#begin(initial)
  }

  #begin(initial: object): void {
    for (const [name, value] of Object.entries(initial)) {
      if (this.#untouched.has(name) || this.#touched.has(name)) continue
      this.#touchAll() // a name of `initial` comes after those that are stored
      this.#touched.set(name, new Field(undefined, 'initial', value))
    }
  }

  /** Every field, stored ones first. */
  get #fields(): Map<string, Field> {
    this.#touchAll()
    return this.#touched
  }

  #touchAll(): void {
    if (this.#untouched.size === 0) return
    const touched = [...this.#touched]
    this.#touched.clear()
    for (const [name, stored] of this.#untouched) if (!isReserved(name)) this.#touched.set(name, fieldOf(stored))
    for (const [name, field] of touched) this.#touched.set(name, field)
    this.#untouched = NOTHING
  }

  #touch(name: string): Field | undefined {
    const touched = this.#touched.get(name)
    if (touched || this.#untouched.size === 0 || isReserved(name)) return touched
    const stored = this.#untouched.get(name)
    if (!stored) return undefined
    const field = fieldOf(stored)
    this.#touched.set(name, field)
    return field
  }

  /** What `session.data` is: reads and writes through to the fields. */
  get proxy(): object {
    return (this.#proxy ??= createDataProxy(this))
  }

  get names(): string[] {
    const names: string[] = []
    for (const [name, { state }] of this.#fields) if (state !== 'removed') names.push(name)
    return names
  }

  has(name: string): boolean {
    const field = this.#touch(name)
    return field !== undefined && field.state !== 'removed'
  }

  get(name: string): unknown {
    const field = this.#touch(name)
    if (!field) return undefined
    if (field.state === 'encoded') {
      field.value = decodeValue(name, field.stored?.value ?? 'null')
      field.state = 'decoded'
    } else if (field.state === 'initial' && field.baseline === undefined && isObject(field.value)) {
      field.baseline = encodeValue(name, field.value)
      field.value = decodeValue(name, field.baseline) // a copy: `initial` may hand the same object to every visitor
    }
    return field.value
  }

  set(name: string, value: unknown): void {
    this.whenAssigned?.()
    const field = this.#fields.get(name)
    if (field?.state === 'initial') field.baseline ??= encodeValue(name, field.value)
    if (field) {
      field.state = 'assigned'
      field.value = value
    } else this.#fields.set(name, new Field(undefined, 'assigned', value))
  }

  remove(name: string): void {
    this.whenAssigned?.()
    const field = this.#fields.get(name)
    if (!field) return
    if (field.state === 'initial') field.baseline ??= encodeValue(name, field.value)
    if (field.stored || field.baseline !== undefined) {
      field.state = 'removed'
      field.value = undefined
    } else this.#fields.delete(name)
  }

  /** Replaces everything, as `session.data = …` does. */
  replace(values: object): void {
    for (const name of this.names) if (!Object.hasOwn(values, name)) this.remove(name)
    for (const [name, value] of Object.entries(values)) this.set(name, value)
  }

  /** Gives a field its value in `initial`, or removes it where there is none. */
  reset(name: string, initial: object): void {
    const value = Object.entries(initial).find(([key]) => key === name)
    if (value) this.set(name, value[1])
    else this.remove(name)
  }

  /** All present fields, decoded, as a plain object (a field named `__proto__` included, as an own property). */
  toObject(): object {
    const entries = this.names.map((name) => [
      name,
      { value: this.get(name), enumerable: true, writable: true, configurable: true },
    ])
    return Object.defineProperties({}, Object.fromEntries(entries) as PropertyDescriptorMap)
  }

  /**
   * What an `update` starts from: the stamp to compare, a copy of the value that its function may change in place, and
   * whether the handler has changed the field before.
   */
  base(name: string): { stamp: Version | null; value: unknown; changed: boolean } {
    const field = this.#fields.get(name)
    if (!field || field.state === 'removed') {
      return {
        stamp: field?.stored?.stamp ?? null,
        value: undefined,
        changed: field !== undefined && field.stored?.value !== null,
      }
    }
    const changed = this.#change(name, field) !== undefined
    return { stamp: field.stored?.stamp ?? null, value: decodeValue(name, this.#encoded(name, field)), changed }
  }

  /**
   * What changed since the store was read or written.
   *
   * @param whole every present field, changed or not: for a session that is not stored yet
   * @throws UnstorableValueError, SessionTooLargeError
   */
  changes(whole = false): FieldChanges {
    const changes = new Map<string, string | null>()
    for (const [name, field] of whole ? this.#fields : this.#touched) {
      let change = this.#change(name, field)
      if (change === undefined && whole && field.state !== 'removed') change = this.#encoded(name, field)
      if (change !== undefined) changes.set(name, change)
    }
    return changes
  }

  /** Whether a field may be changed: an object that was assigned is not encoded to find out. */
  get mayBeChanged(): boolean {
    for (const [name, field] of this.#touched) {
      if ((field.state === 'assigned' && isObject(field.value)) || this.#isChanged(name, field)) return true
    }
    return false
  }

  /** Whether a field is changed, be it to a value that cannot be stored. */
  get isChanged(): boolean {
    for (const [name, field] of this.#touched) if (this.#isChanged(name, field)) return true
    return false
  }

  /** The fields that are changed, those included that cannot be stored. */
  get changedNames(): string[] {
    const names: string[] = []
    for (const [name, field] of this.#touched) if (this.#isChanged(name, field)) names.push(name)
    return names
  }

  /** @throws SessionTooLargeError when the session with these changes is larger than `bytesMax` or has too many fields */
  checkSize(changes: FieldChanges, bytesMax: number): void {
    const names = new Set([...this.#fields.keys(), ...changes.keys()])
    if (names.size <= FIELDS_MAX && this.#bytesAtMost(changes) <= bytesMax) return
    const sizes: [string, number][] = []
    for (const name of names) {
      const value = changes.has(name) ? changes.get(name) : this.#fields.get(name)?.stored?.value
      if (typeof value === 'string') sizes.push([name, name.length + Buffer.byteLength(value)])
    }
    const bytes = sizes.reduce((sum, [, size]) => sum + size, 0)
    if (bytes > bytesMax) {
      throw new SessionTooLargeError(`the session has ${bytes} bytes, its limit is ${bytesMax} (maxBytes)`, sizes)
    }
    if (names.size > FIELDS_MAX) {
      throw new SessionTooLargeError(
        `the session has had ${names.size} different fields, its limit is ${FIELDS_MAX}; keep many small things in one field`,
      )
    }
  }

  /** Without looking at the characters: a UTF-16 unit has at most three bytes. */
  #bytesAtMost(changes: FieldChanges): number {
    let units = 0
    for (const [name, { stored }] of this.#fields) units += name.length + (stored?.value?.length ?? 0)
    for (const [name, value] of changes) units += name.length + (value?.length ?? 0)
    return 3 * units
  }

  /** Takes over what the store has applied. */
  applied(changes: FieldChanges, stamp: Version): void {
    for (const [name, value] of changes) this.stored(name, { stamp, value })
  }

  /** Takes over one field as the store has it now; what the handler changed in it stays changed. */
  stored(name: string, stored: StoredField | undefined): void {
    const field = this.#fields.get(name)
    if (!field) this.#fields.set(name, new Field(stored, stored && stored.value !== null ? 'encoded' : 'removed'))
    else {
      field.stored = stored
      if (field.state === 'initial' && stored) field.state = field.baseline === undefined ? 'encoded' : 'decoded'
    }
  }

  /** Takes over one field and forgets what the handler had in it, since `update` computes it anew. */
  updated(name: string, stored: StoredField | undefined): void {
    if (stored) this.#fields.set(name, fieldOf(stored))
    else this.#fields.delete(name)
  }

  #isChanged(name: string, field: Field): boolean {
    try {
      return this.#change(name, field) !== undefined
    } catch {
      return true // to a value that cannot be stored
    }
  }

  #change(name: string, field: Field): string | null | undefined {
    const { state, stored, value } = field
    if (state === 'encoded') return undefined
    if (state === 'removed') return stored?.value === null ? undefined : null
    if (state === 'initial') {
      const changed = field.baseline !== undefined && encodeValue(name, value) !== field.baseline
      return changed ? encodeField(name, value) : undefined
    }
    if (state === 'decoded' && !isObject(value)) return undefined
    const encoded = encodeField(name, value)
    return (stored ? stored.value : field.baseline) === encoded ? undefined : encoded
  }

  #encoded(name: string, field: Field): string {
    return field.state === 'encoded' ? (field.stored?.value ?? 'null') : encodeField(name, field.value)
  }
}

const NOTHING: ReadonlyMap<string, StoredField> = new Map()

function fieldOf(stored: StoredField): Field {
  return new Field(stored, stored.value === null ? 'removed' : 'encoded')
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}

/**
 * Encodes one field.
 *
 * @throws UnstorableValueError for a value or a name that cannot be kept, SessionTooLargeError above 256 KiB
 */
export function encodeField(name: string, value: unknown): string {
  if (isReserved(name)) {
    throw new UnstorableValueError(
      name,
      `session fields whose names begin with ${RESERVED_PREFIX} are not the application's`,
    )
  }
  if (name.length > FIELD_NAME_LENGTH_MAX || !name.isWellFormed()) {
    throw new UnstorableValueError(
      name.slice(0, FIELD_NAME_LENGTH_MAX),
      `a session field's name is well-formed text of at most ${FIELD_NAME_LENGTH_MAX} characters; ${JSON.stringify(name.slice(0, 40))} is not`,
    )
  }
  const encoded = encodeValue(name, value)
  const bytes = Buffer.byteLength(encoded)
  if (bytes > FIELD_BYTES_MAX) {
    throw new SessionTooLargeError(
      `session field ${JSON.stringify(name)} has ${bytes} bytes, its limit is ${FIELD_BYTES_MAX}; keep large things elsewhere and their identifier here`,
      name,
    )
  }
  return encoded
}
