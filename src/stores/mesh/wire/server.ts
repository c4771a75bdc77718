import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import type { PeerRefusal } from '../../../core/index.ts'
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

const NO_SECRET = 'it shares no secret with this node'

/** Takes connections and secures them. Who has no secret is cut off with a TLS alert, and holds one of a few places until then. */
export function createWireServer({
  listen,
  security,
  handshakeMs,
  pendingMax,
  log,
  onSecure,
}: WireServerOptions): WireServer {
  /** Those that have not shown the secret yet, by where they come from; the oldest first. */
  const pending = new Map<string, { readonly host: string | undefined; readonly socket: Socket }>()
  const server = createServer({ ...security.server, handshakeTimeout: handshakeMs, noDelay: true })

  server.on('connection', (socket: Socket) => {
    const place = placeOf(socket)
    if (pending.size >= pendingMax) evict()
    pending.set(place, { host: socket.remoteAddress, socket })
    socket.on('error', () => {})
    socket.once('close', () => {
      if (pending.get(place)?.socket !== socket) return
      pending.delete(place)
      refuse(place, 'silence', 'it ended in the handshake')
    })
  })
  server.on('secureConnection', (socket) => {
    pending.delete(placeOf(socket))
    socket.on('error', () => {})
    if (security.isSecure(socket)) return onSecure(socket)
    refuse(placeOf(socket), 'secret', NO_SECRET, socket.authorizationError?.toString())
    socket.destroy()
  })
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET') return // it is closed, and nobody knows any more where it came from
    pending.delete(placeOf(socket))
    refuse(placeOf(socket), ...reasonOf(error.code ?? ''), error.code)
    socket.destroy()
  })

  /** Cuts the oldest of the host that has most, so that a flood pushes out its own. */
  function evict(): void {
    const byHost = [...Map.groupBy(pending, ([, { host }]) => host).values()]
    const [victim] = byHost.reduce((most, other) => (other.length > most.length ? other : most), [])
    if (!victim) return
    const [place, { socket }] = victim
    pending.delete(place)
    refuse(place, 'full', `more than ${pendingMax} handshakes are under way`)
    socket.destroy()
  }

  function refuse(address: string, code: PeerRefusal['code'], reason: string, tls?: string): void {
    const facts = tls === undefined ? {} : { tls }
    log.refuse(`tls ${reason}`, { address, code, reason, isByPeer: false }, facts, 'the mesh refused a connection')
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
      const cut = [...pending.values()]
      pending.clear()
      for (const { socket } of cut) socket.destroy()
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

function reasonOf(code: string): [code: PeerRefusal['code'], reason: string] {
  switch (code) {
    case 'ERR_TLS_HANDSHAKE_TIMEOUT':
      return ['silence', 'it did not finish the handshake']
    case 'ERR_SSL_BINDER_DOES_NOT_VERIFY':
    case 'ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM':
      return ['secret', NO_SECRET]
    default:
      return ['format', 'it did not speak TLS 1.3 as a node does']
  }
}
