import type { SessionRecord, StoredField } from '../../core/index.ts'

/** What is inside a seal. The key is not: the seal is bound to it. */
export interface Payload {
  readonly record: SessionRecord
  /** The session ends then at the latest, by the policy of the node that sealed it; milliseconds since 1970. */
  readonly absoluteEnd: number
  /** Where the feed of ends stood when the session began or its user logged in; 0 without a feed. */
  readonly epoch: number
}

/**
 * Whole numbers as LEB128, texts as their length in bytes and UTF-8:
 *
 *     created  started-created  issued-started  idleEnd-issued  absoluteEnd-started+1 or 0  epoch  generation  version
 *     user+1 or 0  user  fields  (name  value+1 or 0  value)*
 *
 * Times are milliseconds; `issued` is the last use. `generation` is that of the last login, below which tokens are from
 * before it. Stamps are not kept: a session that is written whole has changed whole.
 */
export function encodePayload({ record, absoluteEnd, epoch }: Payload): Buffer {
  const { createdAt, startedAt, lastSeenAt, expiresAt, user, fields } = record
  // Clocks of two nodes may be apart, so that a later time is the smaller one.
  const started = Math.max(createdAt, startedAt)
  const issued = Math.max(started, lastSeenAt)
  const writer = new Writer()
  writer.number(createdAt)
  writer.number(started - createdAt)
  writer.number(issued - started)
  writer.number(Math.max(0, Math.ceil(expiresAt - issued)))
  writer.number(Number.isFinite(absoluteEnd) ? Math.max(0, Math.ceil(absoluteEnd - started)) + 1 : 0)
  writer.number(epoch)
  writer.number(record.floor)
  writer.number(record.version.sequence)
  writer.text(user)
  writer.number(fields.size)
  for (const [name, { value }] of fields) {
    writer.text(name)
    writer.text(value)
  }
  return writer.bytes()
}

/** Inverse of {@link encodePayload}; `undefined` for bytes that it does not write. */
export function decodePayload(key: string, bytes: Buffer): Payload | undefined {
  const reader = new Reader(bytes)
  try {
    const createdAt = reader.number()
    const startedAt = createdAt + reader.number()
    const lastSeenAt = startedAt + reader.number()
    const idleEnd = lastSeenAt + reader.number()
    const absolute = reader.number()
    const absoluteEnd = absolute === 0 ? Infinity : startedAt + absolute - 1
    const epoch = reader.number()
    const generation = reader.number()
    const version = { incarnation: 0, sequence: reader.number() }
    const user = reader.text()
    const fields = new Map<string, StoredField>()
    for (let count = reader.number(); count > 0; count--) {
      const name = reader.text()
      if (name === null || fields.has(name)) return undefined
      fields.set(name, { stamp: version, value: reader.text() })
    }
    if (!reader.isAtEnd) return undefined
    const record: SessionRecord = {
      key,
      version,
      generation,
      pending: false,
      floor: generation,
      retired: [],
      user,
      startedAt,
      createdAt,
      lastSeenAt,
      expiresAt: Math.min(idleEnd, absoluteEnd),
      fields,
      operations: new Map(),
    }
    return { record, absoluteEnd, epoch }
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

class Writer {
  #bytes = Buffer.allocUnsafe(1024)
  #length = 0

  number(value: number): void {
    this.#reserve(8)
    let rest = value
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.#bytes[this.#length++] = (rest % 128) | 128
    this.#bytes[this.#length++] = rest
  }

  /** `null` is told from the empty text. */
  text(text: string | null): void {
    if (text === null) return this.number(0)
    const bytes = Buffer.byteLength(text)
    this.number(bytes + 1)
    this.#reserve(bytes)
    this.#length += this.#bytes.write(text, this.#length)
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return
    this.#bytes = Buffer.concat([this.#bytes], Math.max(2 * this.#bytes.length, this.#length + count))
  }
}

class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  /** @throws RangeError where the bytes end, or the number is above the safe ones */
  number(): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new RangeError('the bytes are over')
      value += (byte & 127) * factor
      if (value > Number.MAX_SAFE_INTEGER) throw new RangeError('a number is too large')
      if (byte < 128) return value
    }
  }

  text(): string | null {
    const length = this.number()
    if (length === 0) return null
    const end = this.#at + length - 1
    if (end > this.#bytes.length) throw new RangeError('the bytes are over')
    const text = this.#bytes.toString('utf8', this.#at, end)
    this.#at = end
    return text
  }
}
