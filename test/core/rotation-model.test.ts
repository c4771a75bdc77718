import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import type { HeaderLine, Session } from '../../src/core/session.ts'
import { checkProperty } from '../support/seed.ts'
import { type Client, createFleet, createVisitor, type Data, type Fleet } from './fleet.ts'

const graceMs = 60_000

type Action = 'read' | 'write' | 'rotate' | 'login'

/** A request of an honest browser on its way: sent, opened, answered. Each stage may wait for any others. */
interface Flight {
  readonly action: Action
  readonly nodeIndex: number
  readonly sentAt: number
  readonly request: Client['request']
  session?: Session<Data>
  answer?: HeaderLine[]
}

type Step =
  | { do: 'send'; action: Action; nodeIndex: number }
  /** Sent and answered with nothing in between. */
  | { do: 'visit'; action: Action; nodeIndex: number }
  /** The flight goes on to its next stage; the last is that its answer reaches the browser. */
  | { do: 'progress'; which: number }
  | { do: 'lose'; which: number }
  | { do: 'wait'; ms: number }

function stepsOf(actions: readonly Action[]): fc.Arbitrary<Step[]> {
  const which = fc.nat({ max: 5 })
  const request = { action: fc.constantFrom(...actions), nodeIndex: fc.nat({ max: 1 }) }
  const send = fc.record({ do: fc.constant('send' as const), ...request })
  const visit = fc.record({ do: fc.constant('visit' as const), ...request })
  const progress = fc.record({ do: fc.constant('progress' as const), which })
  const lose = fc.record({ do: fc.constant('lose' as const), which })
  const wait = fc.record({
    do: fc.constant('wait' as const),
    ms: fc.constantFrom(1, 1000, graceMs / 2, graceMs, graceMs * 3),
  })
  return fc.array(
    fc.oneof(
      { arbitrary: visit, weight: 6 },
      { arbitrary: send, weight: 3 },
      { arbitrary: progress, weight: 6 },
      { arbitrary: lose, weight: 1 },
      { arbitrary: wait, weight: 1 },
    ),
    { minLength: 5, maxLength: 60, size: 'max' },
  )
}

/** Plays the steps with one browser; a request takes less than the grace, or is lost. */
async function play(fleet: Fleet, client: Client, steps: readonly Step[]): Promise<void> {
  const { clock, sessions, other } = fleet
  let flights: Flight[] = []
  for (const step of steps) {
    if (step.do === 'send' || step.do === 'visit') {
      const flight: Flight = { ...step, sentAt: clock.now(), request: client.request }
      if (step.do === 'send') flights.push(flight)
      else client.take(await answerOf(flight))
    } else if (step.do === 'wait') {
      clock.advance(step.ms)
      flights = flights.filter(({ sentAt }) => clock.now() - sentAt < graceMs)
    } else {
      const flight = flights[step.which % Math.max(flights.length, 1)]
      if (!flight) continue
      if (step.do === 'progress' && !flight.answer) {
        await advance(flight, flight.nodeIndex === 0 ? sessions : other)
        continue
      }
      if (step.do === 'progress') client.take(flight.answer ?? [])
      flights = flights.filter((other) => other !== flight)
    }
  }

  async function answerOf(flight: Flight): Promise<HeaderLine[]> {
    const node = flight.nodeIndex === 0 ? sessions : other
    await advance(flight, node)
    await advance(flight, node)
    return flight.answer ?? []
  }

  async function advance(flight: Flight, node: typeof sessions): Promise<void> {
    const { action, request } = flight
    if (!flight.session) {
      flight.session = await node.open(request)
      return
    }
    const { session } = flight
    try {
      if (action === 'write') session.data['written'] = clock.now()
      if (action === 'rotate') await session.rotate()
      if (action === 'login') await session.login('ann')
      flight.answer = await node.commit(session)
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'session_superseded')
      flight.answer = []
    }
  }
}

const options = { idleTimeout: '30d', absoluteTimeout: '30d', grace: graceMs } as const

suite('rotation: an honest browser whose answers are lost, late and out of order', () => {
  test('is never taken for a thief, and never loses its session', () =>
    checkProperty(
      fc.asyncProperty(stepsOf(['read', 'write', 'rotate']), async (steps) => {
        const fleet = createFleet(options, 2)
        const client = await createVisitor(fleet.sessions)
        await play(fleet, client, steps)
        fleet.clock.advance(2 * graceMs)
        assert.equal((await fleet.sessions.open(client.request)).data.n, 1)
        assert(!fleet.eventNames().includes('stolen'))
      }),
      { runs: 300 },
    ))

  test('is never taken for a thief when it logs in as well', () =>
    checkProperty(
      fc.asyncProperty(stepsOf(['read', 'write', 'rotate', 'login']), async (steps) => {
        const fleet = createFleet(options, 2)
        const client = await createVisitor(fleet.sessions)
        await play(fleet, client, steps)
        fleet.clock.advance(2 * graceMs)
        await fleet.sessions.open(client.request)
        assert(!fleet.eventNames().includes('stolen'))
      }),
      { runs: 300 },
    ))
})

suite('rotation: a thief', () => {
  test('who uses a copied token after the grace of the successor is seen, whatever the browser did before', () =>
    checkProperty(
      fc.asyncProperty(stepsOf(['read', 'write', 'rotate']), async (steps) => {
        const fleet = createFleet(options, 2)
        const client = await createVisitor(fleet.sessions)
        const thief = client.clone()
        await client.visit(fleet.sessions, (session) => session.rotate())
        await client.visit(fleet.sessions, ({ data }) => data.n) // presents the successor
        await play(fleet, client, steps)
        fleet.clock.advance(graceMs + 1)
        assert.equal((await fleet.sessions.open(thief.request)).isNew, true)
        assert.equal((await fleet.sessions.open(client.request)).isNew, true, 'the session is ended for both')
        assert.equal(fleet.eventNames().filter((name) => name === 'stolen').length, 1)
      }),
      { runs: 100 },
    ))
})
