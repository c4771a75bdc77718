/** A server as it was before the move: real express-session or @fastify/session, with real connect-redis. */

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import fastifyCookie from '@fastify/cookie'
import fastifySession from '@fastify/session'
import { RedisStore } from 'connect-redis'
import express, { type Request, type Response } from 'express'
import expressSession from 'express-session'
import fastify from 'fastify'
import { createClient } from 'redis'
import { asked, held, OLD_SECRET } from './support.ts'

const [, , url = '', library] = process.argv

type Callback = (error?: unknown) => void

/** What the libraries put on a request; their types and ours of `req.session` cannot stand in one program. */
interface OldSession {
  [field: string]: unknown
  regenerate(after: Callback | readonly string[]): unknown
  destroy(after?: Callback): unknown
}

function sessionOf(request: object): OldSession {
  return (request as { session: OldSession }).session
}

const client = createClient({ url })
await client.connect()
const store = new RedisStore({ client, ttl: 3600 })

/** Everything but the cookie and the mark. */
function dataOf(session: object | null | undefined): object {
  const { cookie: _, sojourn: __, ...data } = { ...session } as Record<string, unknown>
  return data
}

const address = await (library === 'express' ? startExpress() : startFastify())
process.send?.({ url: `http://127.0.0.1:${address.port}` })

function answer(req: Request, res: Response): void {
  res.json({ kind: 'old', data: dataOf(sessionOf(req)) })
}

async function startExpress(): Promise<AddressInfo> {
  const app = express()
  app.use(
    expressSession({
      store,
      secret: OLD_SECRET,
      resave: false,
      saveUninitialized: false,
      cookie: { maxAge: 3_600_000 },
    }),
  )
  app.get('/', answer)
  app.post('/set', (req, res) => {
    sessionOf(req)[asked(req, 'name')] = asked(req, 'value')
    answer(req, res)
  })
  app.post('/held', async (req, res) => {
    await held()
    sessionOf(req)[asked(req, 'name')] = asked(req, 'value')
    answer(req, res)
  })
  app.post('/login', (req, res, next) => {
    const { cart } = sessionOf(req)
    sessionOf(req).regenerate((error) => {
      if (error) return next(error)
      Object.assign(sessionOf(req), { userId: asked(req, 'user'), cart })
      answer(req, res)
    })
  })
  // As applications do that know nothing of fixation.
  app.post('/user', (req, res) => {
    const user = asked(req, 'user')
    if (user === '') delete sessionOf(req)['userId']
    else sessionOf(req)['userId'] = user
    answer(req, res)
  })
  app.post('/logout', (req, res) => sessionOf(req).destroy(() => res.json({ kind: 'old', data: {} })))
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server.address() as AddressInfo
}

async function startFastify(): Promise<AddressInfo> {
  const app = fastify()
  await app.register(fastifyCookie)
  await app.register(fastifySession, {
    store,
    secret: OLD_SECRET,
    saveUninitialized: false,
    cookie: { secure: false, maxAge: 3_600_000 },
  })
  app.get('/', async (request) => ({ kind: 'old', data: dataOf(sessionOf(request)) }))
  app.post<{ Querystring: Record<string, string> }>('/set', async (request) => {
    const { name = '', value } = request.query
    sessionOf(request)[name] = value
    return { kind: 'old', data: dataOf(sessionOf(request)) }
  })
  app.post<{ Querystring: Record<string, string> }>('/login', async (request) => {
    await sessionOf(request).regenerate(['cart'])
    sessionOf(request)['userId'] = request.query['user']
    return { kind: 'old', data: dataOf(sessionOf(request)) }
  })
  app.post('/logout', async (request) => {
    await sessionOf(request).destroy()
    return { kind: 'old', data: {} }
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return app.server.address() as AddressInfo
}
