import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { withSession } from '../../src/adapters/node.ts'
import { createSessions, type Sessions } from '../../src/index.ts'
import { sqliteStore } from '../../src/stores/sqlite/index.ts'
import { createTestClock } from '../../src/testing/index.ts'
import { removeFolder, temporaryFolder } from '../support/folders.ts'
import { createVisitor, type Visitor } from '../support/jar.ts'
import { portOf } from '../support/ports.ts'
import { createSecret } from '../token/secrets.ts'

interface Data {
  n: number
}

/** One server on the fleet's file, which stops as a deployment stops it. */
interface Node {
  readonly url: string
  readonly sessions: Sessions<Data>
  /** Requests that it was asked and has not answered. */
  readonly asked: Set<Promise<unknown>>
  stop(): Promise<void>
}

const clock = createTestClock()
const silent = { info() {}, warn() {}, error() {} }

async function startNode(path: string, secret: readonly string[]): Promise<Node> {
  const sessions = createSessions<Data>({
    store: sqliteStore({ path }),
    secret,
    initial: () => ({ n: 0 }),
    deadline: '30s',
    clock,
    logger: silent,
  })
  await sessions.ready()
  const listener = withSession(sessions, async (request, response) => {
    const session = sessions.of(request)
    if (request.url !== '/') await session.login(String(request.url).slice(1))
    const n = await session.update('n', (value) => value + 1)
    response.end(JSON.stringify({ user: session.user, n }))
  })
  const server: Server = createServer(listener)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${portOf(server)}/`,
    sessions,
    asked: new Set(),
    async stop() {
      const closed = once(server, 'close')
      server.close()
      server.closeIdleConnections()
      await closed
      await sessions.close()
    },
  }
}

/** A browser that logged in once, and what it was answered. */
interface User {
  readonly name: string
  readonly visitor: Visitor
  acknowledged: number
}

test('a secret is rolled in three steps over a fleet under load: nobody is logged out, with cookies older than each step', async () => {
  const folder = temporaryFolder()
  const path = join(folder, 'sessions.db')
  const [old, young] = [createSecret(), createSecret()]
  const nodes = await Promise.all([0, 1, 2].map(() => startNode(path, [old])))
  const users: User[] = []
  let turn = 0

  /** Asks a node; one that is being replaced is not asked, and answers what it had, as behind a balancer. */
  async function visit({ visitor }: User, path = ''): Promise<unknown> {
    const node = nodes[(turn += 1) % nodes.length]
    assert(node)
    const answer = visitor.fetch(`${node.url}${path}`).then((response) => response.json())
    node.asked.add(answer)
    return answer.finally(() => node.asked.delete(answer))
  }

  async function logIn(cohort: string): Promise<void> {
    for (const index of [0, 1, 2, 3]) {
      const user = { name: `${cohort}-${index}`, visitor: createVisitor(), acknowledged: 1 }
      await visit(user, user.name)
      users.push(user)
    }
  }

  /** Each asks for three things at once, wherever they land. */
  async function load(rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      const asked = users.flatMap((user) => [user, user, user])
      await Promise.all(asked.map(ask))
    }
  }

  async function ask(user: User): Promise<void> {
    const seen = (await visit(user)) as { user: string | null; n: number }
    assert.equal(seen.user, user.name, `${user.name} was logged out`)
    user.acknowledged += 1
  }

  async function deploy(secret: readonly string[]): Promise<void> {
    for (const _ of [0, 1, 2]) {
      const node = nodes.shift()
      assert(node)
      await Promise.all(node.asked)
      await node.stop()
      nodes.push(await startNode(path, secret))
    }
  }

  try {
    await logIn('before')
    for (const secrets of [[old, young], [young, old], [young]]) {
      await logIn(
        `cookies older than [${secrets.map((each) => (each === old ? 'old' : 'new')).join()}]`.replaceAll(/\W+/g, '-'),
      )
      await Promise.all([deploy(secrets), load(10)])
      for (const _ of [0, 1, 2, 3, 4, 5]) {
        clock.advance('10m')
        await load(1)
      }
    }
    await load(2)
    for (const user of users) {
      assert.deepEqual(await visit(user), { user: user.name, n: user.acknowledged + 1 })
    }
    const stats = nodes.map(({ sessions }) => sessions.stats().events)
    for (const events of stats) assert.deepEqual([events['tokenRefused'], events['stolen']], [undefined, undefined])
  } finally {
    await Promise.all(nodes.map((node) => node.stop()))
    removeFolder(folder)
  }
})
