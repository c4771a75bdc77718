/**
 * The Express server as a fleet that keeps its sessions itself. `kubernetes/` and `compose.yaml` run it; by hand, on one
 * machine: `MESH_PEERS=127.0.0.1:7373,127.0.0.1:7374`, and for each process its own `MESH_NAME=127.0.0.1 MESH_PORT PORT`.
 */
import { readFileSync } from 'node:fs'
import { createSessions } from 'sojourn'
import { meshStore } from 'sojourn/mesh'
import { createApp } from './express-app.ts'
import type { Item } from './sessions.ts'

/** Orchestrators give 30 s from SIGTERM to SIGKILL; with a pause of 5 s before SIGTERM, these two still fit. */
const ANSWER_MS = 5_000
const CLOSE_MS = 10_000

const {
  HOST = '0.0.0.0',
  PORT = '3000',
  MESH_HOST = '0.0.0.0',
  MESH_PORT = '7373',
  MESH_NAME, // by which the others reach this node; the same after a restart
  MESH_PEERS = '', // a name that has every node's address, or addresses with commas between
  MESH_ZONE,
  SESSION_SECRET,
  SESSION_SECRET_FILE, // one secret a line: the first signs, all open
} = process.env
const port = Number(MESH_PORT)

const sessions = createSessions({
  store: meshStore({
    listen: { host: MESH_HOST, port },
    address: MESH_NAME && `${MESH_NAME}:${port}`,
    peers: MESH_PEERS.includes(':') ? MESH_PEERS.split(',') : { dns: MESH_PEERS, port },
    zone: MESH_ZONE,
  }),
  secret: SESSION_SECRET_FILE ? readFileSync(SESSION_SECRET_FILE, 'utf8').trim().split(/\s+/) : SESSION_SECRET,
  initial: () => ({ theme: 'light', views: 0, cart: [] as Item[] }),
})

await sessions.ready() // joins the others; rejects with the reason
const server = createApp(sessions).listen(Number(PORT), HOST, () => console.log('listening', server.address()))

async function stop(): Promise<void> {
  const timer = setTimeout(() => server.closeAllConnections(), ANSWER_MS)
  await new Promise((resolve) => server.close(resolve)) // first: take no more requests, answer those under way
  clearTimeout(timer)
  await sessions.close({ deadline: CLOSE_MS }) // then: hand the sessions over to the nodes that stay
  console.log('stopped')
}
process.once('SIGTERM', () => void stop())
