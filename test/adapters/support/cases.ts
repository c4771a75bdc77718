/** Every way to answer, and what must come of it. Each handler has changed the session before. */

import { readFileSync } from 'node:fs'
import { filePath, largeBody } from './routes.ts'

export interface Case {
  path: string
  method?: string
  status: number
  body?: string | Buffer
  headers?: Readonly<Record<string, string>>
  /** Set by the handler, or some middleware, besides ours. */
  cookies?: readonly string[]
}

const file = readFileSync(filePath)
const event = 'data: 1\n\ndata: 2\n\n'

export const cases: readonly Case[] = [
  { path: '/json', status: 200, body: '{"views":1,"same":true}', cookies: ['mine=1; Path=/'] },
  { path: '/json', method: 'HEAD', status: 200, cookies: ['mine=1; Path=/'] },
  { path: '/write', status: 200, body: 'one two', cookies: ['mine=1'] },
  { path: '/write-callbacks', status: 200, body: 'one two' },
  { path: '/end', status: 200, body: 'whole', headers: { 'content-length': '5' } },
  { path: '/end-then-status', status: 200, body: 'whole' },
  { path: '/redirect', status: 302, headers: { location: '/json' } },
  { path: '/file', status: 200, body: file },
  { path: '/file', method: 'HEAD', status: 200 },
  { path: '/pipe', status: 200, body: file },
  { path: '/pipeline', status: 200, body: file },
  { path: '/large', status: 200, body: largeBody() },
  { path: '/head/object', status: 201, body: 'whole', headers: { 'x-mine': 'a' }, cookies: ['mine=1', 'yours=2'] },
  { path: '/head/reason', status: 201, body: 'whole', headers: { 'x-mine': 'a' }, cookies: ['mine=1'] },
  { path: '/head/flat', status: 201, body: 'whole', headers: { 'x-mine': 'a' }, cookies: ['mine=1', 'yours=2'] },
  { path: '/head/pairs', status: 201, body: 'whole', headers: { 'x-mine': 'a' }, cookies: ['mine=1', 'yours=2'] },
  { path: '/head/flush', status: 201, body: 'whole', headers: { 'x-mine': 'a' }, cookies: ['mine=1'] },
  { path: '/head/then-set', status: 201, body: 'true ERR_HTTP_HEADERS_SENT', headers: { 'x-mine': 'a' } },
  { path: '/no-content', status: 204, body: '' },
  { path: '/not-modified', status: 304, body: '', headers: { etag: '"1"' } },
  { path: '/events', status: 200, body: event, headers: { 'content-type': 'text/event-stream' } },
]
