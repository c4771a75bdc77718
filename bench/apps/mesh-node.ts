/**
 * One node of ours in the replication benchmark: a bare Node server on `meshStore`, with the requests that
 * `bench/tomcat/SessionServlet.java` answers too. Told how by one argument of JSON; says over IPC when it is ready.
 */
import { createServer } from 'node:http'
import { withSession } from '../../src/adapters/node.ts'
import { createSessions } from '../../src/index.ts'
import { meshStore } from '../../src/stores/mesh/index.ts'

/** What a node is told. */
export interface MeshNodeTask {
  readonly httpPort: number
  readonly listenPort: number
  readonly address: string
  readonly peers: readonly string[]
  readonly copies: number | 'all'
}

const FIELDS = 20
const FIELD_BYTES = 200

const { httpPort, listenPort, address, peers, copies } = JSON.parse(process.argv[2] ?? '') as MeshNodeTask
const sessions = createSessions({
  store: meshStore({ listen: { host: '127.0.0.1', port: listenPort }, address, peers, copies }),
  secret: 'Vb3nQx8tLr0yWz5kJm2hFd7gPc9sTa4e',
  initial: (): Record<string, unknown> => ({}),
  cookie: { name: 'sid', secure: false },
  logger: { info() {}, warn: console.warn, error: console.error },
})

let written = 0
const numberOf = (value: unknown): number => (typeof value === 'number' ? value : 0)
const valueOf = (text: string): string => text.padEnd(FIELD_BYTES)

const server = createServer(
  withSession(sessions, async (request, response) => {
    response.setHeader('content-type', 'text/plain')
    response.end(await answer(request.url ?? '', sessions.of(request)))
  }),
)

type BenchSession = ReturnType<typeof sessions.of>

async function answer(url: string, session: BenchSession): Promise<string> {
  const [path, query] = url.split('?')
  const parameters = new URLSearchParams(query)
  const field = `a${parameters.get('k')}`
  if (path !== '/login' && session.isNew) return 'no session'
  switch (path) {
    case '/login':
      for (let index = 0; index < FIELDS; index++) session.data[`a${index}`] = valueOf('0')
      return session.key
    case '/touch': {
      const text = parameters.get('v') ?? `${(written += 1)}`
      session.data[field] = valueOf(text)
      return text
    }
    case '/get': {
      const held = session.data[field]
      return typeof held === 'string' ? held.trim() : 'nothing'
    }
    case '/inc':
      return String(Number(await session.update('n', (n) => numberOf(n) + 1)))
    case '/count':
      return String(numberOf(session.data['n']))
    case '/fields':
      return `${Object.keys(session.data).filter((name) => name.startsWith('a')).length}`
    default:
      return 'no such request'
  }
}

await sessions.ready()
server.keepAliveTimeout = 60_000
server.listen(httpPort, '127.0.0.1', () => process.send?.('ready'))
process.on('message', ({ kind }: { kind: 'leave' | 'memory' }) => {
  if (kind === 'leave') void sessions.close({ deadline: '20s' }).then(() => process.exit())
  if (kind !== 'memory') return
  for (let round = 0; round < 4; round++) globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  process.send?.(heapUsed + external)
})
process.on('disconnect', () => process.exit())
