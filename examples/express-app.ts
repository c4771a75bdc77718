import express from 'express'
import type { Sessions } from 'sojourn'
import { session } from 'sojourn/express'
import type { Item } from './sessions.ts'

type Shop = Sessions<{ theme: string; views: number; cart: Item[] }>

/** The application takes its sessions from outside, so that its tests can give it others. */
export function createApp(sessions: Shop): express.Express {
  const app = express()
  app.get('/healthz', async (_req, res) => {
    const health = await sessions.health()
    res.status(health.ok ? 200 : 503).json(health)
  })

  app.use(session(sessions, { skip: (req) => req.url?.startsWith('/assets/') ?? false }))
  app.use(express.json())

  app.get('/', async (req, res) => {
    const s = sessions.of(req)
    const views = await s.update('views', (count) => count + 1)
    res.json({ user: s.user, views, theme: s.data.theme, cart: s.data.cart })
  })
  app.post('/cart', async (req, res) => {
    const item: Item = { sku: String(req.body.sku), quantity: 1 }
    const cart = await sessions.of(req).update('cart', (items) => [...items, item])
    res.status(201).json(cart)
  })
  app.post('/login', async (req, res) => {
    // Check the password here. What the visitor put into the cart stays; `{ data: 'reset' }` would drop it.
    await sessions.of(req).login(String(req.body.user))
    res.redirect(303, '/')
  })
  app.post('/logout', async (req, res) => {
    await sessions.of(req).logout()
    res.redirect(303, '/')
  })
  return app
}
