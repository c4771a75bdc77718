/** A program for a fleet: answers with its place, and fails to start where it is told to. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import { runProgram } from '../../../src/fleet/program.ts'

interface PlainSettings {
  /** Name of the node that does not start. */
  failing?: string
  /** Name of the node that exits before it is ready. */
  exiting?: string
}

await runProgram<PlainSettings>(async ({ name, port, settings }, secret) => {
  console.log(`pid ${process.pid}`)
  if (settings.exiting === name) {
    console.error('no place to stay')
    process.exit(3)
  }
  if (settings.failing === name) throw new Error('no luck today')
  const server = createServer((_, response) => response.end(JSON.stringify({ name, pid: process.pid, secret })))
  await once(server.listen(port, '127.0.0.1'), 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    stop: async () => void (await once(server.close(), 'close')),
  }
})
