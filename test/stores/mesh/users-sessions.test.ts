import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openSessions, type Sessions } from '../../../src/core/index.ts'
import { meshStore } from '../../../src/stores/mesh/index.ts'
import { Client } from '../../core/fleet.ts'
import { freePorts } from '../../support/ports.ts'
import { secret, whenServed } from './mesh-support.ts'

type Node = Sessions<{ theme: string }>

async function withNodes(run: (nodes: readonly [Node, Node, Node]) => Promise<void>): Promise<void> {
  const ports = await freePorts(3)
  const peers = ports.map((port) => `127.0.0.1:${port}`)
  const start = (port = 0): Node =>
    openSessions(
      {
        store: meshStore({ listen: { host: '127.0.0.1', port }, peers }),
        secret,
        initial: () => ({ theme: 'light' }),
        maxSessionsPerUser: { max: 3, policy: 'end-oldest' },
      },
      { clock: { now: Date.now }, logger: { info() {}, warn() {}, error() {} } },
    )
  const nodes = [start(ports[0]), start(ports[1]), start(ports[2])] as const
  try {
    await Promise.all(nodes.map((node) => node.ready()))
    await run(nodes)
  } finally {
    await Promise.all(nodes.map((node) => node.close({ deadline: 1 })))
  }
}

const userOf = (node: Node, client: Client): Promise<string | null> =>
  whenServed(() => client.visit(node, ({ user }) => user))

async function loggedIn(node: Node, user: string, client: string): Promise<Client> {
  const browser = new Client()
  await browser.visit(node, (session) => session.login(user, { client }))
  return browser
}

async function devicesOf(node: Node, user: string): Promise<string[]> {
  const devices: string[] = []
  for await (const { client } of node.list(user)) devices.push(client)
  return devices
}

test('on a mesh a user sees the devices of all nodes, ends all but the present one, and has no more than the bound, whatever node is asked', () =>
  withNodes(async (nodes) => {
    const [a, b, c] = nodes
    const phone = await loggedIn(a, 'ann', 'phone')
    const laptop = await loggedIn(b, 'ann', 'laptop')
    const tablet = await loggedIn(c, 'ann', 'tablet')
    const other = await loggedIn(b, 'bob', 'desktop')
    for (const node of nodes) {
      assert.deepEqual((await devicesOf(node, 'ann')).toSorted(), ['laptop', 'phone', 'tablet'])
    }
    await b.revokeUser('ann', { except: await tablet.visit(c, ({ key }) => key) })
    for (const node of nodes) {
      const users = await Promise.all([phone, laptop, tablet, other].map((client) => userOf(node, client.clone())))
      assert.deepEqual(users, [null, null, 'ann', 'bob'])
    }

    const crowd = await Promise.all(
      Array.from({ length: 9 }, async (_, index) => {
        const client = await loggedIn(nodes[index % 3] ?? a, 'ann', `device ${index}`)
        await userOf(nodes[(index + 1) % 3] ?? b, client)
        return client
      }),
    )
    const users = await Promise.all([tablet, ...crowd].map((client) => userOf(c, client)))
    assert.deepEqual(users.filter((user) => user === 'ann').length, 3)
    assert.equal((await devicesOf(a, 'ann')).length, 3)
  }))
