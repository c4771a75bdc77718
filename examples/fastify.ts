/** The same shop on Fastify. */
import fastify, { type FastifyInstance } from 'fastify'
import { session } from 'sojourn/fastify'
import { sessions } from './sessions.ts'

const app: FastifyInstance = fastify()
await app.register(session(sessions))

app.get('/', async (request) => {
  const s = sessions.of(request)
  const views = await s.update('views', (count) => count + 1)
  return { user: s.user, views, theme: s.data.theme, cart: s.data.cart }
})
app.post<{ Body: { user: string } }>('/login', async (request, reply) => {
  await sessions.of(request).login(request.body.user)
  return reply.redirect('/', 303)
})
app.post('/logout', async (request, reply) => {
  await sessions.of(request).logout()
  return reply.redirect('/', 303)
})
app.addHook('onClose', () => sessions.close()) // Fastify has answered its requests by then

await sessions.ready()
console.log('listening', await app.listen({ port: Number(process.env.PORT ?? 3000), host: '127.0.0.1' }))
process.once('SIGTERM', () => void app.close().then(() => console.log('stopped')))
