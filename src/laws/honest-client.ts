import { type Driver, upTo } from './driver.ts'
import { LAW_TIMES } from './node.ts'
import { createRandom, type Random } from './random.ts'
import type { Step } from './steps.ts'
import type { Answer, Visitor } from './visitor.ts'

const ROUNDS = 14
const CLIENTS_AT_ONCE = 50
const SCHEDULES = 100

/** An answer under way to a client. */
interface Letter {
  readonly answer: Answer
  readonly sentAtMs: number
  /** Rounds until it arrives; never, where it is lost. */
  rounds: number
}

/** A browser that does nothing wrong: it sends what its jar holds, and takes what arrives, in whatever order. */
interface HonestClient {
  readonly visitor: Visitor
  readonly user: string
  readonly letters: Letter[]
  acknowledged: number
  sent: number
}

/**
 * Draws schedules for honest clients, many at once since they share the clock: in each round a client may send some
 * requests at once to any nodes, while earlier answers are on their way to it, get lost, or arrive in any order within
 * the grace of a token. None may be taken for a thief (`theft`), and none may lose a change (`updates`, with a fifth of
 * the schedules).
 */
export async function drawSchedules(driver: Driver, seen: 'theft' | 'updates'): Promise<void> {
  const { seed = Math.floor(Math.random() * 2 ** 32), schedules: all = SCHEDULES } = driver.fleet
  const schedules = seen === 'theft' ? all : Math.ceil(all / 5)
  const random = createRandom(seed)
  for (let done = 0; done < schedules; done += CLIENTS_AT_ONCE) {
    await drawClients(
      driver,
      random,
      seen,
      Math.min(CLIENTS_AT_ONCE, schedules - done),
      `seed ${seed}, from schedule ${done}`,
    )
  }
}

async function drawClients(
  driver: Driver,
  random: Random,
  watched: 'theft' | 'updates',
  count: number,
  where: string,
): Promise<void> {
  const clients = await Promise.all(
    upTo(count).map(async (n): Promise<HonestClient> => {
      const user = `user-${n}`
      const visitor = await driver.visitorWith(['set', 'count', 0], ['login', user])
      return { visitor, user, letters: [], acknowledged: 0, sent: 0 }
    }),
  )
  let nowMs = 0
  for (const _ of upTo(ROUNDS)) {
    const plans = clients.map(() => upTo(1 + random.below(3)).map(() => drawRequest(random)))
    await Promise.all(clients.map((client, n) => sendAll(driver, client, plans[n] ?? [], nowMs)))
    const step = drawStep(random)
    for (const client of clients) await deliver(client, random, nowMs + step)
    nowMs += step
    await driver.turnClock(step)
    driver.expectEqual(await driver.stolen(), 0, `the number of stolen events (${where})`)
  }
  for (const [n, { visitor, user, acknowledged, sent }] of clients.entries()) {
    const seen = await driver.look(visitor, n)
    driver.expectEqual(seen.user, user, `the user of an honest client (${where})`)
    if (watched === 'theft') continue
    const total = Number(seen.data['count'])
    driver.expect(
      total >= acknowledged && total <= sent,
      `${total} of ${sent} increments, ${acknowledged} acknowledged (${where})`,
    )
  }
}

/** Most rounds follow soon; some come after a grace, some when a rotation is due. */
function drawStep(random: Random): number {
  const kind = random.below(8)
  if (kind === 0) return LAW_TIMES.rotateEveryMs + random.below(60_000)
  return kind < 3 ? random.below(LAW_TIMES.graceMs * 3) : random.below(5_000)
}

interface RequestPlan {
  readonly node: number
  readonly steps: readonly Step[]
  readonly isAborted: boolean
  /** Rounds until the answer arrives; `Infinity` where it is lost. */
  readonly rounds: number
}

function drawRequest(random: Random): RequestPlan {
  const kinds: readonly (readonly Step[])[] = [
    [],
    [['rotate']],
    [['rotate']],
    [['increment', 'count']],
    [['set', 'x', random.below(9)]],
  ]
  return {
    node: random.below(3),
    steps: random.of(kinds),
    isAborted: random.below(10) === 0,
    rounds: random.below(5) === 0 ? Infinity : random.below(3),
  }
}

async function sendAll(
  driver: Driver,
  client: HonestClient,
  plans: readonly RequestPlan[],
  nowMs: number,
): Promise<void> {
  await Promise.all(
    plans.map(async ({ node, steps, isAborted, rounds }) => {
      const isIncrement = steps[0]?.[0] === 'increment'
      if (isIncrement) client.sent += 1
      const flight = await client.visitor.send(node, steps)
      if (isAborted) return flight.abort()
      const answer = driver.ok(await flight.answer)
      if (isIncrement) client.acknowledged += 1
      client.letters.push({ answer, sentAtMs: nowMs, rounds })
    }),
  )
}

/** Letters that are due arrive in any order; those that would be later than the grace are lost with their connection. */
async function deliver({ visitor, letters }: HonestClient, random: Random, untilMs: number): Promise<void> {
  const due: Letter[] = []
  for (const letter of letters.splice(0)) {
    if (letter.rounds === 0) due.push(letter)
    else if (letter.rounds !== Infinity && untilMs - letter.sentAtMs < LAW_TIMES.graceMs) {
      letter.rounds -= 1
      letters.push(letter)
    }
  }
  for (const { answer } of random.shuffled(due)) await visitor.keep(answer)
}
