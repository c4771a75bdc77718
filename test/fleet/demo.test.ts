import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { run } from '../../src/cli/run.ts'
import { FLEET_AFFINITIES } from '../../src/fleet/fleet.ts'
import { FLEET_STORES } from '../../src/fleet/stores.ts'
import { freePorts } from '../support/ports.ts'
import { needs } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'
import { pidsIn, startDemo } from './demo-process.ts'
import { assertGone } from './gone.ts'

describe('sojourn demo --once', () => {
  for (const store of FLEET_STORES) {
    for (const affinity of FLEET_AFFINITIES) {
      if (affinity === 'owner' && store !== 'mesh') continue // refused, as the command line's tests say
      const skip = store === 'redis' && needs('redis-server')
      test(`visits a fleet on ${store} behind ${affinity}, and leaves nothing behind`, { skip }, async () => {
        await using demo = startDemo({}, '--once', '--store', store, '--affinity', affinity)
        const exit = await demo.process.exited
        const { output } = demo.process
        assert.deepEqual(exit, { code: 0, signal: null }, output)
        assert.match(output, /^Every step was as it should be\.$/m)
        assert.doesNotMatch(output, /warning|error/i)
        assert.match(output, new RegExp(`^Sojourn demo: 3 nodes, chosen by ${affinity}; sessions `))
        assert.deepEqual(titlesOf(output), TITLES[store === 'memory' && affinity !== 'owner' ? affinity : 'shared'])
        assertGone(...demo.pids)
        assert.ok(new Set(demo.pids).size >= 4, 'three nodes, and one of them started again')
        assert.deepEqual(demo.leftFiles, [])
      })
    }
  }

  test('says that Redis cannot be reached, and exits with 1', async () => {
    const [port] = await freePorts(1)
    await using demo = startDemo({}, '--once', '--store', 'redis', '--redis-url', `redis://:hidden@127.0.0.1:${port}`)
    assert.deepEqual(await demo.process.exited, { code: 1, signal: null })
    assert.match(demo.process.output, /^sojourn demo: node-\d did not start: Redis cannot be reached: .*ECONNREFUSED/)
    assert.doesNotMatch(demo.process.output, /hidden|\n {4}at /)
  })

  test('names the step that failed, and exits with 1', { skip: needs('redis-server') }, async () => {
    // A replica takes no writes, so that the nodes start and nobody can log in.
    await using redis = await startRedis({ args: ['--replicaof', '127.0.0.1', '1'] })
    await using demo = startDemo({}, '--once', '--store', 'redis', '--redis-url', redis.url)
    assert.deepEqual(await demo.process.exited, { code: 1, signal: null })
    assert.match(demo.process.output, /^sojourn demo: failed at step 1\. Log in at node-1, .*: .*503/m)
    assertGone(...demo.pids)
  })

  test('says what to install where there is no redis-server', async () => {
    await using demo = startDemo({ PATH: '' }, '--once', '--store', 'redis')
    assert.deepEqual(await demo.process.exited, { code: 1, signal: null })
    assert.match(demo.process.output, /there is no redis-server .*apt-get install redis-server.* --redis-url/)
    assert.deepEqual(demo.leftFiles, [])
  })
})

describe('sojourn demo', () => {
  test('runs on the mesh, each session at its owner, where nothing else is asked for', async () => {
    await using demo = startDemo({}, '--once')
    assert.deepEqual(await demo.process.exited, { code: 0, signal: null })
    assert.match(
      demo.process.output,
      /^Sojourn demo: 3 nodes, chosen by owner; sessions replicated between the nodes$/m,
    )
    const told = /told of (\d+) views, of which every other node knows all; (\d+) requests failed/
    const [, views] = told.exec(demo.process.output) ?? []
    assert.ok(Number(views) >= 8 * 20, demo.process.output)
  })

  test('serves after its visit until Ctrl-C, which ends everything', async () => {
    await using demo = startDemo()
    const url = await demo.opened()
    const page = await fetch(url)
    assert.match(await page.text(), /<title>Sojourn demo<\/title>/)
    // An open stream must not hold up the end.
    const events = await fetch(new URL('/demo/events', url))
    demo.process.signal('SIGINT')
    assert.deepEqual(await demo.process.exited, { code: 0, signal: null }, demo.process.output)
    assertGone(...demo.pids)
    assert.deepEqual(demo.leftFiles, [])
    await events.body?.cancel()
  })

  test('is ended by Ctrl-C during its visit', async () => {
    const interrupted = new AbortController()
    let output = ''
    const write = (text: string): void => {
      output += text
      if (text.includes('2. Ask')) interrupted.abort()
    }
    const stream = { write }
    const argv = ['demo', '--port', '0', '--store', 'sqlite']
    assert.equal(await run({ argv, stdout: stream, stderr: stream, signal: interrupted.signal }), 130)
    assert.doesNotMatch(output, /failed|Every step/)
    assertGone(...pidsIn(output))
    const file = /sessions in (\S+)/.exec(output)?.[1] ?? ''
    assert.equal(existsSync(dirname(file)), false)
  })

  for (const store of ['mesh', 'sqlite', 'redis'] as const) {
    const skip = store === 'redis' && needs('redis-server')
    test(`leaves no process and no file behind when it is killed, on ${store}`, { skip }, async () => {
      await using demo = startDemo({}, '--store', store)
      await demo.opened()
      const ports = [...demo.process.output.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port))
      assert.equal(ports.length, store === 'redis' ? 6 : 5, 'the gateway twice, three nodes, and redis-server')
      // The system closes what a process had open when it is gone.
      const ends = await Promise.all([...new Set(ports)].map(async (port) => watch(port)))
      await demo.process.kill('SIGKILL')
      await Promise.all(ends.map(({ closed }) => closed))
      assert.deepEqual(demo.leftFiles, [])
    })
  }

  test('tells of a node that ends by itself', async () => {
    await using demo = startDemo()
    await demo.opened()
    const pid = Number(
      demo.process.output
        .match(/node-2 (?:runs as |\()pid (\d+)/g)
        ?.at(-1)
        ?.match(/\d+$/)?.[0],
    )
    process.kill(pid, 'SIGKILL')
    await demo.process.printed(new RegExp(`^node-2 \\(pid ${pid}\\) ended by itself: SIGKILL$`, 'm'))
  })

  test(
    'shows neither its secret nor the address of its store in the arguments of its nodes',
    {
      skip: process.platform !== 'linux' && 'reads /proc',
    },
    async () => {
      await using demo = startDemo()
      await demo.opened()
      const program = fileURLToPath(new URL('../../src/fleet/node.ts', import.meta.url))
      const running = demo.pids.filter((pid) => isThere(pid))
      assert.ok(running.length >= 3)
      for (const pid of running) {
        const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(1, -1)
        assert.deepEqual(args, [program])
        const secret = /SESSION_SECRET=([^\0]+)/.exec(readFileSync(`/proc/${pid}/environ`, 'utf8'))?.[1]
        assert.ok(secret !== undefined && !demo.process.output.includes(secret))
      }
    },
  )
})

const TITLES = {
  shared: [
    'Log in at node-1, and put tea into the cart',
    'Ask node-2 with the same cookies',
    'Ask node-3 with the same cookies',
    'Ask through the gateway',
    'Kill node-N, which served, by SIGKILL, while other visitors count their views',
    'Ask through the gateway again',
    'Log out through the gateway',
    'Start node-N again',
    'Ask node-1 with the cookies from before',
    'Ask node-2 with the cookies from before',
    'Ask node-3 with the cookies from before',
  ],
  'ip-hash': [
    'Log in through the gateway, and put tea into the cart',
    'Ask through the gateway',
    'Ask through the gateway again',
    'Ask through the gateway once more',
    'Ask node-N with the same cookies',
    'Ask node-N with the same cookies',
    'Kill node-N, which served, by SIGKILL',
    'Ask through the gateway again',
    'Start node-N again',
    'Ask node-N with the same cookies',
  ],
  'round-robin': [
    'Log in through the gateway, and put tea into the cart',
    'Ask through the gateway',
    'Ask node-N with the same cookies',
    'Kill node-N, which served, by SIGKILL',
    'Start node-N again',
    'Ask node-N with the same cookies',
  ],
}

/** Titles of the steps that were printed; where it is the gateway's choice which node is killed or asked, without its number. */
function titlesOf(output: string): string[] {
  const chosen = output.includes('Log in at node-1') ? /(?<=Kill |Start )node-\d/ : /node-\d/
  return [...output.matchAll(/^ +\d+\. (.*)$/gm)].map(([, title = '']) => title.replace(chosen, 'node-N'))
}

async function watch(port: number): Promise<{ closed: Promise<unknown> }> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.on('error', () => {}) // a reset is an end too
  return { closed: new Promise((resolve) => socket.resume().once('close', resolve)) }
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
