/** Two sessions in one application, each under a name of its own. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { suite, test } from 'node:test'
import express from 'express'
import fastify from 'fastify'
import { session as expressSession } from '../../src/adapters/express.ts'
import { session as fastifySession } from '../../src/adapters/fastify.ts'
import { withSession } from '../../src/adapters/node.ts'
import { createSessions, memoryStore, type Sessions } from '../../src/index.ts'
import { createVisitor } from '../support/jar.ts'
import { portOf } from '../support/ports.ts'

interface Data {
  n: number
}
type Both = readonly [shop: Sessions<Data>, admin: Sessions<Data>]

/** Counts in both and logs in at one; answers what both hold. */
async function handle([shop, admin]: Both, request: object): Promise<string> {
  const n = await shop.of(request).update('n', (value) => value + 1)
  if (n === 1) await admin.of(request).login('root')
  return `${n} ${shop.of(request).user} ${admin.of(request).user}`
}

const frameworks: Readonly<Record<string, (both: Both) => Promise<{ port: number; close(): unknown }>>> = {
  async express(both) {
    const app = express()
    for (const sessions of both) app.use(expressSession(sessions))
    app.get('/', async (request, response) => void response.send(await handle(both, request)))
    const server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return { port: portOf(server), close: () => server.close() }
  },
  async fastify(both) {
    const app = fastify()
    for (const sessions of both) await app.register(fastifySession(sessions))
    app.get('/', (request) => handle(both, request))
    await app.listen({ port: 0, host: '127.0.0.1' })
    return { port: portOf(app.server), close: () => app.close() }
  },
  async 'node:http'(both) {
    const [shop, admin] = both
    const listener = withSession(admin, async (request, response) => void response.end(await handle(both, request)))
    const server = createServer(withSession(shop, listener))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return { port: portOf(server), close: () => server.close() }
  },
}

suite('two sessions side by side', () => {
  for (const [name, serve] of Object.entries(frameworks)) {
    test(`on ${name} keep their own cookies, data and users`, async () => {
      const secret = randomBytes(32).toString('base64url')
      const options = { store: memoryStore(), secret, initial: (): Data => ({ n: 0 }) }
      const both = [createSessions(options), createSessions({ ...options, cookie: { name: '__Host-admin' } })] as const
      const server = await serve(both)
      const visitor = createVisitor()
      for (const wanted of ['1 null root', '2 null root']) {
        assert.equal(await (await visitor.fetch(`http://127.0.0.1:${server.port}/`)).text(), wanted)
      }
      const names = (await visitor.cookies()).map(({ key }) => key)
      assert.deepEqual(names.toSorted(), ['__Host-admin', '__Host-admin-v', '__Host-sid', '__Host-sid-v'])
      await server.close()
    })
  }
})
