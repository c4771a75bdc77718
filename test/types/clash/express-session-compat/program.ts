/** An application that moved and keeps `@types/express-session`, for the types of its sessions, and Passport and connect-flash. */

import flash from 'connect-flash'
import express from 'express'
import type { SessionData } from 'express-session'
import { createSessions, memoryStore } from 'sojourn'
import { session } from 'sojourn/express/compat'
import passport from 'passport'
import { expectType } from '../../equals.ts'

declare module 'express-session' {
  interface SessionData {
    views: number
    userId: string
  }
}

const sessions = createSessions({ store: memoryStore(), secret: undefined, initial: () => ({ views: 0 }) })

const app = express()
app.use(session(sessions), passport.session(), flash())
app.get('/', (req, res, next) => {
  expectType<SessionData['views'] | undefined>()(req.session.views)
  expectType<string>()(req.sessionID)
  req.session.userId = 'ada'
  req.session.regenerate((error) => {
    if (error) return next(error)
    req.session.save(() => res.redirect('/'))
  })
  req.logIn({ id: 'ada' }, next)
  req.flash('info', 'hello')
})
