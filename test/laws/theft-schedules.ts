/** Random schedules of one browser, alone and with a thief: in this process, with a virtual clock and a real cookie jar. */

import assert from 'node:assert/strict'
import { CookieJar } from 'tough-cookie'
import {
  type HeaderLine,
  openSessions,
  type Session,
  type Sessions,
  type StoreDefinition,
} from '../../src/core/index.ts'
import { createRandom, type Random } from '../../src/laws/random.ts'

const graceMs = 60_000
const rotateEveryMs = 15 * 60_000
const burst = 100
const origin = 'https://shop.example/'
const silent = { info() {}, warn() {}, error() {} }

interface Data {
  n: number
}

/** Nodes on one store, and what they told. */
interface Place {
  readonly clock: { now: number }
  readonly nodes: readonly Sessions<Data>[]
  readonly stolen: string[]
  readonly random: Random
}

/** A request: on its way, opened, or answered. */
interface Flight {
  readonly sentAt: number
  readonly node: Sessions<Data>
  readonly cookie: string
  session?: Session<Data>
  answer?: HeaderLine[]
}

/** Plays schedules one after the other on one clock. @throws Error that names the seed of the one that failed */
export async function playSchedules(store: () => StoreDefinition, count: number, firstSeed: number): Promise<void> {
  const clock = { now: Date.now() }
  const stolen: string[] = []
  const secret = 'kWq9ZtR7xLm2VbN8pHs5JcYd4GfUa6E1-schedules'
  const nodes = [0, 1].map(() => {
    const options = { store: store(), secret, grace: graceMs, rotateEvery: rotateEveryMs, idleTimeout: '7d', absoluteTimeout: '30d', deadline: '60s' } as const // prettier-ignore
    const sessions = openSessions<Data>({ ...options, initial: () => ({ n: 0 }) }, { clock: { now: () => clock.now }, logger: silent }) // prettier-ignore
    sessions.on('stolen', ({ key }) => stolen.push(key))
    return sessions
  })
  try {
    for (let seed = firstSeed; seed < firstSeed + count; seed++) {
      const random = createRandom(seed)
      try {
        await playSchedule({ clock, nodes, stolen, random }, seed % 2 === 1)
      } catch (error) {
        throw new Error(`schedule of seed ${seed} (SEED=${seed} plays it first)`, { cause: error })
      }
    }
  } finally {
    await Promise.all(nodes.map((node) => node.close()))
  }
}

async function playSchedule(place: Place, hasThief: boolean): Promise<void> {
  const { random, stolen } = place
  const owner = new CookieJar()
  await keep(owner, await visit(place, owner, ({ data }) => void (data.n = 1)))
  stolen.length = 0
  await playHonest(place, owner)
  assert.deepEqual(stolen, [], 'an honest client was taken for a thief')
  assert.equal(await read(place, owner), 1, 'an honest client lost its session')
  if (hasThief) await playTheft(place, owner, random.of([10_000, 60_000, 5 * 60_000]), random.of([5_000, 3 * 60_000, 40 * 60_000])) // prettier-ignore
}

/** Rounds of parallel requests whose answers are lost, late, out of order or never read; each takes less than the grace. */
async function playHonest(place: Place, jar: CookieJar): Promise<void> {
  const { clock, random } = place
  const large = random.below(12)
  let flights: Flight[] = []
  for (let round = 0; round < 12; round++) {
    const header = await jar.getCookieString(origin)
    const count = round === large ? burst : random.below(6)
    flights.push(...Array.from({ length: count }, () => send(place, header)))
    const moving = (): Flight[] => random.shuffled(flights).slice(0, random.below(flights.length + 1))
    for (const some of [moving(), moving()]) await Promise.all(some.map((flight) => advance(place, flight)))
    const arriving = random.shuffled(flights.filter(({ answer }) => answer && random.below(3) > 0))
    for (const flight of arriving) if (random.below(5) > 0) await keep(jar, flight.answer ?? []) // else it was lost
    flights = flights.filter((flight) => !arriving.includes(flight))
    clock.now += random.of([10, 10, 1_000, 5_000, 20_000, graceMs, 2 * graceMs, rotateEveryMs])
    flights = flights.filter(({ sentAt }) => clock.now - sentAt < graceMs)
  }
}

/** The thief has the owner's cookies, and polls; the owner comes when he likes. Each takes every answer. */
async function playTheft(place: Place, owner: CookieJar, thiefEveryMs: number, ownerEveryMs: number): Promise<void> {
  const { clock, stolen, random } = place
  const thief = await owner.clone()
  const slowestMs = Math.max(thiefEveryMs, ownerEveryMs)
  // Rotated when due, settled twice the grace after its first use; then the next use of the other shows it.
  const latest = clock.now + rotateEveryMs + 3 * graceMs + 3 * slowestMs
  const next = { thief: clock.now + random.below(thiefEveryMs), owner: clock.now + random.below(ownerEveryMs) }
  while (stolen.length === 0) {
    const who = next.thief <= next.owner ? 'thief' : 'owner'
    clock.now = Math.max(clock.now, next[who])
    next[who] = clock.now + (who === 'thief' ? thiefEveryMs : ownerEveryMs)
    const jar = who === 'thief' ? thief : owner
    await keep(jar, await visit(place, jar, () => {}))
    assert(clock.now <= latest, `a thief (every ${thiefEveryMs} ms, owner every ${ownerEveryMs} ms) was not seen`)
  }
  for (const jar of [owner, thief]) assert.equal(await read(place, jar), 0, 'the session goes on after a theft')
  assert.equal(stolen.length, 1)
}

function send({ clock, nodes, random }: Place, cookie: string): Flight {
  return { sentAt: clock.now, node: random.of(nodes), cookie }
}

/** Opens the request, or answers it. */
async function advance({ random }: Place, flight: Flight): Promise<void> {
  const { node, cookie, session } = flight
  if (flight.answer) return
  if (!session) {
    flight.session = await node.open({ headers: { cookie } })
    return
  }
  const kind = random.below(8)
  if (kind < 3) await session.rotate()
  if (kind === 3) session.data.n = 1
  flight.answer = await node.commit(session)
}

async function visit(place: Place, jar: CookieJar, handle: (session: Session<Data>) => void): Promise<HeaderLine[]> {
  const { node, cookie } = send(place, await jar.getCookieString(origin))
  const session = await node.open({ headers: { cookie } })
  handle(session)
  return node.commit(session)
}

async function read(place: Place, jar: CookieJar): Promise<number> {
  const { node, cookie } = send(place, await jar.getCookieString(origin))
  const { data } = await node.open({ headers: { cookie } })
  return data.n
}

async function keep(jar: CookieJar, lines: readonly HeaderLine[]): Promise<void> {
  for (const [name, line] of lines) if (name === 'set-cookie') await jar.setCookie(line, origin)
}
