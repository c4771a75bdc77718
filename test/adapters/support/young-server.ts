/** An application on Express whose parent reads what `--trace-gc` says of it. */

import express from 'express'
import type { AddressInfo } from 'node:net'
import { session } from '../../../src/adapters/express.ts'
import { createSessions, memoryStore } from '../../../src/index.ts'

const sessions = createSessions({
  store: memoryStore(),
  secret: 'Vb3nQx8tLr0yWz5kJm2hFd7gPc9sTa4e',
  initial: () => ({ views: 0, cart: Array.from({ length: 10 }, (_, sku) => ({ sku, name: 'tea' })) }),
})
const app = express()
app.use(session(sessions))
app.get('/login', async (req, res) => {
  await sessions.of(req).login('ada')
  res.end()
})
app.get('/read', (req, res) => void res.json(sessions.of(req).data.cart.length))
app.get('/write', (req, res) => void res.json((sessions.of(req).data.views += 1)))

const server = app.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
process.on('disconnect', () => process.exit())
