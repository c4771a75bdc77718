/** An Express server that starts, serves and stops in the right order. */
import { createApp } from './express-app.ts'
import { sessions } from './sessions.ts'

await sessions.ready() // rejects with the reason, before the first visitor meets it
const server = createApp(sessions).listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  console.log('listening', server.address())
})

async function stop(): Promise<void> {
  await new Promise((resolve) => server.close(resolve)) // first: take no more requests, answer those under way
  await sessions.close({ deadline: '5s' }) // then: nothing needs a session any more
  console.log('stopped')
}
process.once('SIGTERM', () => void stop())
