import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Pool } from 'undici'
import { type Affinity, type AffinityServer, ipHash, roundRobin } from '../affinity/index.ts'
import { toSender, toTrust } from './client-address.ts'
import { type Exchange, Forward, type GatewayChoice, hasBody, type Upstream } from './forward.ts'
import { UnderWay } from './under-way.ts'

/** Clients, upgraded ones included; a client beyond it is dropped. Each holds at most one connection to a server. */
const CONNECTIONS_MAX = 4096
const CONNECT_TIMEOUT_DEFAULT_MS = 5000
const HEADERS_TIMEOUT_DEFAULT_MS = 60_000
const CLOSE_DEADLINE_DEFAULT_MS = 10_000

/** A server behind the gateway. */
export interface GatewayServer extends AffinityServer {
  /** Where it listens, as `http://127.0.0.1:3001`; `https` too. Without a path. */
  readonly url: string
}

/** Options of {@link createGateway}. */
export interface GatewayOptions {
  /** The servers, in the order that decides the choice. */
  readonly servers: readonly GatewayServer[]

  /**
   * How servers are chosen: as nginx does, by one of its names; or an `Affinity` over servers of the same names, such as
   * `ownerAffinity(servers)` of `sojourn/affinity`. Default: `'ip-hash'`.
   */
  readonly affinity?: 'ip-hash' | 'round-robin' | Affinity

  /**
   * Addresses and CIDR ranges of the proxies in front, and `unix:` for those on a Unix socket. Only their
   * X-Forwarded-For is believed, from the right up to the first address that is not listed. Default: none.
   */
  readonly trustProxy?: readonly string[]

  /** Longest time to connect to a server, in ms, before the next is tried. Default: `5000`. */
  readonly connectTimeout?: number

  /** Longest time from the end of a request to the head of its answer, in ms. Default: `60_000`. */
  readonly headersTimeout?: number

  /** Called for every choice, also for the second and later tries of a request. */
  readonly onChoice?: (choice: GatewayChoice) => void
}

/** Where a gateway listens. */
export interface GatewayListenOptions {
  /** Default: a free one. */
  readonly port?: number
  /** Default: `'127.0.0.1'`. */
  readonly host?: string
}

/** How long requests in flight may take to end. */
export interface GatewayCloseOptions {
  /** In ms; those that take longer are broken off by {@link Gateway.close}, and not waited for by {@link Gateway.drain}. Default: `10_000`. */
  readonly deadline?: number
}

/** A running reverse proxy. */
export interface Gateway extends AsyncDisposable {
  /** The HTTP server, for its events and address. */
  readonly server: Server

  /** Listens, and resolves to the gateway's URL; rejects with the system's error, as EADDRINUSE. */
  listen(options?: GatewayListenOptions): Promise<string>

  /** Takes a server out, or back in, for requests that begin later; its connections go on. */
  setDown(name: string, down: boolean): void

  /**
   * Takes a server out, and resolves when the requests that it has are answered, or at the deadline: so it can be stopped
   * without one that fails, also of those that are not sent twice. {@link Gateway.setDown} takes it back in.
   */
  drain(name: string, options?: GatewayCloseOptions): Promise<void>

  /** Stops listening, lets requests in flight end until the deadline, and ends every connection. May be called twice. */
  close(options?: GatewayCloseOptions): Promise<void>
}

/**
 * Makes a reverse proxy for development and demonstrations; production uses nginx, HAProxy or Envoy. It opens
 * nothing before {@link Gateway.listen}.
 *
 * A server that refuses the connection, or closes it or is silent before it answers, counts as failed as in nginx, and
 * the next is tried, unless the request had been sent and is a POST, LOCK or PATCH or has a body. With none left the
 * client gets 502, or 504 after a time-out. Bodies stream both ways, upgrades such as WebSocket pass.
 * X-Forwarded-For, -Proto and -Host tell the servers who asked; what a client itself claims there is replaced.
 *
 * @throws TypeError when a server, the affinity or an address in `trustProxy` is not valid.
 */
export function createGateway(options: GatewayOptions): Gateway {
  const upstream = toUpstream(options)
  const isTrusted = toTrust(options.trustProxy ?? [])
  const upgraded = new Set<Socket>()
  const server = createServer()
  server.maxConnections = CONNECTIONS_MAX
  let closed: Promise<void> | undefined

  const forward = (exchange: Omit<Exchange, 'sender'>): void => {
    const { request, response } = exchange
    const sender = toSender(request.socket.remoteAddress, joined(request.headers['x-forwarded-for']), isTrusted)
    if (closed) response.shouldKeepAlive = false
    // Answered connections are idle only after this event, too late for the sweep that began the close.
    response.once('close', () => closed && setImmediate(() => server.closeIdleConnections()))
    new Forward(upstream, { ...exchange, sender }).tryNext()
  }

  server.on('request', (request, response) => forward({ request, response }))
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    upgraded.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => upgraded.delete(socket))
    if (hasBody(request)) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
    else forward({ request, response: toUpgradeResponse(request, socket), upgrade: { socket, head } })
  })

  const close = async ({ deadline = CLOSE_DEADLINE_DEFAULT_MS }: GatewayCloseOptions = {}): Promise<void> => {
    const ended = new Promise((resolve) => server.close(resolve))
    const timer = setTimeout(() => {
      server.closeAllConnections()
      for (const socket of upgraded) socket.destroy()
    }, deadline)
    await ended
    clearTimeout(timer)
    await Promise.all([...upstream.pools.values()].map((pool) => pool.destroy()))
  }

  return {
    server,
    async listen({ port = 0, host = '127.0.0.1' } = {}) {
      server.listen(port, host)
      await once(server, 'listening')
      return toUrl(server)
    },
    setDown: (name, down) => upstream.affinity.setDown(name, down),
    async drain(name, { deadline = CLOSE_DEADLINE_DEFAULT_MS } = {}) {
      upstream.affinity.setDown(name, true)
      await upstream.underWay.none(name, deadline)
    },
    close: (closeOptions) => (closed ??= close(closeOptions)),
    [Symbol.asyncDispose]: () => (closed ??= close()),
  }
}

function toUpstream({ servers, affinity = 'ip-hash', ...options }: GatewayOptions): Upstream {
  const pools = new Map<string, Pool>()
  const chosen = toAffinity(servers, affinity)
  const { connectTimeout = CONNECT_TIMEOUT_DEFAULT_MS, headersTimeout = HEADERS_TIMEOUT_DEFAULT_MS } = options
  for (const { name, url } of servers) {
    // A live stream may be silent for long: the body has no time-out, it ends with the client or the server.
    const timeouts = { connect: { timeout: connectTimeout }, headersTimeout, bodyTimeout: 0 }
    pools.set(name, new Pool(toOrigin(name, url), { ...timeouts, allowH2: false }))
  }
  for (const { name } of chosen.servers) {
    if (!pools.has(name)) throw new TypeError(`affinity has a server ${JSON.stringify(name)} that servers has not`)
  }
  return { affinity: chosen, pools, underWay: new UnderWay(), onChoice: options.onChoice }
}

function toAffinity(servers: readonly GatewayServer[], affinity: GatewayOptions['affinity']): Affinity {
  if (affinity === 'ip-hash') return ipHash(servers)
  if (affinity === 'round-robin') return roundRobin(servers)
  if (typeof affinity === 'object' && typeof affinity.begin === 'function') return affinity
  throw new TypeError(
    `affinity must be "ip-hash", "round-robin" or an Affinity, such as ownerAffinity(servers), not ${JSON.stringify(affinity)}`,
  )
}

function toOrigin(name: string, url: string): string {
  const parsed = URL.parse(url)
  if (!parsed || !/^https?:$/.test(parsed.protocol) || parsed.origin !== parsed.href.replace(/\/$/, '')) {
    throw new TypeError(`url of server ${JSON.stringify(name)} must be like "http://127.0.0.1:3001", without a path`)
  }
  return parsed.origin
}

/** Node makes no response for an upgrade, and a server may well answer one with 401. */
function toUpgradeResponse(request: IncomingMessage, socket: Socket): ServerResponse {
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(socket)
  socket.setTimeout(0)
  socket.on('drain', () => response.emit('drain'))
  response.once('finish', () => socket.end())
  return response
}

function toUrl(server: Server): string {
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('a server that listens on a port has an address')
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `http://${host}:${address.port}`
}

function joined(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(',') : header
}
