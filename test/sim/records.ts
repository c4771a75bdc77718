import type { Holding } from '../../src/stores/mesh/protocol/messages.ts'
import type { RecordMap } from '../../src/stores/mesh/protocol/node.ts'

const SCAN_SIZE = 2 ** 20

/** A node's memory: a Map. A scan goes over the keys that were there at its beginning. */
export class SimRecords implements RecordMap {
  readonly entries: Map<string, Holding> = new Map()
  readonly #scans = new Map<number, string[]>()
  #scanCount = 0

  readonly isFull = false

  get size(): number {
    return this.entries.size
  }

  get(key: string): Holding | undefined {
    return this.entries.get(key)
  }

  set(key: string, holding: Holding): void {
    this.entries.set(key, holding)
  }

  delete(key: string): void {
    this.entries.delete(key)
  }

  scan(cursor: number, count: number, visit: (key: string, holding: Holding) => void): number | undefined {
    const scan = cursor === 0 ? ++this.#scanCount : Math.floor(cursor / SCAN_SIZE)
    const keys = this.#scans.get(scan) ?? [...this.entries.keys()]
    const from = cursor % SCAN_SIZE
    for (const key of keys.slice(from, from + count)) {
      const holding = this.entries.get(key)
      if (holding) visit(key, holding)
    }
    if (from + count >= keys.length) {
      this.#scans.delete(scan)
      return undefined
    }
    this.#scans.set(scan, keys)
    return scan * SCAN_SIZE + from + count
  }
}
