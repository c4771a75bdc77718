import { type Driver, lawTest, upTo } from './driver.ts'
import type { LawTest } from './law.ts'
import type { Visitor } from './visitor.ts'

const VISITORS = 8

/** What a visitor was told of his increments: how many were acknowledged, and how many failed, so may have been done or not. */
interface Tally {
  readonly visitor: Visitor
  acknowledged: number
  unknown: number
}

/** Increments of many visitors, one after the other for each, on every node, until it is stopped. */
async function load(driver: Driver): Promise<{ stop(): Promise<Tally[]>; acknowledged(count: number): Promise<void> }> {
  const tallies: Tally[] = await Promise.all(
    upTo(VISITORS).map(async (n) => ({
      visitor: await driver.visitorWith(['set', 'count', 0], ['login', `user-${n}`]),
      acknowledged: 0,
      unknown: 0,
    })),
  )
  const state = { isStopped: false }
  let total = 0
  const waiting: { count: number; resolve: () => void }[] = []
  const work = tallies.map(async (tally, n) => {
    for (let node = n; !state.isStopped; node += 1) {
      try {
        const answer = await (await tally.visitor.send(node, [['increment', 'count']])).answer
        await tally.visitor.keep(answer)
        if (answer.status === 200) tally.acknowledged += 1
        else tally.unknown += 1
        total += 1
        for (const each of waiting) if (total >= each.count) each.resolve()
      } catch {
        tally.unknown += 1
        await new Promise((resolve) => setImmediate(resolve)) // the node is gone; let others go on
      }
    }
  })
  return {
    acknowledged: (count) => new Promise((resolve) => waiting.push({ count: total + count, resolve })),
    async stop() {
      state.isStopped = true
      await Promise.all(work)
      return tallies
    },
  }
}

/** Every acknowledged increment is there, on every node, and none was made up. */
async function expectKept(
  driver: Driver,
  tallies: readonly Tally[],
  nodes: readonly number[],
  when: string,
): Promise<void> {
  for (const [n, { visitor, acknowledged, unknown }] of tallies.entries()) {
    for (const node of nodes) {
      const { user, data } = await driver.look(visitor, node)
      driver.expectEqual(user, `user-${n}`, `${when}, the user at node ${node}`)
      const count = Number(data['count'])
      driver.expect(
        count >= acknowledged && count <= acknowledged + unknown,
        `${when}, ${count} increments at node ${node}, of which ${acknowledged} were acknowledged and ${unknown} failed`,
      )
    }
  }
}

export const lossLaws: readonly LawTest[] = [
  lawTest(
    6,
    'graceful-stop',
    'a graceful stop answers and keeps what was in flight, and loses nothing',
    ['twoNodes', 'stop'],
    async (d) => {
      const visitor = await d.visitorWith(['set', 'a', 1], ['login', 'ada'])
      const slow = await d.held(visitor, 0, (barrier) => ({
        steps: [
          ['meet', barrier],
          ['sleep', 30],
          ['set', 'b', 2],
        ],
      }))
      const answered = slow.release()
      await d.look(visitor, 0) // the release has arrived
      await d.node(0).stop?.()
      await visitor.keep(d.ok(await answered))
      const rest = upTo(d.nodes).slice(1)
      for (const node of rest)
        d.expectEqual((await d.look(visitor, node)).data, { a: 1, b: 2 }, 'the data after a stop')
      await d.ask(visitor, 1, ['set', 'c', 3])
      await d.restart(0)
      d.expectEqual((await d.look(visitor, 0)).data, { a: 1, b: 2, c: 3 }, 'the data at a node that came back')
    },
  ),

  lawTest(
    6,
    'kill',
    'each node in turn is killed under load, and no acknowledged change is lost',
    ['twoNodes', 'kill'],
    async (d) => {
      for (const victim of d.fleet.nodes.keys()) {
        const work = await load(d)
        await work.acknowledged(VISITORS * 10)
        await d.node(victim).kill?.()
        await work.acknowledged(VISITORS * 4)
        const tallies = await work.stop()
        const rest = upTo(d.nodes).filter((node) => node !== victim)
        await expectKept(d, tallies, rest, `after node ${victim} was killed`)
        await d.restart(victim)
        await expectKept(d, tallies, [victim], `after node ${victim} was started again`)
      }
    },
  ),

  lawTest(
    6,
    'kill-after-answer',
    'what a node acknowledged the moment before its kill is there',
    ['twoNodes', 'kill'],
    async (d) => {
      for (const victim of d.fleet.nodes.keys()) {
        const visitor = d.visitor()
        await d.ask(visitor, victim, ['set', 'a', 1], ['login', 'ada'])
        await d.ask(visitor, victim, ['increment', 'count'])
        await d.node(victim).kill?.()
        const { user, data } = await d.look(visitor, victim + 1)
        d.expectEqual(
          [user, data],
          ['ada', { a: 1, count: 1 }],
          'the session after the kill of the only node it had seen',
        )
        await d.restart(victim)
      }
    },
  ),
]
