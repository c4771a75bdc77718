import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { parseAddress } from './address.ts'
import type { WireSecurity } from './security.ts'

/**
 * Why an address was not reached. `refused`: nobody listens there. `secret`: somebody does, and shares no secret with this
 * node. `unreachable`: anything else.
 */
export type DialFailure = 'refused' | 'secret' | 'unreachable'

export class DialError extends Error {
  override readonly name: string = 'DialError'
  readonly failure: DialFailure

  constructor(failure: DialFailure, message: string, cause?: unknown) {
    super(message, { cause })
    this.failure = failure
  }
}

/**
 * Opens a secured connection, trying the secrets of this node one after the other.
 *
 * @param deadlineMs for each secret
 * @throws DialError
 */
export async function dial(
  address: string,
  security: WireSecurity,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const target = parseAddress(address)
  if (!target) throw new DialError('unreachable', 'it is not host:port')
  let failure = new DialError('secret', 'there is no secret')
  for (const client of security.clients) {
    try {
      return await open({ ...client, ...target }, security, deadlineMs, signal)
    } catch (error) {
      failure = toDialError(error)
      if (failure.failure !== 'secret') throw failure
    }
  }
  throw failure
}

function open(
  options: ConnectionOptions,
  security: WireSecurity,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>()
  const socket = connect(options)
  const give = (failure: DialFailure, message: string): void => void socket.destroy(new DialError(failure, message))
  const deadline = setTimeout(() => give('unreachable', `no handshake within ${deadlineMs} ms`), deadlineMs).unref()
  const abort = (): void => give('unreachable', 'the node is closing')
  signal.addEventListener('abort', abort, { once: true })
  let isConnected = false
  socket.once('connect', () => (isConnected = true))
  socket.on('error', (error) => reject(isConnected ? new HandshakeError(error) : error))
  socket.once('close', () => reject(new DialError('unreachable', 'the connection was cut in the handshake')))
  socket.once('secureConnect', () => {
    if (security.isSecure(socket)) resolve(socket)
    else give('secret', 'the server did not show the secret')
  })
  if (signal.aborted) abort()
  return promise.finally(() => {
    clearTimeout(deadline)
    signal.removeEventListener('abort', abort)
  })
}

/** The connection stood, and the handshake on it failed. */
class HandshakeError extends Error {
  constructor(cause: unknown) {
    super('handshake', { cause })
  }
}

function toDialError(error: unknown): DialError {
  if (error instanceof DialError) return error
  if (error instanceof HandshakeError) {
    if (error.cause instanceof DialError) return error.cause
    const code = codeOf(error.cause)
    // A TLS alert or a certificate that does not hold. An errno is the network's, or of a server that is full.
    return /^E(?!RR_)/.test(code)
      ? new DialError('unreachable', code, error.cause)
      : new DialError('secret', 'it shares no secret with this node', error.cause)
  }
  const code = codeOf(error)
  return code === 'ECONNREFUSED' ? new DialError('refused', code, error) : new DialError('unreachable', code, error)
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
