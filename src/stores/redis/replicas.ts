import { randomBytes } from 'node:crypto'
import type { Client, Duplicate } from './client.ts'
import { keyBeside } from './keys.ts'
import { markScript, touchScript } from './scripts.ts'

/** A change that was made on this server, under this key. */
export interface Made {
  readonly key: string
  /** Its replication id. */
  readonly server: string
}

interface Waiter extends Made {
  readonly endsAt: number
  settle(isConfirmed: boolean): void
}

/**
 * Waits until replicas have changes that were made already.
 *
 * WAIT blocks its connection, so it goes over one of its own, which is opened with the first; there it waits for all that
 * was changed before a mark. Changes that come while one WAIT is under way share the next.
 */
export class Replicas {
  readonly #client: Client
  readonly #keyPrefix: string
  readonly #count: number
  #own: Duplicate | undefined
  /** Those who wait for the next WAIT, by server; an entry means that one is under way. */
  readonly #next = new Map<string, Waiter[]>()

  /** @param count how many replicas are to have a change */
  constructor(client: Client, { keyPrefix, count }: { keyPrefix: string; count: number }) {
    this.#client = client
    this.#keyPrefix = keyPrefix
    this.#count = count
  }

  /** Resolves whether they have the change, after this time at the latest. Never rejects. */
  confirm(made: Made, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs, false)
      const settle = (isConfirmed: boolean): void => {
        clearTimeout(timer)
        resolve(isConfirmed)
      }
      const waiter = { ...made, endsAt: performance.now() + timeoutMs, settle }
      const next = this.#next.get(made.server)
      if (next) return void next.push(waiter)
      this.#next.set(made.server, [])
      void this.#waitForAll(made.server, [waiter])
    })
  }

  close(): void {
    this.#own?.close()
  }

  async #waitForAll(server: string, waiters: readonly Waiter[]): Promise<void> {
    const [first] = waiters
    const timeoutMs = Math.max(...waiters.map(({ endsAt }) => endsAt)) - performance.now()
    const isConfirmed = first !== undefined && timeoutMs > 0 && (await this.#waitInTime(first, timeoutMs))
    for (const waiter of waiters) waiter.settle(isConfirmed)
    const next = this.#next.get(server) ?? []
    if (next.length === 0) return void this.#next.delete(server)
    this.#next.set(server, [])
    return this.#waitForAll(server, next)
  }

  /** A connection on which nothing comes back must not hold up those who come after. */
  async #waitInTime(made: Made, timeoutMs: number): Promise<boolean> {
    const { promise: late, resolve } = Promise.withResolvers<boolean>()
    const timer = setTimeout(resolve, timeoutMs, false)
    try {
      return await Promise.race([this.#wait(made, timeoutMs), late])
    } catch {
      return false
    } finally {
      clearTimeout(timer)
    }
  }

  async #wait({ key, server }: Made, timeoutMs: number): Promise<boolean> {
    this.#own ??= this.#client.duplicate()
    const { client } = this.#own
    await whenReady(client, timeoutMs)
    const name = `sojourn-${randomBytes(9).toString('base64url')}`
    const own = this.#keyPrefix + key
    // In the slot of the session, so that a Cluster has it on the same server.
    const place = keyBeside(this.#keyPrefix, 'mark', own)
    const mark = ['EVAL', markScript.text, '1', place]
    const before = [['CLIENT', 'SETNAME', name]]
    const after = [
      ['WAIT', `${this.#count}`, `${Math.ceil(timeoutMs)}`],
      ['CLIENT', 'GETNAME'],
    ]
    let answers = await client.sendInRow(place, [...before, mark, ...after])
    if (/\bASK /.test(String(reasonOf(answers.at(-3))))) {
      // The slot is being handed over, and the session itself may be where it was changed.
      const touch = ['EVAL', touchScript.text, '1', own]
      const touched = await client.sendInRow(own, [...before, touch, ...after])
      if (reasonOf(touched.at(-3)) === undefined) answers = touched
    }
    const [, address] = REDIRECT.exec(String(reasonOf(answers.at(-3)))) ?? []
    if (address !== undefined) {
      // The library learns from it where the slot is.
      await client.send(place, mark)
      answers = await client.sendInRow(place, [...before, ['ASKING'], mark, ...after], address)
    }
    const [marked, waited, named] = answers.slice(-3).map(valueOf)
    // A library may have sent WAIT again over another connection, on which it waits for nothing.
    return named === name && marked === server && Number(waited) >= this.#count
  }
}

const REDIRECT = /\b(?:MOVED|ASK) \d+ (\S+)/

function reasonOf(result: PromiseSettledResult<unknown> | undefined): unknown {
  return result?.status === 'rejected' ? result.reason : undefined
}

function valueOf(result: PromiseSettledResult<unknown>): unknown {
  return result.status === 'fulfilled' ? result.value : undefined
}

async function whenReady(client: Client, timeoutMs: number): Promise<void> {
  if (client.state === 'ready') return
  const { promise, resolve } = Promise.withResolvers<void>()
  const look = (): void => void (client.state === 'ready' && resolve())
  client.on('ready', look)
  const timer = setTimeout(resolve, timeoutMs)
  await promise
  clearTimeout(timer)
  client.off('ready', look)
}
