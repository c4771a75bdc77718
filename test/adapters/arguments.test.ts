import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { session as expressSession } from '../../src/adapters/express.ts'
import { session as fastifySession } from '../../src/adapters/fastify.ts'
import { withSession } from '../../src/adapters/node.ts'
import { createTestSessions } from '../../src/testing/index.ts'

type Adapter = (sessions: never, options: never) => unknown

const adapters: Readonly<Record<string, Adapter>> = {
  express: expressSession,
  fastify: fastifySession,
  node: (sessions, options) => withSession(sessions, () => {}, options),
}

for (const [name, adapt] of Object.entries(adapters)) {
  suite(`${name}: wrong arguments are a TypeError at once`, () => {
    test('nothing, a request (the adapter was not called), or options in place of the sessions', () => {
      for (const sessions of [undefined, null, { headers: {} }, { secret: 'x' }]) {
        assert.throws(() => adapt(sessions as never, {} as never), {
          name: 'TypeError',
          message: /createSessions\(\) returned: .*[sS]ession\(sessions/,
        })
      }
    })

    test('an option that is unknown, or no function', () => {
      const sessions = createTestSessions() as never
      for (const options of [{ skips: () => true }, { resave: false }]) {
        assert.throws(() => adapt(sessions, options as never), { name: 'TypeError', message: /no option .*skip/ })
      }
      assert.throws(() => adapt(sessions, { skip: '/x' } as never), {
        name: 'TypeError',
        message: /skip is a function/,
      })
      adapt(sessions, { skip: undefined } as never)
    })
  })
}

test('node: a handler that is missing, or stands before the sessions, is a TypeError', () => {
  assert.throws(() => withSession(createTestSessions(), undefined as never), { name: 'TypeError', message: /handler/ })
  assert.throws(() => withSession((() => {}) as never, createTestSessions() as never), { name: 'TypeError' })
})

test('express: without a response, as for an upgrade, it says what to do, and the process goes on', () => {
  const told: unknown[] = []
  const request = { headers: {} } as never
  expressSession(createTestSessions())(request, {} as never, (error) => told.push(error))
  assert.match(String(told[0]), /TypeError: .*sessions\.open\(request\)/)
})
