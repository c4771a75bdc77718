import type { OutgoingHttpHeader, ServerResponse } from 'node:http'
import { SojournError } from '../core/index.ts'

/** Status and headers of a response that has not begun. */
export interface Head {
  readonly statusCode: number
  readonly headers: readonly (readonly [name: string, value: OutgoingHttpHeader])[]
}

/** A copy of the response's status and headers. */
export function takeHead(response: ServerResponse): Head {
  const headers = response.getHeaderNames().map((name) => {
    const value = response.getHeader(name) ?? ''
    return [name, Array.isArray(value) ? [...value] : value] as const
  })
  return { statusCode: response.statusCode, headers }
}

/**
 * Takes back what a handler set, for an answer to this error: its status, and its headers (`Retry-After`) for a handler
 * of the application to keep or change.
 */
export function resetHead(response: ServerResponse, before: Head, error: unknown): void {
  const { sendDate } = response
  for (const name of response.getHeaderNames()) response.removeHeader(name)
  response.sendDate = sendDate // removing Date turned it off
  for (const [name, value] of before.headers) response.setHeader(name, value)
  response.statusCode = statusOf(error)
  response.statusMessage = ''
  setHeadersOf(response, error)
}

/** The HTTP status that an error asks for; 500 where it does not. */
export function statusOf(error: unknown): number {
  const status = typeof error === 'object' && error !== null && 'status' in error ? error.status : undefined
  return typeof status === 'number' && status >= 400 && status <= 599 ? status : 500
}

/** Adds a header of the session to a response. What else than a cookie a handler set for itself stays. */
export function addHeader(response: ServerResponse, name: string, value: string): void {
  if (name === 'set-cookie') response.appendHeader(name, value)
  else if (!response.hasHeader(name)) response.setHeader(name, value)
}

/** Sets {@link headersOf} an error. */
export function setHeadersOf(response: ServerResponse, error: unknown): void {
  for (const [name, value] of Object.entries(headersOf(error))) response.setHeader(name, value)
}

/** `Retry-After`, where the error is ours and a retry may help. */
export function headersOf(error: unknown): Readonly<Record<string, string>> {
  return error instanceof SojournError ? error.headers : {}
}

/**
 * Does what `writeHead(status[, reason][, headers])` does, without beginning the response. `headers` may be an object, a
 * flat array or an array of pairs; in both arrays a name may come twice.
 *
 * @returns `false` where the arguments are wrong, so that Node may say so
 */
export function applyHead(response: ServerResponse, args: unknown[]): boolean {
  const [status, reason] = args
  const headers = typeof reason === 'string' ? args[2] : (args[2] ?? reason)
  const statusCode = Math.trunc(Number(status))
  if (!(statusCode >= 100 && statusCode <= 999)) return false
  if (Array.isArray(headers)) {
    const lines = pairsOf(headers)
    if (!lines) return false
    for (const [name] of lines) response.removeHeader(name)
    for (const [name, value] of lines) response.appendHeader(name, value as string | string[])
  } else if (typeof headers === 'object' && headers !== null) {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value as OutgoingHttpHeader)
  }
  response.statusCode = statusCode
  if (typeof reason === 'string') response.statusMessage = reason
  return true
}

function pairsOf(headers: unknown[]): [string, unknown][] | undefined {
  if (Array.isArray(headers[0])) return headers as [string, unknown][]
  if (headers.length % 2 !== 0) return undefined
  const lines: [string, unknown][] = []
  for (let index = 0; index < headers.length; index += 2) lines.push([headers[index] as string, headers[index + 1]])
  return lines
}
