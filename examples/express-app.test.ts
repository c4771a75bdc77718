/** An application's own tests: no login by hand, no waiting for a timeout. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestSessions } from 'sojourn/testing'
import request from 'supertest'
import { createApp } from './express-app.ts'
import type { Item } from './sessions.ts'

const initial = (): { theme: string; views: number; cart: Item[] } => ({ theme: 'light', views: 0, cart: [] })

test('a logged-in visitor sees the cart that was filled before', async () => {
  const sessions = createTestSessions({ initial })
  const { cookie } = await sessions.issue({ user: 'ada', data: { cart: [{ sku: 'tea', quantity: 2 }] } })
  const response = await request(createApp(sessions)).get('/').set('Cookie', cookie).expect(200)
  assert.equal(response.body.user, 'ada')
  assert.deepEqual(response.body.cart, [{ sku: 'tea', quantity: 2 }])
})

test('a visitor who comes back after the idle timeout is logged out', async () => {
  const sessions = createTestSessions({ initial, idleTimeout: '30m' })
  const { cookie } = await sessions.issue({ user: 'ada' })
  sessions.clock.advance('31m')
  const response = await request(createApp(sessions)).get('/').set('Cookie', cookie).expect(200)
  assert.equal(response.body.user, null)
})
