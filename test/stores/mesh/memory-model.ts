/** The record memory beside a plain Map that is told the same. */

import assert from 'node:assert/strict'
import { type EntryKind, RecordMemory, type RecordMemoryOptions } from '../../../src/stores/mesh/slab/record-memory.ts'

const KEY_BYTES = 32

interface ModelEntry {
  readonly record: Buffer
  readonly forgetSecond: number
  readonly kind: EntryKind
  readonly tag: number
}

/** The same key for the same number; the bits of its beginning do not spread, as those of a hash would. */
export function keyOf(number: number): Buffer {
  const key = Buffer.alloc(KEY_BYTES)
  key.writeUInt32BE(number, KEY_BYTES - 4)
  return key
}

/** A record of so many bytes beside its key, its content known by key, size and salt. */
export function recordWith(key: Buffer, bytes: number, salt: number): Buffer {
  const record = Buffer.alloc(KEY_BYTES + bytes, `${key.toString('hex')}:${salt};`)
  key.copy(record)
  return record
}

/** `deepEqual` takes a hundred times as long. */
export function assertSame(actual: Buffer | undefined, expected: Buffer | undefined): void {
  assert.ok(
    actual === expected || (actual && expected && actual.equals(expected)),
    `${actual?.length} bytes are not as the ${expected?.length} that were put`,
  )
}

/** Does everything twice, and compares. */
export class ModelledMemory {
  readonly memory: RecordMemory
  readonly entries = new Map<string, ModelEntry>()
  /** The latest time that `tick` has heard. After a step back the wheel may be late until it is reached again. */
  #latestSecond: number

  constructor(options: RecordMemoryOptions) {
    this.memory = new RecordMemory(options)
    this.#latestSecond = Math.floor(options.nowMs / 1000)
  }

  put(record: Buffer, forgetAtMs: number, kind: EntryKind = 'session', tag = 0): void {
    this.memory.put(record, forgetAtMs, kind, tag)
    const forgetSecond = Math.max(Math.ceil(forgetAtMs / 1000), 0)
    this.entries.set(record.toString('latin1', 0, KEY_BYTES), { record, forgetSecond, kind, tag })
  }

  get(key: Buffer): void {
    assertSame(this.memory.get(key), this.entries.get(key.toString('latin1'))?.record)
  }

  delete(key: Buffer): void {
    assert.equal(this.memory.delete(key), this.entries.delete(key.toString('latin1')))
  }

  tick(nowMs: number, stepsMax: number): boolean {
    const second = Math.floor(nowMs / 1000)
    this.#latestSecond = Math.max(this.#latestSecond, second)
    let removed = 0
    const isDone = this.memory.tick(nowMs, stepsMax, (record) => {
      const name = record.toString('latin1', 0, KEY_BYTES)
      const entry = this.entries.get(name)
      assertSame(record, entry?.record)
      assert.ok(entry && entry.forgetSecond <= second, 'removed before its time')
      this.entries.delete(name)
      removed++
    })
    assert.ok(removed <= stepsMax)
    if (isDone && second === this.#latestSecond) {
      for (const { forgetSecond } of this.entries.values()) assert.ok(forgetSecond > second, 'over and not removed')
    }
    return isDone
  }

  /** Compares everything. */
  check(): void {
    const rest = new Map(this.entries)
    let cursor: number | undefined = 0
    while (cursor !== undefined) {
      cursor = this.memory.scan(cursor, 100, (record) => {
        const name = record.toString('latin1', 0, KEY_BYTES)
        assertSame(record, rest.get(name)?.record)
        rest.delete(name)
      })
    }
    assert.equal(rest.size, 0)
    for (const { record } of this.entries.values()) assert.ok(this.memory.get(record)?.equals(record))
    const all = [...this.entries.values()]
    for (const tag of [1, 2, 3, 4, 0xffffffff]) this.#checkTag(tag)
    const { sessions, tombstones, bytesLive, bytesUsed, bytesReserved } = this.memory.stats
    assert.equal(sessions, all.filter(({ kind }) => kind === 'session').length)
    assert.equal(tombstones, all.length - sessions)
    assert.equal(
      bytesLive,
      all.reduce((sum, { record }) => sum + record.length, 0),
    )
    assert.ok(bytesLive <= bytesUsed && bytesUsed <= bytesReserved, `${bytesLive}, ${bytesUsed}, ${bytesReserved}`)
  }

  #checkTag(tag: number): void {
    const tagged = new Map([...this.entries].filter(([, entry]) => entry.tag === tag))
    let cursor: number | undefined = 0
    while (cursor !== undefined) {
      cursor = this.memory.scanTag(tag, cursor, 5_000, (record) => {
        const name = record.toString('latin1', 0, KEY_BYTES)
        assertSame(record, tagged.get(name)?.record)
        tagged.delete(name)
      })
    }
    assert.equal(tagged.size, 0)
  }
}
