/** What the compiler must infer, take and refuse. Compiled, never run. */

import { createSessions, memoryStore, type Session } from 'sojourn'
import { z } from 'zod'
import { expectType } from './equals.ts'

interface Item {
  id: string
}

const store = memoryStore()
const secret = process.env['SESSION_SECRET'] // string | undefined: refused at start, not by the compiler
const request = { headers: {} }

// Data comes from `initial`.
const shop = createSessions({ store, secret, initial: () => ({ theme: 'light', cart: [] as Item[] }) })
const visit = shop.of(request)
expectType<Session<{ theme: string; cart: Item[] }>>()(visit)
expectType<Promise<Item[]>>()(visit.update('cart', (cart) => [...cart, { id: '1' }]))
visit.data.theme = 'dark'
visit.data = { theme: 'dark', cart: [] }
// @ts-expect-error -- no such field
visit.data.colour = 'red'
// @ts-expect-error -- a theme is text
visit.data.theme = 1
// @ts-expect-error -- no such field
void visit.update('colour', () => 'red')
// @ts-expect-error -- computes another type
void visit.update('theme', () => 1)
// @ts-expect-error -- an async function would be called again while it runs
void visit.update('theme', async () => 'dark')
// @ts-expect-error -- a user is text
void visit.login(42)
// @ts-expect-error -- given by the store
visit.user = 'ada'

// … or from a schema: what it puts out, defaults applied.
const account = createSessions({
  store,
  secret,
  schema: z.object({ views: z.number().default(0), role: z.enum(['reader', 'author']).optional() }),
})
expectType<Session<{ views: number; role?: 'reader' | 'author' | undefined }>>()(account.of(request))

// … or is said.
const said = createSessions<{ views: number }>({ store, secret })
expectType<Session<{ views: number }>>()(said.of(request))
expectType<Session<Record<string, unknown>>>()(createSessions({ store, secret }).of(request))

// Both together have to agree.
createSessions({ store, secret, initial: () => ({ views: 0 }), schema: z.object({ views: z.number() }) })
// @ts-expect-error -- `initial` makes what the schema refuses
createSessions({ store, secret, initial: () => ({ views: '0' }), schema: z.object({ views: z.number() }) })

// Two in one program keep their types apart.
// @ts-expect-error -- a session of the other
void shop.commit(account.of(request))

// Options.
createSessions({
  store,
  secret: [secret, process.env['SESSION_SECRET_OLD']],
  idleTimeout: '30m',
  absoluteTimeout: 3_600_000,
})
// @ts-expect-error -- not a duration
createSessions({ store, secret, idleTimeout: 'half an hour' })
// @ts-expect-error -- no such option
createSessions({ store, secret, timeout: '30m' })
// @ts-expect-error -- a store is needed
createSessions({ secret })
// @ts-expect-error -- a secret is needed, if only an undefined one
createSessions({ store })
// With exactOptionalPropertyTypes too an option that is undefined is as one that is left out.
createSessions({ store, secret, idleTimeout: undefined, maxSessionsPerUser: undefined, cookie: { name: undefined } })

// Events.
shop.on('ended', ({ key, reason }) => {
  expectType<string>()(key)
  expectType<'logout' | 'revoked' | 'stolen' | 'dropped' | 'invalid' | 'replaced' | 'refused' | 'elsewhere'>()(reason)
})
// @ts-expect-error -- no such event
shop.on('gone', () => {})
