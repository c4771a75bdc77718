import type { Holding } from './protocol/messages.ts'

/**
 * Encoded bytes of the records that are kept decoded as well. A record is asked for several times by one change and the
 * next requests of its visitor, which come within seconds; more would be memory that the slab is there to save.
 */
const BYTES_MAX: number = 4 * 1024 * 1024

/**
 * Records that were read or written lately, decoded. Half of the room is for the newest; when it is full, that half becomes
 * the older one and the older one is forgotten, so that each record that is used stays at least as long as the half lasts.
 */
export class DecodedCache {
  #newer = new Map<string, Holding>()
  #older = new Map<string, Holding>()
  #bytes = 0

  get(key: string): Holding | undefined {
    return this.#newer.get(key) ?? this.#older.get(key)
  }

  /** @param bytes of the record, encoded */
  set(key: string, holding: Holding, bytes: number): void {
    this.#newer.set(key, holding)
    this.#bytes += bytes
    if (this.#bytes < BYTES_MAX / 2) return
    this.#older = this.#newer
    this.#newer = new Map()
    this.#bytes = 0
  }

  delete(key: string): void {
    this.#newer.delete(key)
    this.#older.delete(key)
  }
}
