/** `request.session`, typed by what the application registers. */

import Fastify from 'fastify'
import { createSessions, memoryStore, type Session } from 'sojourn'
import { session } from 'sojourn/fastify'
import 'sojourn/fastify/types'
import { expectType } from '../../equals.ts'

const sessions = createSessions({ store: memoryStore(), secret: undefined, initial: () => ({ views: 0 }) })

declare module 'sojourn' {
  interface Register {
    sessions: typeof sessions
  }
}

const app = Fastify()
await app.register(session(sessions))
app.get('/', async (request) => {
  expectType<Session<{ views: number }>>()(request.session)
  request.session.data.views += 1
  // @ts-expect-error -- no such field
  request.session.data.colour = 'red'
})
