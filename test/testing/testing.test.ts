import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSessions, memoryStore } from '../../src/index.ts'
import { createTestSessions, issue } from '../../src/testing/index.ts'

test('issue() of test sessions gives a cookie that opens a logged-in session with its data', async () => {
  const sessions = createTestSessions({ initial: () => ({ theme: 'light', cart: [] as string[] }) })
  const { cookie, key } = await sessions.issue({ user: 'ada', data: { cart: ['tea'] } })
  const session = await sessions.open({ headers: { cookie } })
  assert.equal(session.user, 'ada')
  assert.equal(session.key, key)
  assert.deepEqual(session.data, { theme: 'light', cart: ['tea'] })
})

test("issue() works on an application's own sessions, with data alone too", async () => {
  await using sessions = createSessions({
    store: memoryStore(),
    secret: 'n2Jr8Xq0vZt5LwKe7BcYp1Hd6UfAs9Gm',
    initial: () => ({ views: 0 }),
  })
  const { cookie } = await issue(sessions, { data: { views: 3 } })
  const session = await sessions.open({ headers: new Headers({ cookie }) })
  assert.equal(session.user, null)
  assert.equal(session.data.views, 3)
})

test('issue() without a user or data says what to give', async () => {
  const sessions = createTestSessions({ initial: () => ({ views: 0 }) })
  for (const options of [undefined, {}, { data: {} }, { data: { views: 0 } }]) {
    await assert.rejects(sessions.issue(options), { name: 'TypeError', message: /give a user or data/ })
  }
})

test('the clock of test sessions ends a session by its idle timeout', async () => {
  const sessions = createTestSessions({ idleTimeout: '30m' })
  const { cookie } = await sessions.issue({ user: 'ada' })
  sessions.clock.advance('29m')
  assert.equal((await sessions.open({ headers: { cookie } })).user, 'ada')
  sessions.clock.advance('1m')
  assert.equal((await sessions.open({ headers: { cookie } })).user, null)
})
