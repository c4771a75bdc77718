/** One direction of a proxied connection: a bounded queue between the socket that sends and the one that receives. */

import type { Socket } from 'node:net'

/** A flow keeps no more than this and one chunk; then it reads no more. */
export const queueBytesMax: number = 1024 * 1024

/** What a {@link Flow} asks before it passes bytes on, and tells. */
export interface FlowRules {
  isHeld(): boolean
  latencyMs(): number

  /** Bytes have come from the source. Answers whether they go into the queue. */
  receive(chunk: Buffer): boolean

  /** These bytes are about to be written to the sink. */
  forward(chunk: Buffer): void
}

/** Carries bytes and, after them, the end from the source to the sink. A full queue stops reading, as a full network does. */
export class Flow {
  readonly #source: Socket
  readonly #sink: Socket
  readonly #rules: FlowRules
  readonly #queue: { chunk: Buffer | undefined; dueMs: number }[] = []
  #queueBytes = 0
  #timer: NodeJS.Timeout | undefined

  constructor(source: Socket, sink: Socket, rules: FlowRules) {
    this.#source = source
    this.#sink = sink
    this.#rules = rules
    source.on('data', (chunk: Buffer) => {
      if (rules.receive(chunk)) this.#push(chunk)
    })
    source.on('end', () => this.#push(undefined))
    sink.on('drain', () => this.proceed())
    for (const socket of [source, sink]) socket.once('close', () => clearTimeout(this.#timer))
  }

  /** Passes on what is due and allowed. */
  proceed(): void {
    clearTimeout(this.#timer)
    if (this.#sink.destroyed || this.#sink.writableEnded || this.#rules.isHeld()) return
    for (let head = this.#queue[0]; head !== undefined && !this.#sink.writableNeedDrain; head = this.#queue[0]) {
      const waitMs = head.dueMs - performance.now()
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.proceed(), waitMs)
        break
      }
      this.#queue.shift()
      this.#write(head.chunk)
    }
    if (this.#queueBytes < queueBytesMax) this.#source.resume()
  }

  #write(chunk: Buffer | undefined): void {
    if (chunk === undefined) {
      this.#sink.end()
      return
    }
    this.#queueBytes -= chunk.length
    this.#rules.forward(chunk)
    this.#sink.write(chunk)
  }

  #push(chunk: Buffer | undefined): void {
    this.#queue.push({ chunk, dueMs: performance.now() + this.#rules.latencyMs() })
    this.#queueBytes += chunk?.length ?? 0
    if (this.#queueBytes >= queueBytesMax) this.#source.pause()
    this.proceed()
  }
}
