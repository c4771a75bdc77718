/** A server as it is after the move, once for each way of moving: express-session with `both` and `new`, @fastify/session with `both`. */

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { session } from '../../../src/adapters/express.ts'
import { createSessions } from '../../../src/index.ts'
import {
  connectRedis,
  fastifySession,
  type OldSessionsDefinition,
  redisStore,
} from '../../../src/stores/redis/index.ts'
import { asked, held, OLD_SECRET, type Ways } from './support.ts'

const [, , url = '', secret = ''] = process.argv

interface Data {
  cart?: string
  n: number
  [field: string]: unknown
}

const moving = {
  secret: [OLD_SECRET],
  user: (old: { userId?: string }) => old.userId,
  data: (old: object) => {
    const { cookie: _, userId: __, ...data } = old as Record<string, unknown>
    return data
  },
  save: ({ data, user }: { data: object; user: string | null }) => ({ ...data, userId: user ?? undefined }),
  cookieOptions: { maxAge: 3_600_000, secure: false },
}
const urls: Ways = {
  both: await start('both:', connectRedis({ ...moving, write: 'both' })),
  new: await start('new:', connectRedis({ ...moving, write: 'new' })),
  fastify: await start('fastify:', fastifySession({ ...moving, write: 'both' })),
}
process.send?.(urls)

async function start(keyPrefix: string, migrateFrom: OldSessionsDefinition): Promise<string> {
  const sessions = createSessions<Data>({
    store: redisStore({ url, keyPrefix, migrateFrom }),
    secret,
    initial: () => ({ n: 0 }),
    deadline: '20s',
  })
  await sessions.ready()
  const app = express().use(session(sessions))
  const answer: express.RequestHandler = (req, res) => {
    const { user, data, key } = sessions.of(req)
    res.json({ kind: 'new', user, key, data: { ...data, ...(user === null ? {} : { userId: user }) } })
  }
  app.get('/', answer)
  app.get('/stats', (_, res) => void res.json(sessions.stats()))
  app.post('/set', (req, res, next) => {
    sessions.of(req).data[asked(req, 'name')] = asked(req, 'value')
    answer(req, res, next)
  })
  app.post('/add', async (req, res, next) => {
    await sessions.of(req).update('n', (n) => n + 1)
    answer(req, res, next)
  })
  app.post('/held', async (req, res, next) => {
    const { data } = sessions.of(req)
    await held()
    data[asked(req, 'name')] = asked(req, 'value')
    answer(req, res, next)
  })
  app.post('/login', async (req, res, next) => {
    await sessions.of(req).login(asked(req, 'user'))
    answer(req, res, next)
  })
  app.post('/logout', async (req, res) => {
    await sessions.of(req).logout()
    res.json({ kind: 'new', data: {} })
  })
  app.post('/revoke', async (req, res) => void res.json(await sessions.revoke(asked(req, 'key'))))
  app.post('/outside', async (req, res) => {
    const key = asked(req, 'key')
    res.json(await sessions.update(key, 'n', (n) => n + 1))
  })
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
