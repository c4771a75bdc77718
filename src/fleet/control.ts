/** The demo's control of its fleet: who lives, told as it happens, and buttons to kill a node and to start it again. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Fleet } from './fleet.ts'

const EVENTS_PATH = '/demo/events'
const BODY_BYTES_MAX = 1_024

/** Every page that is open holds one; nobody needs as many. */
const STREAMS_MAX = 100

/** What the page is told, at once and again after each change. */
export interface FleetStatus {
  readonly store: string
  readonly affinity: string
  readonly nodes: readonly { readonly name: string; readonly pid: number; readonly alive: boolean }[]
}

/** Serves `/demo/…` on the gateway's own server, so that it answers even while every node is dead. Disposing ends the streams. */
export function controlFleet(fleet: Fleet, about: Omit<FleetStatus, 'nodes'>): Disposable {
  const streams = new Set<ServerResponse>()
  const status = (): string => {
    const nodes = fleet.nodes.map(({ name, pid, alive }) => ({ name, pid, alive }))
    return `data: ${JSON.stringify({ ...about, nodes } satisfies FleetStatus)}\n\n`
  }
  const tell = (): void => {
    for (const stream of streams) stream.write(status())
  }
  fleet.on('up', tell).on('down', tell)

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (!isLocal(request)) return answer(response, 403, 'the demo is controlled from this machine alone')
    if (request.method === 'GET' && request.url === EVENTS_PATH) {
      if (streams.size >= STREAMS_MAX) return answer(response, 503, 'too many pages are open')
      streams.add(response)
      response.once('close', () => streams.delete(response))
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      response.write(status())
      return
    }
    const action = request.method === 'POST' ? /^\/demo\/(kill|restart)$/.exec(request.url ?? '')?.[1] : undefined
    if (action === undefined) return answer(response, 404, 'there is no such control')
    if (!isOwnPage(request)) return answer(response, 403, 'only the page of the demo controls its nodes')
    const node = await nodeOf(request)
    if (!fleet.nodes.some(({ name }) => name === node)) return answer(response, 404, 'there is no such node')
    await (action === 'kill' ? fleet.kill(node) : fleet.restart(node))
    answer(response, 200, 'done')
  }

  const { server } = fleet.gateway
  const forwards = server.listeners('request')
  server.removeAllListeners('request')
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (!request.url?.startsWith('/demo/')) {
      for (const forward of forwards) Reflect.apply(forward, server, [request, response])
      return
    }
    serve(request, response).catch((error: unknown) => answer(response, 500, String(error)))
  })
  return {
    [Symbol.dispose]() {
      for (const stream of streams) stream.end()
    },
  }
}

/** A page of another site whose name was made to lead here (DNS rebinding) has its own name in Host. */
function isLocal({ headers }: IncomingMessage): boolean {
  return /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(headers.host ?? '')
}

/** Another site's page can send neither the header nor JSON without asking first, and nobody here says yes. */
function isOwnPage({ headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site'] ?? 'same-origin'
  return (
    headers['x-sojourn-demo'] === '1' &&
    headers['content-type'] === 'application/json' &&
    headers.origin === `http://${headers.host}` &&
    site === 'same-origin'
  )
}

async function nodeOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += String(chunk)
    if (text.length > BODY_BYTES_MAX) return ''
  }
  try {
    const body: unknown = JSON.parse(text)
    return String((body as { node?: unknown } | null)?.node)
  } catch {
    return ''
  }
}

function answer(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent) return void response.destroy()
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(JSON.stringify({ message }))
}
