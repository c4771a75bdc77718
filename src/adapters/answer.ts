import { type ServerResponse, STATUS_CODES } from 'node:http'
import { SojournError } from '../core/index.ts'
import { setHeadersOf, statusOf } from './head.ts'

/** Headers that speak of a body that is not sent. */
const OF_THE_BODY = /^(content-.*|etag|last-modified|cache-control|expires|location|transfer-encoding|trailer)$/

/**
 * Answers an error where no framework does: its status and a short text. A response that has begun is destroyed, never
 * ended cleanly, so that nobody takes half of it for the whole.
 */
export function answerError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  for (const name of response.getHeaderNames()) if (OF_THE_BODY.test(name)) response.removeHeader(name)
  setHeadersOf(response, error)
  const status = statusOf(error)
  const code = error instanceof SojournError ? `: ${error.code}` : ''
  response.statusCode = status
  response.setHeader('content-type', 'text/plain; charset=utf-8')
  response.end(`${STATUS_CODES[status] ?? status}${code}\n`)
}
