import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { session } from '../../../src/compat/express-session/index.ts'
import { createTestSessions } from '../../../src/testing/index.ts'
import { portOf } from '../../support/ports.ts'
import { type Fields, shown } from './app.ts'

test('an upgrade is given its session as the example of ws does it for express-session, and save() writes', async () => {
  const sessions = createTestSessions<Fields>()
  const { cookie, key } = await sessions.issue({ data: { userId: 'ada', count: 0 } })
  const parse = session(sessions)
  const sockets = new WebSocketServer({ noServer: true })
  const server = createServer()
  server.on('upgrade', (request, socket, head) => {
    parse(request as never, {} as never, (error) => {
      if (error || shown(request)['userId'] === undefined) return void socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n')
      sockets.handleUpgrade(request, socket, head, (connection) => {
        connection.on('message', () => {
          shown(request)['count'] = Number(shown(request)['count']) + 1
          shown(request).save((failure) => connection.send(failure ? 'failed' : 'saved'))
        })
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `ws://127.0.0.1:${portOf(server)}`

  const stranger = new WebSocket(url)
  const [refusal] = (await once(stranger, 'error')) as [Error]
  assert.match(refusal.message, /401/)

  const client = new WebSocket(url, { headers: { cookie } })
  await once(client, 'open')
  client.send('more')
  const [answer] = (await once(client, 'message')) as [Buffer]
  assert.equal(String(answer), 'saved')
  assert.deepEqual((await sessions.get(key))?.data, { userId: 'ada', count: 1 })

  client.terminate()
  sockets.close()
  server.closeAllConnections()
  await once(server.close(), 'close')
})
