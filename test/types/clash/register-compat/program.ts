/** `req.session` of `sojourn/express/compat`, typed by what the application registers. */

import express from 'express'
import { createSessions, memoryStore } from 'sojourn'
import { type RequestSession, session } from 'sojourn/express/compat'
import 'sojourn/express/types'
import { expectType } from '../../equals.ts'

interface Data {
  views: number
  userId?: string
}

const sessions = createSessions({ store: memoryStore(), secret: undefined, initial: (): Data => ({ views: 0 }) })

declare module 'sojourn' {
  interface Register {
    requestSession: RequestSession<Data>
  }
}

const app = express()
app.use(session(sessions, { user: (data) => data.userId, skip: (req) => req.path === '/health' }))
app.get('/', (req, res) => {
  expectType<RequestSession<Data>>()(req.session)
  req.session.views++
  delete req.session.userId
  // @ts-expect-error -- no such field
  req.session.colour = 'red'
  // @ts-expect-error -- nothing of the cookie can be set
  req.session.cookie.maxAge = 5
  req.session
    .touch()
    .save((error) => res.json({ error, id: req.session.id, expires: req.session.cookie.expires.getTime() }))
})
// @ts-expect-error -- a user is text or a number
session(sessions, { user: (data) => ({ id: data.userId }) })
// @ts-expect-error -- an option of express-session
session(sessions, { resave: false })
