import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { type Duplex, PassThrough, pipeline } from 'node:stream'
import type { Dispatcher, Pool } from 'undici'
import type { Affinity, AffinityWalk } from '../affinity/index.ts'
import type { Sender } from './client-address.ts'
import { toRequestHeaders, toResponseHeaders } from './headers.ts'
import type { UnderWay } from './under-way.ts'

/** Methods that are not sent twice: nginx's list. */
const NON_IDEMPOTENT = new Set(['POST', 'LOCK', 'PATCH'])
const TIMEOUT_CODES = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_CONNECT_TIMEOUT', 'ETIMEDOUT'])
/** undici's refusal of a request that Node's parser let through, as a method or target that it does not know. */
const REFUSED_CODES = new Set(['UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED'])

/** A server was chosen for a request, or for another try of it. */
export interface GatewayChoice {
  readonly clientIp: string
  /** Name of the server. */
  readonly server: string
}

/** Where requests go. */
export interface Upstream {
  readonly affinity: Affinity
  readonly pools: ReadonlyMap<string, Pool>
  readonly underWay: UnderWay
  readonly onChoice: ((choice: GatewayChoice) => void) | undefined
}

/** A request to be answered. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly sender: Sender
  /** Set when the client asks to leave HTTP for another protocol. */
  readonly upgrade?: { readonly socket: Socket; readonly head: Buffer }
}

/** Sends one request to one server after the other until one answers, and the answer to the client. */
export class Forward implements Dispatcher.DispatchHandler {
  readonly #upstream: Upstream
  readonly #exchange: Exchange
  readonly #walk: AffinityWalk
  readonly #headers: string[]
  readonly #body: PassThrough | null
  #controller: Dispatcher.DispatchController | undefined
  #server = ''
  #isClientGone = false

  constructor(upstream: Upstream, exchange: Exchange) {
    const { request, response, sender } = exchange
    this.#upstream = upstream
    this.#exchange = exchange
    this.#walk = upstream.affinity.begin(sender.clientIp, request.headers)
    this.#headers = toRequestHeaders(request, sender)
    // undici reads a body once it is connected and not before, so after a refused connection it is still whole.
    this.#body = hasBody(request) ? request.pipe(new PassThrough()) : null
    this.#body?.on('error', () => {})
    response.once('close', () => {
      if (response.writableFinished) return
      this.#isClientGone = true
      this.#controller?.abort(new Error('the client went away'))
    })
  }

  /** Tries the next server; with none left the client gets `status`, the reason why the last one was given up. */
  tryNext(status = 502): void {
    const { request, sender, upgrade } = this.#exchange
    const name = this.#walk.next()?.name
    if (name === undefined) return this.#refuse(status)
    const pool = this.#upstream.pools.get(name)
    if (!pool) throw new Error(`the affinity chose ${JSON.stringify(name)}, which the gateway does not have`)
    this.#controller = undefined
    this.#server = name
    this.#upstream.underWay.begin(name)
    this.#upstream.onChoice?.({ clientIp: sender.clientIp, server: name })
    const { method = 'GET', url: path = '/', headers } = request
    pool.dispatch(
      {
        method,
        path,
        headers: this.#headers,
        body: this.#body,
        upgrade: upgrade ? (headers.upgrade ?? null) : null,
      },
      this,
    )
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#isClientGone) controller.abort(new Error('the client went away'))
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, _: unknown, message?: string): void {
    if (status < 200) return
    const { response } = this.#exchange
    response.writeHead(status, message, toResponseHeaders(toFlat(controller.rawHeaders)))
    // The head of a live stream must not wait for the first event; one of a short answer leaves together with its body.
    setImmediate(() => {
      if (!response.writableEnded && !response.destroyed) response.flushHeaders()
    })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const { response } = this.#exchange
    if (response.write(chunk)) return
    controller.pause()
    response.once('drain', () => controller.resume())
  }

  onResponseEnd(): void {
    this.#upstream.underWay.end(this.#server)
    this.#walk.succeeded()
    this.#exchange.response.end()
    this.#discardBody()
  }

  onResponseError(_: unknown, error: Error): void {
    this.#upstream.underWay.end(this.#server)
    const { response, request } = this.#exchange
    const code = 'code' in error ? String(error.code) : ''
    if (this.#isClientGone) return this.#walk.succeeded()
    if (response.headersSent) {
      this.#walk.succeeded()
      return this.#breakOff()
    }
    if (REFUSED_CODES.has(code)) {
      this.#walk.succeeded()
      return this.#refuse(400)
    }
    this.#walk.failed()
    const status = TIMEOUT_CODES.has(code) ? 504 : 502
    const isSent = this.#controller !== undefined
    if (isSent && (this.#body || NON_IDEMPOTENT.has(request.method ?? ''))) return this.#refuse(status)
    this.tryNext(status)
  }

  onRequestUpgrade(controller: Dispatcher.DispatchController, status: number, _: unknown, server: Duplex): void {
    const { response, upgrade } = this.#exchange
    if (!upgrade) throw new Error('undici upgrades only what was asked to be upgraded')
    const { socket, head } = upgrade
    response.detachSocket(socket)
    const headers = toResponseHeaders(toFlat(controller.rawHeaders))
    const protocol = this.#exchange.request.headers.upgrade ?? ''
    let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n`
    for (let index = 0; index < headers.length; index += 2) text += `${headers[index]}: ${headers[index + 1]}\r\n`
    socket.write(`${text}\r\n`, 'latin1')
    if (head.length > 0) server.write(head)
    pipeline(socket, server, socket, () => {
      this.#upstream.underWay.end(this.#server)
      this.#walk.succeeded()
      socket.destroy()
      server.destroy()
    })
  }

  #refuse(status: number): void {
    const { response } = this.#exchange
    if (this.#isClientGone) return
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' })
    response.end(`${status} ${STATUS_CODES[status]}\n`)
    this.#discardBody()
  }

  /** A half answer must not look like a whole one, and to HTTP/1.0 the orderly end of a connection is the end of a body. */
  #breakOff(): void {
    const { response, request } = this.#exchange
    if (request.httpVersion === '1.0') response.socket?.resetAndDestroy()
    response.destroy()
  }

  /** Reads away what the server did not want to read, so that the client's next request can come. */
  #discardBody(): void {
    const { request } = this.#exchange
    if (!this.#body) return
    request.unpipe(this.#body)
    request.resume()
  }
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

function toFlat(rawHeaders: Dispatcher.DispatchController['rawHeaders']): readonly (Buffer | string)[] {
  return Array.isArray(rawHeaders) ? rawHeaders : []
}
