import { hash } from 'node:crypto'
import { SessionInvalidError } from '../../core/index.ts'
import { createSealCodec, type KeyRing, type SealCodec } from '../../token/index.ts'

/** `true`: sealed fields alone are read. `'migrate'`: plain ones too, and they are sealed. `false`: both are read, and plain ones written. */
export type Encrypt = boolean | 'migrate'

/** Marks a sealed value. What the core encodes never begins with it. */
const MARK = '!'
/** For a change of the form, which nobody could tell by trying. */
const SHAPE = 0

/** A value as it was stored, opened. */
export interface OpenedValue {
  readonly value: string
  /** It does not stand as it would be written now: it is plain, or of a secret that no longer signs. */
  readonly isOutdated: boolean
}

/**
 * The values of fields as they stand in Redis: `!` and a seal of the ring's key for encryption at rest, bound to the
 * session's key and the field's name, so that it opens nowhere else.
 */
export class AtRest {
  readonly #seals: SealCodec
  readonly #encrypt: Encrypt

  constructor(ring: KeyRing, encrypt: Encrypt) {
    this.#seals = createSealCodec(ring, 'field', '', 'encryption at rest')
    this.#encrypt = encrypt
  }

  toStored(key: string, name: string, value: string): string {
    if (this.#encrypt === false) return value
    return MARK + this.#seals.seal(Buffer.from(value), SHAPE, boundTo(key, name))
  }

  /** @throws SessionInvalidError for a value that cannot be opened, or must not stand there in plain */
  toValue(key: string, name: string, stored: string): OpenedValue {
    if (!stored.startsWith(MARK)) return this.#plain(name, stored)
    const reading = this.#seals.open(stored.slice(MARK.length), boundTo(key, name))
    if (reading.kind === 'valid') {
      return { value: reading.plaintext.toString(), isOutdated: this.#encrypt !== false && !reading.isOfSigner }
    }
    throw unreadable(
      name,
      reading.kind === 'unknownSecret'
        ? 'is sealed with a secret that is missing here; append it to the list: secret: [new, old]'
        : 'cannot be opened: it was damaged, or moved here from another session or field',
    )
  }

  #plain(name: string, value: string): OpenedValue {
    if (this.#encrypt === true) {
      throw unreadable(
        name,
        "is not sealed, which encrypt: true refuses; encrypt: 'migrate' reads and seals such fields",
      )
    }
    return { value, isOutdated: this.#encrypt === 'migrate' }
  }
}

/** A key holds no NUL, so that no two pairs are alike. */
function boundTo(key: string, name: string): string {
  return hash('sha256', `${key}\0${name}`, 'base64url')
}

function unreadable(name: string, what: string): SessionInvalidError {
  return new SessionInvalidError(`session field ${JSON.stringify(name)} ${what}`, name)
}
