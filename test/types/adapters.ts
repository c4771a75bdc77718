/** How the adapters sit in each framework's own types. Compiled, never run. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import express from 'express'
import Fastify from 'fastify'
import { createSessions, memoryStore, type Session } from 'sojourn'
import { session as expressSession, type SessionMiddleware } from 'sojourn/express'
import { session as fastifySession } from 'sojourn/fastify'
import { withSession } from 'sojourn/node'
import { sessionUpgrade } from 'sojourn/ws'
import { WebSocket, WebSocketServer } from 'ws'
import { expectType } from './equals.ts'

type Data = { views: number }
const sessions = createSessions({ store: memoryStore(), secret: undefined, initial: (): Data => ({ views: 0 }) })

// node:http
createServer(withSession(sessions, (request) => expectType<Session<Data>>()(sessions.of(request))))
createServer(withSession(sessions, async () => {}, { skip: ({ url }) => url === '/', onError: undefined }))
// @ts-expect-error -- no such option
withSession(sessions, () => {}, { skips: () => true })

// Express 5
const app = express()
app.use(expressSession(sessions))
app.use('/shop', expressSession(sessions, { skip: (req) => req.path.startsWith('/assets/') }), (req, res) => {
  expectType<Session<Data>>()(sessions.of(req))
  res.json(sessions.of(req).data)
})
express.Router().use(expressSession(sessions))
app.get('/', async (req, res) => void res.json(await sessions.of(req).update('views', (views) => views + 1)))
// @ts-expect-error -- no such option
expressSession(sessions, { skips: () => true })

// Express 4, whose handlers return nothing, and whose `next` takes what it takes.
interface Express4Request extends IncomingMessage {
  path: string
  originalUrl: string
  params: Record<string, string>
}
type Express4Handler = (
  req: Express4Request,
  res: ServerResponse & { json(body: unknown): unknown },
  next: { (error?: unknown): void; (deferToNext: 'router' | 'route'): void },
) => void
const middleware: SessionMiddleware = expressSession(sessions)
const handler: Express4Handler = middleware
void handler

// Fastify 5
const fastify = Fastify({ logger: true })
await fastify.register(fastifySession(sessions))
await fastify.register(fastifySession(sessions, { skip: ({ url }) => url.startsWith('/assets/') }))
await Fastify({ http2: true }).register(fastifySession(sessions))
fastify.get('/', async (request) => {
  expectType<Session<Data>>()(sessions.of(request))
  return sessions.of(request).data.views
})
// @ts-expect-error -- no such option
fastifySession(sessions, { skips: () => true })

// WebSockets of ws
const sockets = new WebSocketServer({ noServer: true })
createServer().on(
  'upgrade',
  sessionUpgrade(sessions, sockets, { requireUser: true, origins: ['https://shop.example'] }),
)
fastify.server.on('upgrade', sessionUpgrade(sessions, sockets, { isUse: (_, isBinary) => !isBinary, every: '2s' }))
sockets.on('connection', (socket, request) => {
  expectType<Session<Data>>()(sessions.of(request))
  socket.send('hello')
})
class Player extends WebSocket {
  score = 0
}
sessionUpgrade(sessions, new WebSocketServer({ noServer: true, WebSocket: Player }), {
  origins: (origin) => origin !== '',
})
// @ts-expect-error -- no such option
sessionUpgrade(sessions, sockets, { origin: 'https://shop.example' })

// fetch
const opened = await sessions.open(new Request('https://localhost/'))
expectType<Session<Data>>()(opened)
expectType<[name: string, value: string][]>()(await sessions.commit(opened))
