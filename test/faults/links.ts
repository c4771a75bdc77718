/** The network between the nodes of a fleet, in which a test delays, cuts and resets what it likes. */

import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { portOf } from '../support/ports.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'

/**
 * A proxy from each node to each. What a node says of its own address is one that takes connections and says nothing, so
 * that no connection goes round the proxies.
 */
export class Links {
  readonly addresses: readonly string[]
  readonly #silent: readonly Server[]
  readonly #refusing = new Set<number>()
  /** By who dials and who is dialed. */
  readonly #proxies: readonly (readonly (TcpProxy | undefined)[])[]

  constructor(silent: readonly Server[], proxies: readonly (readonly (TcpProxy | undefined)[])[]) {
    this.addresses = silent.map((server) => `127.0.0.1:${portOf(server)}`)
    this.#silent = silent
    this.#proxies = proxies
  }

  peersOf(index: number): string[] {
    return (this.#proxies[index] ?? []).flatMap((proxy) => (proxy ? [`127.0.0.1:${proxy.port}`] : []))
  }

  /** Bytes that a node has sent and received. */
  bytesOf(index: number): { sent: number; received: number } {
    const bytes = { sent: 0, received: 0 }
    for (const [from, row] of this.#proxies.entries())
      for (const [to, proxy] of row.entries()) {
        if (!proxy || (from !== index && to !== index)) continue
        bytes.sent += proxy.bytes[from === index ? 'up' : 'down']
        bytes.received += proxy.bytes[from === index ? 'down' : 'up']
      }
    return bytes
  }

  /** Nothing that these say reaches those; with `both`, nor the other way. */
  cut(these: readonly number[], those: readonly number[], ways: 'both' | 'one' = 'both'): void {
    for (const a of these)
      for (const b of those) {
        this.#proxies[a]?.[b]?.blackHole(ways === 'both' ? 'both' : 'up')
        this.#proxies[b]?.[a]?.blackHole(ways === 'both' ? 'both' : 'down')
      }
  }

  /** Everybody reaches everybody again; what was held arrives late, as from a network. */
  heal(): void {
    for (const proxy of this.#proxies.flat()) proxy?.blackHole('none')
  }

  /** Delays what goes between these and the others. */
  delay(these: readonly number[], ms: number): void {
    for (const proxy of this.#of(these)) proxy.latency(ms)
  }

  /** Resets the connections of these nodes; they may connect again at once. */
  reset(these: readonly number[]): void {
    for (const proxy of this.#of(these)) proxy.cut()
  }

  #of(these: readonly number[]): TcpProxy[] {
    return this.#proxies.flatMap((row, from) =>
      row.filter((proxy, to): proxy is TcpProxy => proxy !== undefined && (these.includes(from) || these.includes(to))),
    )
  }

  /** The address of a process that is gone refuses connections. */
  refuse(index: number, isRefusing: boolean): void {
    if (this.#refusing.has(index) === isRefusing) return
    if (isRefusing) this.#refusing.add(index)
    else this.#refusing.delete(index)
    for (const row of this.#proxies) void row[index]?.refuse(isRefusing)
  }

  async close(): Promise<void> {
    for (const server of this.#silent) server.close()
    await Promise.all(this.#proxies.flat().map(async (proxy) => proxy?.close()))
  }
}

/** @param ports on which the nodes listen for each other */
export async function startLinks(ports: readonly number[]): Promise<Links> {
  const silent = ports.map(() => createServer((socket) => void socket.on('error', () => {}).unref()).unref())
  await Promise.all(silent.map((server) => once(server.listen(0, '127.0.0.1'), 'listening')))
  const rows = ports.map((_, from) =>
    Promise.all(ports.map(async (port, to) => (from === to ? undefined : startTcpProxy({ to: { port } })))),
  )
  return new Links(silent, await Promise.all(rows))
}
