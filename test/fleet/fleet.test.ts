import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { describe, test } from 'node:test'
import { type Fleet, type FleetOptions, startFleet } from '../../src/fleet/fleet.ts'
import { portOf } from '../support/ports.ts'
import { assertGone } from './gone.ts'

interface PlainAnswer {
  name: string
  pid: number
  secret: string
}

describe('a fleet', () => {
  test('runs each node as a process of its own behind the gateway, all with one secret', async () => {
    await using fleet = await start()
    const { nodes } = fleet
    assert.deepEqual(
      nodes.map(({ name }) => name),
      ['node-1', 'node-2', 'node-3'],
    )
    assert.equal(new Set([process.pid, ...nodes.map(({ pid }) => pid)]).size, 4)
    const answers = await Promise.all(nodes.map(({ url }) => ask(url)))
    assert.deepEqual(
      answers.map(({ name, pid }) => ({ name, pid })),
      nodes.map(({ name, pid }) => ({ name, pid })),
    )
    const secrets = new Set(answers.map(({ secret }) => secret))
    assert.equal(secrets.size, 1)
    assert.match([...secrets][0] ?? '', /^[\w-]{43}$/)
    const reached = [await ask(fleet.url), await ask(fleet.url), await ask(fleet.url)]
    assert.equal(new Set(reached.map(({ pid }) => pid)).size, 3, 'round-robin reaches every node')
  })

  test('tells of a node that was killed, serves without it, and has it back on its address', async () => {
    await using fleet = await start({ nodes: 2 })
    const before = fleet.node('node-1')
    const down = once(fleet, 'down')
    assert.deepEqual(await fleet.kill('node-1'), { code: null, signal: 'SIGKILL' })
    assertGone(before.pid)
    assert.deepEqual(await down, [{ ...before, alive: false }, { code: null, signal: 'SIGKILL' }, true])
    assert.equal((await ask(fleet.url)).name, 'node-2')
    assert.equal((await ask(fleet.url)).name, 'node-2')

    const up = once(fleet, 'up')
    const after = await fleet.restart('node-1')
    assert.deepEqual(await up, [after])
    assert.equal(after.url, before.url)
    assert.notEqual(after.pid, before.pid)
    assert.equal((await ask(after.url)).pid, after.pid)
  })

  test('tells a node that ended by itself from one that it ended', async () => {
    await using fleet = await start({ nodes: 2 })
    const { pid } = fleet.node('node-2')
    const down = once(fleet, 'down')
    process.kill(pid, 'SIGKILL')
    const [node, exit, asked] = await down
    assert.deepEqual(
      { node, exit, asked },
      {
        node: { ...fleet.node('node-2'), pid, alive: false },
        exit: { code: null, signal: 'SIGKILL' },
        asked: false,
      },
    )
  })

  test('kills a node that is paused', async () => {
    await using fleet = await start({ nodes: 2 })
    const { pid } = fleet.node('node-1')
    fleet.signal('node-1', 'SIGSTOP')
    await fleet.kill('node-1')
    assertGone(pid)
  })

  test('restarts a node gracefully, twice at once in turn', async () => {
    await using fleet = await start({ nodes: 2 })
    const { pid } = fleet.node('node-1')
    const [one, two] = await Promise.all([fleet.restart('node-1'), fleet.restart('node-1')])
    assert.equal(new Set([pid, one.pid, two.pid]).size, 3)
    assertGone(pid, one.pid)
    assert.equal((await ask(two.url)).pid, two.pid)
  })

  test('leaves no process and no port behind when it stops', async () => {
    const fleet = await start()
    const pids = fleet.nodes.map(({ pid }) => pid)
    await Promise.all([fleet.stop(), fleet.stop()])
    assertGone(...pids)
    await assert.rejects(ask(fleet.url))
    await assert.rejects(fleet.restart('node-1'), /the fleet has been stopped/)
  })

  test('does not start without one of its nodes, says why, and leaves no process behind', async () => {
    const pids: number[] = []
    const onOutput = (_: string, text: string): void => void pids.push(...(text.match(/\d+/g) ?? []).map(Number))
    await assert.rejects(
      start({ settings: { failing: 'node-2' }, onOutput }),
      /^Error: node-2 did not start: no luck today$/,
    )
    await assert.rejects(
      start({ settings: { exiting: 'node-3' } }),
      /^Error: node-3 did not start: .*no place to stay$/s,
    )
    assert.equal(pids.length, 3)
    assertGone(...pids)
  })

  test('takes the next port where the wished one is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    try {
      await using fleet = await start({ nodes: 1, port: portOf(taken) })
      assert.ok(Number(new URL(fleet.url).port) > portOf(taken))
      assert.equal((await ask(fleet.url)).name, 'node-1')
    } finally {
      taken.close()
    }
  })

  test('knows its nodes by name', async () => {
    await using fleet = await start({ nodes: 1 })
    assert.throws(() => fleet.node('node-7'), { name: 'TypeError', message: /no node "node-7"; it has node-1/ })
  })
})

function start(options: Partial<FleetOptions> = {}): Promise<Fleet> {
  const program = new URL('programs/plain.ts', import.meta.url)
  return startFleet({ settings: {}, program, affinity: 'round-robin', ...options })
}

async function ask(url: string): Promise<PlainAnswer> {
  return (await fetch(url)).json() as Promise<PlainAnswer>
}
