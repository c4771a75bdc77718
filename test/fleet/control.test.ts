import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { text } from 'node:stream/consumers'
import { controlFleet, type FleetStatus } from '../../src/fleet/control.ts'
import { type Fleet, startFleet } from '../../src/fleet/fleet.ts'

describe("the demo's control of its fleet", () => {
  let fleet: Fleet
  let control: Disposable
  before(async () => {
    fleet = await startFleet({ nodes: 2, settings: { store: { name: 'memory' } } })
    control = controlFleet(fleet, { store: 'memory', affinity: 'ip-hash' })
  })
  after(async () => {
    control[Symbol.dispose]()
    await fleet.stop()
  })

  const own = (): Record<string, string> => ({
    'content-type': 'application/json',
    'x-sojourn-demo': '1',
    origin: fleet.url,
    'sec-fetch-site': 'same-origin',
  })

  test('kills a node and starts it again, and tells every page as it happens', async () => {
    const first = await openEvents(fleet)
    const second = await openEvents(fleet)
    const { pid } = fleet.node('node-2')
    const whole = await first.next()
    assert.deepEqual(whole, await second.next())
    assert.deepEqual(whole, {
      store: 'memory',
      affinity: 'ip-hash',
      nodes: fleet.nodes.map(({ name, pid, alive }) => ({ name, pid, alive })),
    })

    assert.equal((await post(fleet, 'kill', own())).status, 200)
    for (const events of [first, second]) {
      assert.deepEqual((await events.next()).nodes[1], { name: 'node-2', pid, alive: false })
    }
    assert.equal((await post(fleet, 'restart', own())).status, 200)
    for (const events of [first, second]) {
      const node = (await events.next()).nodes[1]
      assert.deepEqual(node, { name: 'node-2', pid: fleet.node('node-2').pid, alive: true })
      assert.notEqual(node?.pid, pid)
    }
    await Promise.all([first.close(), second.close()])
  })

  test('tells of a node that ended by itself, also while no node is alive', async () => {
    const events = await openEvents(fleet)
    await events.next()
    for (const { pid } of fleet.nodes) process.kill(pid, 'SIGKILL')
    await events.next()
    assert.deepEqual(
      (await events.next()).nodes.map(({ alive }) => alive),
      [false, false],
    )
    await events.close()
    assert.equal((await fetch(new URL('/api/session', fleet.url))).status, 502)
    for (const { name } of fleet.nodes) assert.equal((await post(fleet, 'restart', own(), { node: name })).status, 200)
    assert.ok(fleet.nodes.every(({ alive }) => alive))
  })

  test('obeys the page of the demo alone', async () => {
    const { pid } = fleet.node('node-2')
    const { 'x-sojourn-demo': _, ...withoutHeader } = own()
    const foreign: Record<string, Record<string, string>> = {
      'a form of another site': { ...own(), 'content-type': 'text/plain', 'x-sojourn-demo': '' },
      'a page without the header': withoutHeader,
      'another site': { ...own(), origin: 'http://evil.example', 'sec-fetch-site': 'cross-site' },
      'a page on another port': { ...own(), origin: 'http://127.0.0.1:1', 'sec-fetch-site': 'same-site' },
      'a site whose name leads here': { ...own(), host: 'evil.example', origin: 'http://evil.example' },
    }
    for (const [who, headers] of Object.entries(foreign)) {
      assert.equal((await post(fleet, 'kill', headers)).status, 403, who)
    }
    const events = await ask(fleet, 'GET', '/demo/events', { host: 'evil.example' })
    assert.equal(events.status, 403)
    assert.deepEqual([fleet.node('node-2').pid, fleet.node('node-2').alive], [pid, true])
    const preflight = await ask(fleet, 'OPTIONS', '/demo/kill', { origin: 'http://evil.example' })
    assert.equal(preflight.status, 404)
  })

  test('refuses what it does not know', async () => {
    assert.equal((await post(fleet, 'kill', own(), { node: 'node-7' })).status, 404)
    assert.equal((await post(fleet, 'kill', own(), null)).status, 404)
    assert.equal((await post(fleet, 'kill', own(), { node: 'x'.repeat(5_000) })).status, 404)
    assert.equal((await post(fleet, 'pause', own())).status, 404)
  })
})

interface Events {
  next(): Promise<FleetStatus>
  close(): Promise<void>
}

async function openEvents(fleet: Fleet): Promise<Events> {
  const response = await fetch(new URL('/demo/events', fleet.url))
  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  assert.ok(response.body)
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let received = ''
  return {
    async next() {
      for (;;) {
        const end = received.indexOf('\n\n')
        if (end >= 0) {
          const event = received.slice('data: '.length, end)
          received = received.slice(end + 2)
          return JSON.parse(event) as FleetStatus
        }
        const { value, done } = await reader.read()
        assert.ok(!done, 'the stream ended')
        received += value
      }
    },
    close: () => reader.cancel(),
  }
}

function post(
  fleet: Fleet,
  action: string,
  headers: Record<string, string>,
  body: unknown = { node: 'node-2' },
): Promise<{ status: number }> {
  return ask(fleet, 'POST', `/demo/${action}`, headers, JSON.stringify(body))
}

/** `fetch` sets Host by itself. */
async function ask(
  fleet: Fleet,
  method: string,
  path: string,
  headers: Record<string, string>,
  body?: string,
): Promise<{ status: number }> {
  const sent = request(new URL(path, fleet.url), { method, headers, agent: false })
  sent.end(body)
  const [response] = await once(sent, 'response')
  await text(response)
  return { status: response.statusCode }
}
