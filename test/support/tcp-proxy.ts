/** A TCP proxy that does to a connection what networks do: it delays, holds, cuts, refuses, and loses an answer. */

import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { portOf } from './ports.ts'
import { Flow } from './tcp-flow.ts'

/** `up` is from the client to the server. */
export type Direction = 'up' | 'down'

/** A text that the bytes contain, or a test of one chunk as the network happened to cut it. */
export type BytesMatch = string | ((chunk: Buffer) => boolean)

export interface TcpProxyOptions {
  /** The server behind the proxy; its host is 127.0.0.1 by default. */
  to: { host?: string; port: number }
}

/** A running proxy on 127.0.0.1. Leaving an `await using` block closes it. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number

  /** Connections that are open now. */
  readonly connections: number

  /** Bytes received in each direction so far, from all connections. */
  readonly bytes: Readonly<Record<Direction, number>>

  /** Delays what each direction carries from now on by so many milliseconds, so that a round trip takes twice that. */
  latency(ms: number): void

  /** Holds what goes in these directions, until `'none'` lets it flow again; connections stay open, as in a partition. */
  blackHole(directions: Direction | 'both' | 'none'): void

  /** Resets every open connection on both sides; answers how many. New ones are taken. */
  cut(): number

  /** Closes the port, so that new connections are refused, or opens it again. Open connections stay. */
  refuse(refusing: boolean): Promise<void>

  /** Resolves when matching bytes have been received in that direction from now on, whatever then becomes of them. */
  received(direction: Direction, match: BytesMatch): Promise<void>

  /**
   * Loses the answer to the next matching request: it goes up, and once the server has answered, the client's connection is
   * reset without a byte of the answer. The server's side is ended cleanly, so that it does all that it was asked; resolves
   * when the server has closed it. Rejects when the proxy closes before.
   */
  dropNextAnswer(match?: BytesMatch): Promise<void>

  /** Cuts all connections and closes the port. Closing twice succeeds. */
  close(): Promise<void>
}

/** Starts a proxy on a free port of 127.0.0.1. */
export async function startTcpProxy({ to }: TcpProxyOptions): Promise<TcpProxy> {
  const connections = new Set<Connection>()
  const watches = new Set<Watch>()
  const bytes = { up: 0, down: 0 }
  let latencyMs = 0
  let holding: Direction | 'both' | 'none' = 'none'
  let server = await listen(0, accept)
  const port = portOf(server)

  function accept(client: Socket): void {
    const upstream = connect({ host: '127.0.0.1', ...to, allowHalfOpen: true, noDelay: true })
    const flow = (direction: Direction, source: Socket, sink: Socket): Flow =>
      new Flow(source, sink, {
        isHeld: () => holding === direction || holding === 'both',
        latencyMs: () => latencyMs,
        receive: (chunk) => receive(connection, direction, chunk),
        forward: (chunk) => notify(connection, direction, 'forwarded', chunk),
      })
    const flows = [flow('up', client, upstream), flow('down', upstream, client)]
    const connection: Connection = { client, upstream, flows, answer: 'passes' }
    connections.add(connection)
    tie(connection, client, upstream)
    tie(connection, upstream, client)
  }

  /** A side that breaks breaks the other; a side that has only ended still receives. */
  function tie(connection: Connection, socket: Socket, other: Socket): void {
    socket.once('error', () => connection.answer === 'dropped' || reset(other))
    socket.once('close', () => void (other.destroyed && connections.delete(connection)))
  }

  function receive(connection: Connection, direction: Direction, chunk: Buffer): boolean {
    bytes[direction] += chunk.length
    notify(connection, direction, 'received', chunk)
    if (connection.answer === 'passes' || direction === 'up') return true
    if (connection.answer === 'awaited') {
      connection.answer = 'dropped'
      reset(connection.client)
      connection.upstream.end()
    }
    return false
  }

  function notify(connection: Connection, direction: Direction, moment: Watch['moment'], chunk: Buffer): void {
    for (const watch of watches) {
      if (watch.direction !== direction || watch.moment !== moment || !watch.matches(connection, chunk)) continue
      watches.delete(watch)
      watch.resolve(connection)
    }
  }

  function watch(direction: Direction, moment: Watch['moment'], match: BytesMatch): Promise<Connection> {
    const { promise, resolve, reject } = Promise.withResolvers<Connection>()
    watches.add({ direction, moment, matches: matcher(match), resolve, reject })
    return promise
  }

  async function dropNextAnswer(match: BytesMatch): Promise<void> {
    const connection = await watch('up', 'forwarded', match)
    connection.answer = 'awaited'
    await new Promise((resolve) => connection.upstream.once('close', resolve))
    if (connection.answer === 'awaited') throw new Error('the connection ended before the server had answered')
  }

  function cut(): number {
    const cutting = [...connections]
    for (const { client, upstream } of cutting) {
      reset(client)
      reset(upstream)
    }
    return cutting.length
  }

  async function close(): Promise<void> {
    cut()
    server.close()
    for (const watch of watches) watch.reject(new Error('the proxy was closed'))
    watches.clear()
  }

  return {
    port,
    get connections() {
      return connections.size
    },
    bytes,
    latency: (ms) => void (latencyMs = ms),
    blackHole(directions) {
      holding = directions
      for (const { flows } of connections) for (const flow of flows) flow.proceed()
    },
    cut,
    async refuse(refusing) {
      server.close()
      if (!refusing) server = await listen(port, accept)
    },
    received: (direction, match) => handled(watch(direction, 'received', match).then(() => undefined)),
    dropNextAnswer: (match = () => true) => handled(dropNextAnswer(match)),
    close,
    [Symbol.asyncDispose]: close,
  }
}

interface Connection {
  client: Socket
  upstream: Socket
  flows: readonly Flow[]
  answer: 'passes' | 'awaited' | 'dropped'
}

interface Watch {
  direction: Direction
  moment: 'received' | 'forwarded'
  matches(connection: Connection, chunk: Buffer): boolean
  resolve(connection: Connection): void
  reject(error: Error): void
}

/** libuv resets no connection that has been shut down, and Node then keeps its handle, and the process, for ever. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}

async function listen(port: number, accept: (client: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, accept).listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/** A text is found where the network cut it in two as well. */
function matcher(match: BytesMatch): Watch['matches'] {
  if (typeof match === 'function') return (_, chunk) => match(chunk)
  const tails = new WeakMap<Connection, Buffer>()
  const tailBytes = Buffer.byteLength(match) - 1
  return (connection, chunk) => {
    const bytes = Buffer.concat([tails.get(connection) ?? Buffer.alloc(0), chunk])
    tails.set(connection, bytes.subarray(Math.max(0, bytes.length - tailBytes)))
    return bytes.includes(match)
  }
}

/** A test that has failed elsewhere awaits no more; its proxy's close is no second failure. */
function handled(promise: Promise<void>): Promise<void> {
  promise.catch(() => undefined)
  return promise
}
