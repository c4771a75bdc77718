/** The Express server with WebSockets: a socket lives no longer than its session, on whichever server that ends. */
import { sessionUpgrade } from 'sojourn/ws'
import { WebSocketServer } from 'ws'
import { createApp } from './express-app.ts'
import { sessions } from './sessions.ts'

await sessions.ready()
const server = createApp(sessions).listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  console.log('listening', server.address())
})

const sockets = new WebSocketServer({ noServer: true, path: '/live' })
server.on('upgrade', sessionUpgrade(sessions, sockets, { requireUser: true }))
sockets.on('connection', (socket, request) => {
  const s = sessions.of(request)
  async function answer(): Promise<void> {
    const views = await s.update('views', (count) => count + 1)
    socket.send(JSON.stringify({ user: s.user, views }))
  }
  // The session may end between a message and its answer, and the store may be away.
  socket.on('message', () => void answer().catch((error: { code?: string }) => socket.close(1011, error.code)))
})

async function stop(): Promise<void> {
  const stopped = new Promise((resolve) => server.close(resolve)) // takes no more requests, and waits for sockets too
  for (const socket of sockets.clients) socket.close(1001)
  await stopped
  await sessions.close({ deadline: '5s' })
  console.log('stopped')
}
process.once('SIGTERM', () => void stop())
