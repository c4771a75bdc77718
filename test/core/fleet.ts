import { randomBytes } from 'node:crypto'
import { parseSetCookie } from 'cookie'
import { openSessions, type Sessions } from '../../src/core/sessions.ts'
import type { SessionEventName, SessionEvents } from '../../src/core/events.ts'
import type { SessionsOptions } from '../../src/core/policy.ts'
import type { HeaderLine, Session } from '../../src/core/session.ts'
import type { Duration } from '../../src/core/duration.ts'
import { toMilliseconds } from '../../src/core/duration.ts'
import { createSharedStore, type SharedStore } from '../support/shared-store.ts'

export interface Data {
  n: number
  list: string[]
  [field: string]: unknown
}

/** A clock that a test turns. */
export interface TurnedClock {
  now(): number
  advance(duration: Duration): void
}

export function createTurnedClock(start = 1_700_000_000_000): TurnedClock {
  let now = start
  return { now: () => now, advance: (duration) => void (now += toMilliseconds('advance', duration)) }
}

/** Nodes on one store, with one clock, and what they told. */
export interface Fleet {
  readonly store: SharedStore
  readonly clock: TurnedClock
  readonly nodes: readonly Sessions<Data>[]
  /** The first node, */
  readonly sessions: Sessions<Data>
  /** and the last. */
  readonly other: Sessions<Data>
  /** What happened on any node, in order; `storeFailed` and others carry their facts. */
  readonly events: (readonly [name: SessionEventName, event: SessionEvents[SessionEventName]])[]
  readonly logged: string[]
  readonly eventNames: () => string[]
}

const eventNames: readonly SessionEventName[] = [
  'created', 'login', 'ended', 'stolen', 'superseded', 'stale', 'lateChange', 'changeDropped', 'tokenRefused', 'invalid',
  'storeFailed', 'peerRefused', 'underReplicated', 'begunAnew',
] // prettier-ignore

export const secret: string = randomBytes(32).toString('base64url')

/** @param beside a fleet whose store and clock it shares, with options of its own */
export function createFleet(
  options: Partial<SessionsOptions<Data>> = {},
  nodeCount = 1,
  beside?: Pick<Fleet, 'store' | 'clock'>,
): Fleet {
  const store = beside?.store ?? createSharedStore()
  const clock = beside?.clock ?? createTurnedClock()
  const logged: string[] = []
  const log = (_: object, message: string): void => void logged.push(message)
  const events: Fleet['events'] = []
  const nodes = Array.from({ length: nodeCount }, () => {
    const sessions = openSessions<Data>(
      { store, secret, ...(options.schema ? {} : { initial: (): Data => ({ n: 0, list: [] }) }), ...options },
      { clock, logger: { info: log, warn: log, error: log } },
    )
    for (const name of eventNames) sessions.on(name, (event) => events.push([name, event]))
    return sessions
  })
  const [first, last] = [nodes[0], nodes.at(-1)]
  if (!first || !last) throw new RangeError('a fleet has a node')
  return {
    store,
    clock,
    nodes,
    sessions: first,
    other: last,
    events,
    logged,
    eventNames: () => events.map(([name]) => name),
  }
}

/** A browser as far as cookies go. */
export class Client {
  readonly cookies = new Map<string, string>()

  get request(): { headers: { cookie?: string } } {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    return { headers: cookie === '' ? {} : { cookie } }
  }

  get token(): string | undefined {
    return this.cookies.get('__Host-sid')
  }

  /** Of the token, as the format's documentation says where it stands. */
  get generation(): number | undefined {
    return Buffer.from(this.token ?? '', 'base64url')[18]
  }

  get hint(): string | undefined {
    return this.cookies.get('__Host-sid-v')
  }

  /** Takes the answer of a commit. */
  take(headers: readonly HeaderLine[]): void {
    for (const [header, line] of headers) {
      if (header !== 'set-cookie') continue
      const { name, value, maxAge } = parseSetCookie(line)
      if (maxAge === 0) this.cookies.delete(name)
      else this.cookies.set(name, value ?? '')
    }
  }

  clone(): Client {
    const other = new Client()
    for (const [name, value] of this.cookies) other.cookies.set(name, value)
    return other
  }

  /** One request: opened, handled, committed, answered. */
  async visit<D extends object, T>(sessions: Sessions<D>, handle: (session: Session<D>) => T | Promise<T>): Promise<T> {
    const session = await sessions.open(this.request)
    const result = await handle(session)
    this.take(await sessions.commit(session))
    sessions.finish(session)
    return result
  }
}

/** A client that has a session with `n` at 1. */
export async function createVisitor(sessions: Sessions<Data>): Promise<Client> {
  const client = new Client()
  await client.visit(sessions, ({ data }) => void (data.n = 1))
  return client
}

/** The only record of a store. */
export function onlyRecord({ records }: SharedStore): NonNullable<ReturnType<SharedStore['records']['get']>> {
  const [record] = records.values()
  if (!record || records.size !== 1) throw new Error(`the store has ${records.size} sessions`)
  return record
}

/** A promise and what settles it: lets a test hold a call up until something else has happened. */
export function createGate(): { opened: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: () => resolve() }
}
