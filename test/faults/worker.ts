/** One node of a fleet under fault: a bare `node:http` server on a mesh store, in a process that faults may hit. */

import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { withSession } from '../../src/adapters/node.ts'
import { createSessions, SojournError } from '../../src/index.ts'
import { meshStore, type MeshStoreOptions } from '../../src/stores/mesh/index.ts'
import { answer, json } from './answers.ts'

/** What a node is told, as JSON in its argument. */
export interface WorkerSettings {
  /** Port of 127.0.0.1 for visitors. */
  readonly http: number
  readonly mesh: MeshStoreOptions
  /** Takes visitors before its sessions are ready, as an application does that does not await `ready()`. */
  readonly listenFirst?: boolean
  /** Longest time for `close()`, in milliseconds. */
  readonly closeMs?: number
  /** Longest time for a call to the store, in milliseconds. Default: Sojourn's. */
  readonly deadlineMs?: number
}

/** What a node tells its parent. */
export type WorkerMessage =
  | { readonly kind: 'listening' | 'ready' }
  | { readonly kind: 'view'; readonly members: readonly string[] }
  | { readonly kind: 'failed'; readonly code: string | undefined; readonly message: string }
  /** All that reached it, and what it answered of that; `aborted`: the client went away first. */
  | { readonly kind: 'closed'; readonly received: number; readonly answered: number; readonly aborted: number }

const SECRET = 'q7Tz2KcW9vRn4XyB6mLp8JdH3sFg5AeU'

await main(JSON.parse(process.argv[2] ?? '{}') as WorkerSettings)

async function main({
  http,
  mesh,
  listenFirst = false,
  closeMs = 10_000,
  deadlineMs = 1_000,
}: WorkerSettings): Promise<void> {
  const sessions = createSessions({
    store: meshStore(mesh),
    secret: SECRET,
    deadline: deadlineMs,
    logger: { info: tellViews, warn: print, error: print },
  })
  const stale: unknown[] = []
  sessions.on('stale', (event) => stale.push(event))
  const counts = { received: 0, answered: 0, aborted: 0 }
  const act = withSession(sessions, (request, response) => answer(http, sessions, request, response))
  const server = createServer((request, response) => {
    counts.received += 1
    response.once('close', () => (counts[response.writableFinished ? 'answered' : 'aborted'] += 1))
    if (request.url === '/health') return void sessions.health().then((health) => json(response, health))
    if (request.url === '/stale') return json(response, stale)
    act(request, response)
  })

  let closing: Promise<void> | undefined
  const close = (): void => {
    closing ??= (async () => {
      if (server.listening) await new Promise((resolve) => server.close(resolve))
      await sessions.close({ deadline: closeMs })
      await tell({ kind: 'closed', ...counts })
      process.exit(0)
    })()
  }
  process.on('SIGTERM', close)
  process.once('disconnect', () => process.exit(1))

  if (listenFirst) await listen(server, http)
  try {
    await sessions.ready()
  } catch (error) {
    const { code, message } = error instanceof SojournError ? error : { code: undefined, message: String(error) }
    await tell({ kind: 'failed', code, message })
    if (!listenFirst) return close()
  }
  if (closing) return
  if (!listenFirst) await listen(server, http)
  await tell({ kind: 'ready' })
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  await tell({ kind: 'listening' })
}

function tellViews(facts: object): void {
  if ('members' in facts) void tell({ kind: 'view', members: facts.members as string[] })
}

function print(facts: object, message: string): void {
  console.log(message, facts)
}

function tell(message: WorkerMessage): Promise<void> {
  return new Promise((resolve) => (process.connected ? process.send?.(message, () => resolve()) : resolve()))
}
