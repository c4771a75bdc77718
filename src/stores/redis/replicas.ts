import { randomBytes } from 'node:crypto'
import type { Client, Duplicate } from './client.ts'
import { markScript } from './scripts.ts'

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
    const last = Math.max(...waiters.map(({ endsAt }) => endsAt))
    const timeoutMs = last - performance.now()
    const isConfirmed = timeoutMs > 0 && (await this.#wait(waiters[0] as Waiter, timeoutMs).catch(() => false))
    for (const waiter of waiters) waiter.settle(isConfirmed)
    const next = this.#next.get(server) ?? []
    this.#next.delete(server)
    if (next.length === 0) return
    this.#next.set(server, [])
    return this.#waitForAll(server, next)
  }

  async #wait({ key, server }: Made, timeoutMs: number): Promise<boolean> {
    this.#own ??= this.#client.duplicate()
    const { client } = this.#own
    await whenReady(client, timeoutMs)
    const name = `sojourn-${randomBytes(9).toString('base64url')}`
    // In the slot of the session, so that a Cluster has it on the same server.
    const mark = `${this.#keyPrefix}mark:{${this.#keyPrefix}${key}}`
    const [, marked, waited, named] = await client.sendInRow(mark, [
      ['CLIENT', 'SETNAME', name],
      ['EVAL', markScript.text, '1', mark],
      ['WAIT', `${this.#count}`, `${Math.ceil(timeoutMs)}`],
      ['CLIENT', 'GETNAME'],
    ])
    // A library may have sent WAIT again over another connection, on which it waits for nothing.
    if (valueOf(named) !== name || valueOf(marked) !== server) return false
    return Number(valueOf(waited)) >= this.#count
  }
}

function valueOf(result: PromiseSettledResult<unknown> | undefined): unknown {
  return result?.status === 'fulfilled' ? result.value : undefined
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
