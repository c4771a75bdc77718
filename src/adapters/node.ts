/**
 * Sessions for a server of `node:http` without a framework.
 *
 * Exported from `sojourn/node`.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Session, type Sessions, SojournError } from '../core/index.ts'
import { answerError } from './answer.ts'
import { checkArguments } from './arguments.ts'
import { holdResponse, SessionCommitter } from './gate.ts'
import { setHeadersOf } from './head.ts'

/** A listener as `createServer` takes it. What an async one rejects with is an error of the request. */
export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => unknown

/** Options of {@link withSession}. */
export interface NodeSessionOptions {
  /** Requests without a session, such as those for assets: no store call is made, and `sessions.of` throws `no_session`. Default: none. */
  skip?: ((request: IncomingMessage) => boolean) | undefined

  /**
   * Answers a request whose session could not be read or written, or whose handler threw. After a failed commit the
   * response is as if the handler had written nothing, with the error's status and `Retry-After` set.
   *
   * Default: answers the error's `status` (500 where it has none) with a short text, or destroys a response that has
   * begun; an error that is not a {@link SojournError} is printed too.
   */
  onError?: ((error: unknown, request: IncomingMessage, response: ServerResponse) => void) | undefined
}

/**
 * Gives a listener a session for each request: `sessions.of(request)`. The session is read before the handler is called
 * and written, whole, before the first byte of its response, also where the client has gone away by then. A handler that
 * never answers writes nothing but what it saved itself.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http'
 * import { withSession } from 'sojourn/node'
 *
 * createServer(
 *   withSession(sessions, async (request, response) => {
 *     const views = await sessions.of(request).update('views', (n) => n + 1)
 *     response.end(`${views} views`)
 *   }),
 * ).listen(3000)
 * ```
 */
export function withSession<Data extends object>(
  sessions: Sessions<Data>,
  handler: NodeHandler,
  options: NodeSessionOptions = {},
): (request: IncomingMessage, response: ServerResponse) => void {
  checkArguments('withSession(sessions, handler)', sessions, options, ['skip', 'onError'])
  if (typeof handler !== 'function') throw new TypeError('withSession(sessions, handler): handler is a function')
  const { skip, onError = answerAndPrint } = options
  return (request, response) => {
    const fail = (error: unknown): void => onError(error, request, response)
    void serve().catch(fail)

    async function serve(): Promise<void> {
      if (!skip?.(request)) {
        const session = await open()
        response.on('close', () => sessions.finish(session))
        holdResponse(response, new SessionCommitter(sessions, session), fail)
      }
      await handler(request, response)
    }

    async function open(): Promise<Session<Data>> {
      try {
        return await sessions.open(request)
      } catch (error) {
        setHeadersOf(response, error)
        throw error
      }
    }
  }
}

function answerAndPrint(error: unknown, _: IncomingMessage, response: ServerResponse): void {
  if (!(error instanceof SojournError)) console.error(error)
  answerError(response, error)
}
