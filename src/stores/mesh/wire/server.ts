import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import type { HostAndPort } from './address.ts'
import type { RefusalLog } from './refusal-log.ts'
import type { WireSecurity } from './security.ts'

export interface WireServerOptions {
  readonly listen: HostAndPort
  readonly security: WireSecurity
  readonly handshakeMs: number
  readonly pendingMax: number
  readonly log: RefusalLog
  readonly onSecure: (socket: TLSSocket) => void
}

export interface WireServer {
  /** Rejects with the reason why it cannot listen. */
  listen(): Promise<HostAndPort>
  /** Takes no more connections and cuts those that are not secured yet. Resolves when every connection has ended. */
  close(): Promise<void>
}

/** Takes connections and secures them. Who has no secret is cut off with a TLS alert, and holds one of a few places until then. */
export function createWireServer({
  listen,
  security,
  handshakeMs,
  pendingMax,
  log,
  onSecure,
}: WireServerOptions): WireServer {
  const pending = new Map<string, Socket>()
  const server = createServer({ ...security.server, handshakeTimeout: handshakeMs, noDelay: true })

  server.on('connection', (socket: Socket) => {
    const place = placeOf(socket)
    if (pending.size >= pendingMax) evictOldest()
    pending.set(place, socket)
    socket.on('error', () => {})
    socket.once('close', () => void (pending.get(place) === socket && pending.delete(place)))
  })
  server.on('secureConnection', (socket) => {
    pending.delete(placeOf(socket))
    socket.on('error', () => {})
    if (security.isSecure(socket)) onSecure(socket)
    else socket.destroy()
  })
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    const reason = reasonOf(error.code ?? '')
    const facts = { address: socket.remoteAddress, code: error.code, reason }
    log.add('warn', `tls ${reason}`, facts, 'the mesh refused a connection')
    socket.destroy()
  })

  function evictOldest(): void {
    const [oldest] = pending
    if (!oldest) return
    const [place, socket] = oldest
    pending.delete(place)
    socket.destroy()
    const facts = { address: place, reason: `more than ${pendingMax} handshakes are under way` }
    log.add('warn', 'pending', facts, 'the mesh cut the oldest connection that was not secured yet')
  }

  return {
    async listen() {
      server.listen(listen)
      await once(server, 'listening') // rejects with the server's error
      server.on('error', (error) => log.add('warn', 'server', { err: error }, 'the mesh cannot take a connection'))
      const { address, port } = server.address() as AddressInfo
      return { host: address, port }
    },
    async close() {
      for (const socket of pending.values()) socket.destroy()
      if (!server.listening) return
      server.close()
      await once(server, 'close')
    },
  }
}

/** A secured socket and the one below it are told to be the same by it. */
function placeOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`
}

function reasonOf(code: string): string {
  switch (code) {
    case 'ERR_TLS_HANDSHAKE_TIMEOUT':
      return 'it did not finish the handshake'
    case 'ECONNRESET':
      return 'it ended in the handshake'
    case 'ERR_SSL_BINDER_DOES_NOT_VERIFY':
    case 'ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM':
      return 'it shares no secret with this node'
    default:
      return 'it did not speak TLS 1.3 as a node does'
  }
}
