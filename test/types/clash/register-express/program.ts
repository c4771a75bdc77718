/** `req.session`, typed by what the application registers. */

import express from 'express'
import { createSessions, memoryStore, type Session } from 'sojourn'
import { session } from 'sojourn/express'
import 'sojourn/express/types'
import { expectType } from '../../equals.ts'

const sessions = createSessions({ store: memoryStore(), secret: undefined, initial: () => ({ views: 0 }) })

declare module 'sojourn' {
  interface Register {
    sessions: typeof sessions
  }
}

const app = express()
app.use(session(sessions))
app.get('/', (req) => {
  expectType<Session<{ views: number }>>()(req.session)
  req.session.data.views += 1
  // @ts-expect-error -- no such field
  req.session.data.colour = 'red'
})
