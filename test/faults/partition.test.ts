/** Partitions between real processes, made by proxies on every connection between them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Customer, send, type Reply } from './customer.ts'
import { type FaultFleet, type FaultNode, startFaultFleet } from './fleet.ts'
import { Load } from './load.ts'

for (const ways of ['both', 'one'] as const) {
  const how = ways === 'both' ? 'cut off' : 'not heard by the others'
  void test(`with majority, a node that is ${how} answers 503, the others go on, and every law holds`, async () => {
    await using fleet = await startFaultFleet({ mesh: { onPartition: 'majority' }, withProxies: true })
    const [alone, ...others] = fleet.nodes
    assert.ok(alone)
    const load = new Load({ customers: 80, ports: fleet.ports })
    await load.open()
    load.run()
    await load.acknowledges(50)

    fleet.links?.cut([0], [1, 2], ways)
    await fleet.inOneView(others)
    await load.acknowledges(50)
    const health = await alone.health()
    assert.equal(health.ok, false)
    assert.equal(health.error?.code, 'store_unavailable')
    await Promise.all(
      load.customers.slice(0, 30).map(async (customer) => {
        const { status, cookies } = await send(alone.port, await customer.cookie, { do: 'add' })
        assert.deepEqual({ status, cookies }, { status: 503, cookies: [] })
        customer.mayHaveAdded()
      }),
    )
    for (const node of others) while (!(await node.health()).ok);

    fleet.links?.heal()
    await fleet.inOneView()
    await load.acknowledges(50)
    await load.stop()
    await load.verify()
    console.log(String(load.tally))
    assert.deepEqual(load.tally.violations, [])
  })
}

void test('with serve and two copies, each side goes on, and keeps after the healing what it acknowledged', async () => {
  await using fleet = await startFaultFleet({ mesh: { onPartition: 'serve' }, withProxies: true, deadlineMs: 20_000 })
  const { left, right } = await part(fleet)
  const loads = [new Load({ customers: 60, ports: [left.port] }), new Load({ customers: 60, ports: portsOf(right) })]
  await Promise.all(loads.map((load) => load.open()))
  for (const load of loads) load.run()
  await Promise.all(loads.map((load) => load.acknowledges(100)))

  fleet.links?.heal()
  await fleet.inOneView()
  await Promise.all(loads.map((load) => load.acknowledges(50)))
  await Promise.all(loads.map((load) => load.stop()))
  await Promise.all(loads.map((load) => load.verify(fleet.ports)))
  for (const { tally } of loads) {
    console.log(String(tally))
    assert.deepEqual(tally.violations, [])
  }
})

void test("with serve and copies 'all', fields that both sides changed merge, and an end on one side wins", async () => {
  await using fleet = await startFaultFleet({
    mesh: { copies: 'all', onPartition: 'serve' },
    withProxies: true,
    deadlineMs: 20_000,
  })
  const load = new Load({ customers: 60, ports: fleet.ports })
  await load.open()
  const cookies = await Promise.all(load.customers.map((customer: Customer) => customer.cookie))
  const { left, right } = await part(fleet)
  await everybody(cookies, async (cookie, index) => {
    const isEnd = index % 3 === 0
    const there = right[index % 2] ?? left
    await accepted(send(left.port, cookie, { do: 'set', fields: { left: index, both: `left ${index}` } }))
    await accepted(send(there.port, cookie, { do: 'set', fields: { right: index, both: `right ${index}` } }))
    if (isEnd) await accepted(send(left.port, cookie, { do: 'logout' }))
    const { view } = await accepted(send(there.port, cookie, { do: 'read' }))
    assert.deepEqual([view?.isNew, view?.data['right'], view?.data['left']], [false, index, undefined])
  })

  fleet.links?.heal()
  await fleet.inOneView()
  await everybody(cookies, async (cookie, index) => {
    const views = await Promise.all(fleet.ports.map(async (port) => (await accepted(send(port, cookie, { do: 'read' }))).view)) // prettier-ignore
    if (index % 3 === 0) return assert.deepEqual(views.map((view) => view?.data), [{}, {}, {}]) // prettier-ignore
    const [first] = views
    assert.equal(first?.data['left'], index)
    assert.equal(first.data['right'], index)
    assert.ok([`left ${index}`, `right ${index}`].includes(String(first.data['both'])))
    for (const view of views) assert.deepEqual(view?.data, first.data)
  })
})

void test('a hint that is newer than the copy of a backup makes it ask the owner', async () => {
  await using fleet = await startFaultFleet({ mesh: { copies: 'all' }, withProxies: true, deadlineMs: 20_000 })
  const load = new Load({ customers: 60, ports: fleet.ports })
  await load.open()
  // What node 0 owns is acknowledged when node 1 has it, and node 2 has the version before. What node 2 owns waits.
  fleet.links?.cut([0], [2], 'one')
  const some = Promise.withResolvers<void>()
  let acknowledged = 0
  const replies = load.customers.map(async (customer) => {
    await customer.set(() => [fleet.node(0).port], 'a')
    const reply = customer.read(() => [fleet.node(2).port])
    acknowledged += 1
    if (acknowledged === 25) some.resolve()
    return reply
  })
  await some.promise
  await fleet.node(2).health() // it has taken what was sent to it before
  fleet.links?.heal()
  for (const reply of await Promise.all(replies)) assert.equal(reply?.status, 200)
  assert.deepEqual(load.tally.violations, [])
})

/** Cuts the first node off from the others, and waits until each side goes on by itself. */
async function part(fleet: FaultFleet): Promise<{ left: FaultNode; right: FaultNode[] }> {
  const [left, ...right] = fleet.nodes
  assert.ok(left)
  fleet.links?.cut([0], [1, 2])
  await Promise.all([fleet.inOneView([left]), fleet.inOneView(right)])
  return { left, right }
}

function portsOf(nodes: readonly FaultNode[]): number[] {
  return nodes.map(({ port }) => port)
}

async function everybody(
  cookies: readonly string[],
  run: (cookie: string, index: number) => Promise<void>,
): Promise<void> {
  // prettier-ignore
  for (const [index, cookie] of cookies.entries()) await run(cookie, index)
}

async function accepted(reply: Promise<Reply>): Promise<Reply> {
  const { status, text } = await reply
  assert.equal(status, 200, text)
  return reply
}
