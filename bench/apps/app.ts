/**
 * One variant of the benchmarks on Express, a process of its own: `app.ts VARIANT [REDIS_URL]`. Tells its port over IPC,
 * and its CPU time and number of requests whenever it is asked.
 */
import { RedisStore } from 'connect-redis'
import express from 'express'
import expressSession from 'express-session'
import { getIronSession, type IronSession } from 'iron-session'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createClient } from 'redis'
import { session } from '../../src/adapters/express.ts'
import { createSessions, memoryStore, type StoreDefinition } from '../../src/index.ts'
import { cookieStore } from '../../src/stores/cookie/index.ts'
import { redisStore } from '../../src/stores/redis/index.ts'
import { type BenchData, createBenchData } from './session-data.ts'

/** The peer's session: its types would clash with ours, which are in this program too. */
const peerSession = (req: express.Request): BenchData => (req as unknown as { session: BenchData }).session

const SECRET = 'Vb3nQx8tLr0yWz5kJm2hFd7gPc9sTa4e'
const [variant, redisUrl = ''] = process.argv.slice(2)
const app = express()
app.disable('x-powered-by')

switch (variant) {
  case 'express':
    app.get('/login', (_req, res) => void res.json({ ok: true }))
    app.get('/read', (_req, res) => void res.json({ views: 1 }))
    app.get('/read-object', (_req, res) => void res.json({ items: 10 }))
    app.get('/write', (_req, res) => void res.json({ views: 1 }))
    break
  case 'express-session': {
    const client = createClient({ url: redisUrl })
    await client.connect()
    const store = new RedisStore({ client })
    app.use(
      expressSession({ store, secret: SECRET, resave: false, saveUninitialized: false, cookie: { maxAge: 1_800_000 } }),
    )
    app.get('/login', (req, res) => {
      Object.assign(peerSession(req), createBenchData(), { user: 'user-1' })
      res.json({ ok: true })
    })
    app.get('/read', (req, res) => void res.json({ views: peerSession(req).views }))
    app.get('/read-object', (req, res) => void res.json({ items: peerSession(req).cart.length }))
    app.get('/write', (req, res) => {
      const data = peerSession(req)
      data.views += 1
      res.json({ views: data.views })
    })
    break
  }
  case 'iron-session': {
    const sessionOf = (req: express.Request, res: express.Response): Promise<IronSession<BenchData>> =>
      getIronSession<BenchData>(req, res, { password: SECRET, cookieName: 'iron' })
    app.get('/login', async (req, res) => {
      const data = await sessionOf(req, res)
      Object.assign(data, createBenchData(), { user: 'user-1' })
      await data.save()
      res.json({ ok: true })
    })
    app.get('/read', async (req, res) => void res.json({ views: (await sessionOf(req, res)).views }))
    app.get('/write', async (req, res) => {
      const data = await sessionOf(req, res)
      data.views = (data.views ?? 0) + 1
      await data.save()
      res.json({ views: data.views })
    })
    break
  }
  case 'sojourn':
    await useSojourn(redisStore({ url: redisUrl }))
    break
  case 'sojourn memory':
    await useSojourn(memoryStore())
    break
  case 'sojourn cookie':
    await useSojourn(cookieStore())
    break
  case 'sojourn cookie, not compressed':
    await useSojourn(cookieStore({ compress: 'never' }))
    break
  case 'sojourn cookie, with revocations':
    await useSojourn(cookieStore({ revocations: memoryStore() }))
    break
  default:
    throw new Error(`no variant ${variant}`)
}

let requests = 0
const server = createServer(app)
server.on('request', () => void (requests += 1))
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.({ cpuUs: user + system, requests })
})
process.on('disconnect', () => process.exit())

async function useSojourn(store: StoreDefinition): Promise<void> {
  const sessions = createSessions({ store, secret: SECRET, initial: createBenchData })
  await sessions.ready()
  app.use(session(sessions))
  app.get('/login', async (req, res) => {
    await sessions.of(req).login('user-1')
    res.json({ ok: true })
  })
  app.get('/logout', async (req, res) => {
    await sessions.of(req).logout()
    res.json({ ok: true })
  })
  app.get('/read', (req, res) => void res.json({ views: sessions.of(req).data.views }))
  app.get('/read-object', (req, res) => void res.json({ items: sessions.of(req).data.cart.length }))
  app.get('/write', (req, res) => {
    const { data } = sessions.of(req)
    data.views += 1
    res.json({ views: data.views })
  })
}
