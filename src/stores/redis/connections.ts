import { CONNECT_PAUSE_MS } from './limits.ts'

/** A connection of the package `redis` to one server. */
export interface Connection {
  readonly isReady: boolean
  sendCommand(args: string[], options?: object): Promise<unknown>
  on(event: 'ready' | 'end', listener: () => void): unknown
  on(event: 'invalidate', listener: (key: string | Buffer | null) => void): unknown
}

export interface ConnectionsOptions {
  invalidated(key: string | Buffer | null): void
  /** Nobody tells any more of what was read over one of the connections before. */
  renewed(): void
  /**
   * Asks a server, over this connection, for what has to stay as it is for copies to be good: whether it is in charge of
   * the same sessions. Everything that it told before is heard when it answers.
   *
   * @throws where it could not answer for a session now
   */
  inspect(connection: Connection): Promise<string>
}

/** The connections over which sessions are read, each told of changes by its server. A gap in one makes all copies void. */
export class Connections {
  readonly #options: ConnectionsOptions
  /** What each server said of itself, since when it tells of changes; `undefined`: it does not yet. */
  readonly #found = new Map<Connection, string | undefined>()
  #epoch = 0

  constructor(options: ConnectionsOptions) {
    this.#options = options
  }

  /** Takes in a connection before anything that is read over it is kept; again, for one that is known, does nothing. */
  adopt(connection: Connection): void {
    if (this.#found.has(connection)) return
    this.#found.set(connection, undefined)
    connection.on('invalidate', (key) => this.#options.invalidated(key))
    connection.on('ready', () => void this.#enlist(connection))
    connection.on('end', () => {
      if (this.#found.delete(connection)) this.#renew()
    })
    if (connection.isReady) void this.#enlist(connection)
  }

  /** Rises whenever copies are void; `undefined` while not everything is told. */
  get epoch(): number | undefined {
    const isTold = [...this.#found].every(([{ isReady }, found]) => isReady && found !== undefined)
    return isTold && this.#found.size > 0 ? this.#epoch : undefined
  }

  /** Resolves when everything that the servers told before this call has been heard, and they are still the right ones. */
  async barrier(): Promise<void> {
    await Promise.all(
      [...this.#found].map(async ([connection, before]) => {
        const now = await this.#options.inspect(connection)
        if (now !== before) this.#renew(connection, now)
      }),
    )
  }

  async #enlist(connection: Connection): Promise<void> {
    this.#renew(connection, undefined)
    try {
      // The library has turned tracking on. Of its own writes a node needs not be told: its copies follow them.
      await connection.sendCommand(['CLIENT', 'TRACKING', 'ON', 'NOLOOP'])
      const found = await this.#options.inspect(connection)
      if (connection.isReady) this.#renew(connection, found)
    } catch {
      // Either the connection broke, and the next one comes here again, or the server is not yet in charge.
      setTimeout(() => {
        if (connection.isReady && this.#found.get(connection) === undefined) void this.#enlist(connection)
      }, CONNECT_PAUSE_MS).unref()
    }
  }

  /** What was read before may have changed unheard. */
  #renew(connection?: Connection, found?: string): void {
    if (connection && this.#found.has(connection)) this.#found.set(connection, found)
    this.#epoch += 1
    this.#options.renewed()
  }
}
