/** A move from express-session: both sets of types in one program, without `sojourn/express/types`. */

import express from 'express'
import expressSession from 'express-session'
import { createSessions, memoryStore, type Session } from 'sojourn'
import { session } from 'sojourn/express'
import { expectType } from '../../equals.ts'

const sessions = createSessions({ store: memoryStore(), secret: undefined, initial: () => ({ views: 0 }) })

declare module 'express-session' {
  interface SessionData {
    cart: string[]
  }
}

const app = express()
app.use(expressSession({ secret: 'old' }), session(sessions))
app.get('/', (req) => {
  expectType<string[] | undefined>()(req.session.cart)
  expectType<Session<{ views: number }>>()(sessions.of(req))
})
