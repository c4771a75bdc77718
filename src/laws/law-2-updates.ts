import { type Driver, lawTest, upTo } from './driver.ts'
import { drawSchedules } from './honest-client.ts'
import type { LawTest } from './law.ts'

const FIELDS = 50
const INCREMENTS = 100

async function expectData(driver: Driver, visitor: Parameters<Driver['look']>[0], wanted: object): Promise<void> {
  for (const node of driver.fleet.nodes.keys()) {
    const { data } = await driver.look(visitor, node)
    driver.expectEqual(data, wanted, `the data at node ${node}`)
  }
}

/** What 50 requests at once leave, each of which waits 20 ms and then changes a field of its own. */
function fieldsAtOnce(nodeOf: (request: number) => number) {
  return async (d: Driver): Promise<void> => {
    const visitor = await d.visitorWith()
    const requests = upTo(FIELDS).map(async (n) => {
      d.ok(
        await (
          await visitor.send(nodeOf(n), [
            ['sleep', 20],
            ['set', `field${n}`, n],
          ])
        ).answer,
      )
    })
    await Promise.all(requests)
    const { data } = await d.look(visitor, 0)
    const kept = upTo(FIELDS).filter((n) => data[`field${n}`] === n).length
    d.expect(kept === FIELDS, `${kept} of ${FIELDS} fields were kept`)
  }
}

function incrementsAtOnce(nodeOf: (request: number) => number) {
  return async (d: Driver): Promise<void> => {
    const visitor = await d.visitorWith()
    await Promise.all(
      upTo(INCREMENTS).map(async (n) => d.ok(await (await visitor.send(nodeOf(n), [['increment', 'count']])).answer)),
    )
    const { data } = await d.look(visitor, 0)
    d.expect(data['count'] === INCREMENTS, `${INCREMENTS} increments ended at ${String(data['count'])}`)
  }
}

export const updateLaws: readonly LawTest[] = [
  lawTest(2, 'fields-one-node', '50 requests at one node that each change another field after 20 ms keep 50', [], fieldsAtOnce(() => 0)), // prettier-ignore
  lawTest(2, 'fields-fleet', '50 requests over the fleet that each change another field after 20 ms keep 50', ['twoNodes'], fieldsAtOnce((n) => n)), // prettier-ignore
  lawTest(2, 'increments-one-node', '100 update() increments at once on one node end at 100', [], incrementsAtOnce(() => 0)), // prettier-ignore
  lawTest(2, 'increments-fleet', '100 update() increments at once over the fleet end at 100', ['twoNodes'], incrementsAtOnce((n) => n)), // prettier-ignore

  lawTest(
    2,
    'held-update',
    'an update() that another overtakes on its way to the store counts both',
    ['twoNodes'],
    async (d) => {
      const visitor = await d.visitorWith(['increment', 'count'])
      for (const round of upTo(4)) {
        const held = await d.heldApply(visitor, round, 'before', [['increment', 'count']])
        await d.ask(visitor, round + 1, ['increment', 'count'])
        d.ok(await held.release())
      }
      await expectData(d, visitor, { count: 9 })
    },
  ),

  lawTest(2, 'held-fields', 'a write that others overtake keeps theirs and its own', ['twoNodes'], async (d) => {
    const visitor = await d.visitorWith(['set', 'a', 1], ['set', 'b', 1], ['set', 'c', 1], ['set', 'list', [1]])
    const held = await d.heldApply(visitor, 0, 'before', [
      ['set', 'a', 2],
      ['push', 'list', 2],
    ])
    await d.ask(visitor, 1, ['set', 'b', 2], ['remove', 'c'], ['set', 'd', 2])
    d.ok(await held.release())
    await expectData(d, visitor, { a: 2, b: 2, d: 2, list: [1, 2] })
  }),

  lawTest(2, 'removed-stays-removed', 'a removed field stays removed while others change', [], async (d) => {
    const visitor = await d.visitorWith(['set', 'a', 1], ['set', 'b', 1])
    const slow = await d.held(visitor, 0, (barrier) => ({
      steps: [
        ['set', 'b', 2],
        ['meet', barrier],
      ],
    }))
    await d.ask(visitor, 1, ['remove', 'a'])
    d.ok(await slow.release())
    await expectData(d, visitor, { b: 2 })
  }),

  lawTest(2, 'resend-at-once', 'a change that the client library sends twice is applied once', [], async (d) => {
    const visitor = await d.visitorWith(['set', 'count', 0])
    for (const round of upTo(6)) {
      const node = d.node(round)
      if (node.loseNextAnswer) await node.loseNextAnswer()
      else await d.control(round, { do: 'plan', plan: { resend: true } })
      await d.ask(visitor, round, ['increment', 'count'])
      await expectData(d, visitor, { count: round + 1 })
    }
  }),

  lawTest(
    2,
    'resend-late',
    'a change that is sent again after changes of other nodes is applied once',
    ['twoNodes'],
    async (d) => {
      const visitor = await d.visitorWith(['set', 'count', 0], ['set', 'name', 'x'])
      const held = await d.heldApply(visitor, 0, 'after', [['increment', 'count']], true)
      for (const n of upTo(5)) await d.ask(visitor, 1 + (n % (d.nodes - 1)), ['increment', 'count'])
      d.ok(await held.release())
      await expectData(d, visitor, { count: 6, name: 'x' })

      const assignment = await d.heldApply(visitor, 0, 'after', [['set', 'name', 'first']], true)
      await d.ask(visitor, 1, ['set', 'name', 'second'])
      d.ok(await assignment.release())
      await expectData(d, visitor, { count: 6, name: 'second' })
    },
  ),

  lawTest(2, 'resend-everything', 'changes of any age that are sent again change nothing', [], async (d) => {
    const visitor = d.visitor()
    for (const n of upTo(4)) await d.ask(visitor, n, ['set', 'last', n], ['increment', 'count'])
    const { key } = await d.look(visitor, 0)
    await d.controlAll({ do: 'replay', key })
    await expectData(d, visitor, { last: 3, count: 4 })
    await d.ask(visitor, 1, ['increment', 'count'])
    await expectData(d, visitor, { last: 3, count: 5 })
  }),

  lawTest(2, 'late-answers', 'writes from before a rotation that answer after it are kept, too', [], async (d) => {
    const visitor = await d.visitorWith(['login', 'ada'])
    const slow = await d.held(visitor, 0, (barrier) => ({
      steps: [
        ['set', 'a', 1],
        ['meet', barrier],
        ['set', 'b', 1],
      ],
    }))
    await d.ask(visitor, 1, ['rotate'])
    await d.ask(visitor, 1, ['set', 'c', 1])
    d.ok(await slow.release())
    await expectData(d, visitor, { a: 1, b: 1, c: 1 })
  }),

  lawTest(
    2,
    'honest-clients',
    'clients whose answers are lost, aborted, reordered and parallel lose no acknowledged increment',
    [],
    (d) => drawSchedules(d, 'updates'),
  ),

  lawTest(2, 'outside-a-request', 'update() outside a request loses no increment of one inside', [], async (d) => {
    const visitor = await d.visitorWith(['set', 'count', 0])
    const { key } = await d.look(visitor, 0)
    const inside = upTo(10).map(async (n) => d.ok(await (await visitor.send(n, [['increment', 'count']])).answer))
    const outside = upTo(10).map((n) => d.control(n + 1, { do: 'increment', key, field: 'count' }))
    await Promise.all([...inside, ...outside])
    await expectData(d, visitor, { count: 20 })
  }),
]
