/** Handlers on Node's own request and response: every framework has these. */

import { createReadStream } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Session } from '../../../src/core/index.ts'
import type { Data, Stage } from './stage.ts'

export type RawHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  session: Session<Data>,
  stage: Stage,
) => unknown

/** A file that every framework can send. */
export const filePath: string = fileURLToPath(new URL('routes.ts', import.meta.url))

export const LARGE_BYTES: number = 4 * 1024 * 1024

/** 4 MB of bytes that say where they stand. */
export function largeStream(): Readable {
  const size = 64 * 1024
  return Readable.from(
    (function* () {
      for (let at = 0; at < LARGE_BYTES; at += size) yield Buffer.alloc(size, `${at};`)
    })(),
  )
}

export function largeBody(): Buffer {
  const chunks: Buffer[] = []
  for (let at = 0; at < LARGE_BYTES; at += 64 * 1024) chunks.push(Buffer.alloc(64 * 1024, `${at};`))
  return Buffer.concat(chunks)
}

/** Each changes the session, then answers in its way. */
export const rawRoutes: Readonly<Record<string, RawHandler>> = {
  '/write': changed((_, response) => {
    response.setHeader('set-cookie', 'mine=1')
    response.write('one ')
    response.end('two')
  }),
  '/write-callbacks': changed(async (_, response) => {
    await new Promise((resolve) => response.write('one ', 'utf8', resolve))
    await new Promise<void>((resolve) => response.end('two', resolve))
  }),
  '/own-cache': changed((_, response) => {
    response.setHeader('cache-control', 'private, max-age=5')
    response.end('whole')
  }),
  '/end': changed((_, response) => response.end('whole')),
  '/end-then-status': changed((_, response) => {
    response.end('whole')
    response.statusCode = 500
  }),
  '/pipe': changed((_, response) => createReadStream(filePath).pipe(response)),
  '/pipeline': changed(async (_, response) => pipeline(createReadStream(filePath), response)),
  '/large': changed((_, response) => largeStream().pipe(response)),
  '/head/object': changed((_, response) => {
    response.writeHead(201, { 'X-Mine': 'a', 'Set-Cookie': ['mine=1', 'yours=2'] }).end('whole')
  }),
  '/head/reason': changed((_, response) => {
    response.writeHead(201, 'Fine', { 'x-mine': 'a', 'set-cookie': 'mine=1' })
    response.end('whole')
  }),
  '/head/flat': changed((_, response) => {
    response.setHeader('x-mine', 'replaced')
    response.writeHead(201, ['x-mine', 'a', 'set-cookie', 'mine=1', 'set-cookie', 'yours=2'])
    response.end('whole')
  }),
  '/head/pairs': changed((_, response) => {
    const pairs = [['x-mine', 'a'], ['set-cookie', 'mine=1'], ['set-cookie', 'yours=2']] // prettier-ignore
    response.writeHead(201, pairs as unknown as string[])
    response.end('whole')
  }),
  '/head/flush': changed((_, response) => {
    response.statusCode = 201
    response.setHeader('x-mine', 'a')
    response.setHeader('set-cookie', 'mine=1')
    response.flushHeaders()
    response.end('whole')
  }),
  '/head/then-set': changed((_, response) => {
    response.writeHead(201, { 'x-mine': 'a' })
    try {
      response.setHeader('x-mine', 'late')
    } catch (error) {
      response.end(`${response.headersSent} ${(error as { code: string }).code}`)
    }
  }),
  '/events': changed((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.flushHeaders()
    response.write('data: 1\n\n')
    response.end('data: 2\n\n')
  }),
  '/early-hints': changed((_, response) => {
    response.writeEarlyHints({ link: '</style.css>; rel=preload' })
    response.end('whole')
  }),
  '/trailers': changed((_, response) => {
    response.setHeader('trailer', 'x-sum')
    response.write('one ')
    response.addTrailers({ 'x-sum': '2' })
    response.end('two')
  }),
  '/ticks': changed((_, response, __, stage) => {
    // Goes on whatever the response says, as a careless source of events does.
    response.writeHead(200, { 'content-type': 'text/plain', etag: '"1"' })
    let ticking = setImmediate(tick)
    function tick(): void {
      response.write('tick ')
      ticking = setImmediate(tick)
    }
    response.on('close', () => {
      clearImmediate(ticking)
      response.write('late')
      response.end('later')
      stage.done()
    })
    response.write('tick ')
  }),
  '/gone': changed(async (_, response, session, stage) => {
    response.on('close', () => stage.done())
    await stage.during(session)
    session.data.theme = 'dark'
    response.end('unread')
  }),
  '/after/assign': changed(async (_, response, session, stage) => {
    await firstByte(response)
    session.data.theme = 'dark'
    response.end()
    stage.done()
  }),
  '/after': async (_, response, session, stage) => {
    await firstByte(response)
    await stage.after(session)
    response.end()
  },
}

function changed(handler: RawHandler): RawHandler {
  return (request, response, session, stage) => {
    session.data.views += 1
    return handler(request, response, session, stage)
  }
}

/** Resolves when a first byte was handed to the system. */
function firstByte(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => response.write('first ', () => resolve()))
}
