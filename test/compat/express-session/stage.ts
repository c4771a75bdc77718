/** A server of one test: its routes on `req.session`, and what its error handler was told. */

import { EventEmitter, once } from 'node:events'

import type { Request, RequestHandler, Response } from 'express'
import { session, type CompatSessionOptions, type RequestSession } from '../../../src/compat/express-session/index.ts'
import type { SessionsOptions } from '../../../src/core/index.ts'
import { createTestSessions, type TestSessions } from '../../../src/testing/index.ts'
import type { Visitor } from '../../support/jar.ts'
import { answerError, dataOf, express5, type Fields, type Server, serve, shown } from './app.ts'

type Route = (
  session: RequestSession<Fields>,
  response: Response,
  request: Request,
  next: (error?: unknown) => void,
) => unknown

export interface Stage extends Server {
  readonly sessions: TestSessions<Fields>
  /** What came to the application's error handler. */
  readonly errors: unknown[]
  /** Emits each of them as `error`. */
  readonly told: EventEmitter
  readonly ask: (visitor: Visitor, path: string) => Promise<Answer>
  /** The data of the visitor's session and its user. */
  show(visitor: Visitor): Promise<{ data: unknown; user: string | null }>
}

export interface Answer {
  readonly status: number
  readonly body: unknown
  readonly cookies: string[]
}

export async function stage(
  routes: Readonly<Record<string, Route>>,
  options: CompatSessionOptions<Fields> = {},
  ofSessions: Partial<Pick<SessionsOptions<Fields>, 'store' | 'initial' | 'maxSessionsPerUser'>> = {},
): Promise<Stage> {
  const sessions = createTestSessions<Fields>(ofSessions)
  const errors: unknown[] = []
  const told = new EventEmitter().on('error', () => {})
  const app = express5()
  app.set('env', 'test')
  app.use(session(sessions, options))
  app.get('/show', (req, res) => void res.json({ data: dataOf(req), user: sessions.of(req).user }))
  for (const [path, route] of Object.entries(routes)) {
    app.get(path, ((req, res, next) => route(shown(req), res, req, next)) satisfies RequestHandler)
  }
  app.use(((error, _req, _res, next) => {
    errors.push(error)
    told.emit('error', error)
    next(error)
  }) satisfies typeof answerError)
  app.use(answerError)
  const server = await serve(app)
  const ask: Stage['ask'] = async (visitor, path) => {
    const response = await visitor.fetch(`${server.url}${path}`)
    const text = await response.text()
    const body: unknown = text.startsWith('{') ? JSON.parse(text) : text
    return { status: response.status, body, cookies: response.headers.getSetCookie() }
  }
  return {
    ...server,
    sessions,
    errors,
    told,
    ask,
    show: async (visitor) => (await ask(visitor, '/show')).body as { data: unknown; user: string | null },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

/** A handler's wait: it tells that it is there, and goes on when it is released. */
export interface Gate {
  readonly arrived: Promise<unknown>
  readonly release: () => void
  readonly pass: () => Promise<void>
}

export function gate(): Gate {
  const signals = new EventEmitter()
  const arrived = once(signals, 'arrived')
  const released = once(signals, 'released')
  return {
    arrived,
    release: () => void signals.emit('released'),
    async pass() {
      signals.emit('arrived')
      await released
    },
  }
}
