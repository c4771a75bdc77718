import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { inspect } from 'node:util'
import {
  type HeaderLine,
  openSessions,
  type Session,
  type SessionEventName,
  type SessionRecord,
  type Sessions,
  type SessionsOptions,
  SojournError,
  type StoreDefinition,
} from '../core/index.ts'
import { Barriers, type LawData, runStep, type Step } from './steps.ts'
import { type ApplyPlan, watched, type WatchedStore } from './watched-store.ts'

/** Timeouts of the laws' sessions, in milliseconds. */
export const LAW_TIMES: {
  readonly idleMs: number
  readonly absoluteMs: number
  readonly rotateEveryMs: number
  readonly graceMs: number
} = {
  idleMs: 30 * 60_000,
  absoluteMs: 12 * 3_600_000,
  rotateEveryMs: 5 * 60_000,
  graceMs: 60_000,
}

/** Longer than any driver holds a call back; what is tested here is no deadline. */
const DEADLINE_MS = 60_000

/** Options of {@link startLawNode}. */
export interface LawNodeOptions {
  /** The store to be proven; every node of a fleet opens its own on the same place. */
  store: StoreDefinition
  /** The same on every node of a fleet. Default: a fixed one, since a law node is no place for secrets. */
  secret?: string
  /** Whether tokens are rotated every so often; not where the store excuses law 8. Default: `true`. */
  rotates?: boolean
  /** Makes the sessions; a fault of the engine is injected here. Default: as `createSessions` does. */
  createSessions?: (options: SessionsOptions<LawData>) => Sessions<LawData>
}

/** A running node. */
export interface LawNode {
  readonly url: string
  /** Answers what it had, then closes its sessions and their store. Stopping twice succeeds. */
  stop(): Promise<void>
}

/** What the driver sends to `/act`: the handler's steps, and those between the commit and the first byte of the answer. */
export interface ActRequest {
  readonly steps: readonly Step[]
  readonly late?: readonly Step[]
}

/** What `/act` answers. */
export interface ActAnswer {
  readonly key: string
  readonly user: string | null
  readonly isNew: boolean
  readonly data: LawData
  /** Of the first failure, where there was one. */
  readonly code?: string
  readonly message?: string
}

/** What the driver may ask of a node besides requests of visitors, sent to `/control`. */
export type Control =
  | { readonly do: 'reset'; readonly clockMs: number }
  | { readonly do: 'arrived' | 'release'; readonly barrier: string }
  | { readonly do: 'plan'; readonly plan: ApplyPlan }
  | { readonly do: 'clock'; readonly clockMs: number }
  | { readonly do: 'transcript' | 'counts' | 'health' }
  | { readonly do: 'replay' | 'revoke' | 'get' | 'copy' | 'installCopy'; readonly key: string }
  | { readonly do: 'revokeUser'; readonly user: string }
  | { readonly do: 'increment'; readonly key: string; readonly field: string }

const EVENT_NAMES = [
  'created', 'login', 'ended', 'stolen', 'superseded', 'stale', 'lateChange', 'changeDropped', 'tokenRefused',
  'invalid', 'storeFailed', 'peerRefused', 'underReplicated', 'begunAnew',
] as const satisfies readonly SessionEventName[] // prettier-ignore

const SECRET = 'k3Wq9ZtR7xLm2VbN8pHs5JcYd4GfUa6E'

/**
 * Starts a node of a fleet to be proven, on a free port of 127.0.0.1: a plain `node:http` server on sessions of its
 * own, whose handlers do what the driver says. For tests alone: its control routes obey everybody.
 */
export async function startLawNode(options: LawNodeOptions): Promise<LawNode> {
  const node = new Node(options)
  await node.sessions.ready()
  let isStopping = false
  // The client closes idle connections: a server that does may close one that a request is on its way on.
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    response.once('close', () => isStopping && setImmediate(() => server.closeIdleConnections()))
    void node.serve(request, response)
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  let stopped: Promise<void> | undefined

  return {
    url: `http://127.0.0.1:${port}`,
    stop() {
      stopped ??= (async () => {
        isStopping = true
        await new Promise((resolve) => server.close(resolve))
        await node.sessions.close()
      })()
      return stopped
    },
  }
}

class Node {
  readonly sessions: Sessions<LawData>
  readonly #barriers = new Barriers()
  readonly #transcript: string[] = []
  readonly #copies = new Map<string, SessionRecord>()
  #store: WatchedStore | undefined
  #clockMs = 0

  constructor({ store, secret = SECRET, rotates = true, createSessions }: LawNodeOptions) {
    const note = (facts: object, message: string): void => this.#note('log', message, facts)
    const logger = { info: note, warn: note, error: note }
    const clock = { now: () => Date.now() + this.#clockMs }
    const create = createSessions ?? ((options) => openSessions(options, { clock, logger }))
    this.sessions = create({
      store: watched(store, this.#barriers, (opened) => (this.#store = opened)),
      secret,
      idleTimeout: LAW_TIMES.idleMs,
      absoluteTimeout: LAW_TIMES.absoluteMs,
      rotateEvery: rotates ? LAW_TIMES.rotateEveryMs : Infinity,
      grace: LAW_TIMES.graceMs,
      deadline: DEADLINE_MS,
      clock,
      logger,
    })
    for (const name of EVENT_NAMES) this.sessions.on(name, (event) => this.#note('event', name, event))
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const isControl = request.url === '/control'
    try {
      const body: unknown = JSON.parse(await textOf(request))
      if (!isControl) return await this.#act(request, body as ActRequest, response)
      answer(response, 200, (await this.#control(body as Control)) ?? null)
    } catch (error) {
      this.#note('error', isControl ? 'control' : 'act', error)
      const code = error instanceof SojournError ? error.code : 'law_node'
      answer(response, 500, { code, message: inspect(error) })
    }
  }

  /** Commits before the first byte and also where the handler failed, as the adapters do. */
  async #act(request: IncomingMessage, { steps, late = [] }: ActRequest, response: ServerResponse): Promise<void> {
    const meet = (barrier: string): Promise<void> => this.#barriers.meet(barrier)
    let failure: unknown
    let session: Session<LawData> | undefined
    let lines: HeaderLine[] = []
    try {
      session = await this.sessions.open({ headers: request.headers })
      for (const step of steps) await runStep(session, step, meet)
    } catch (error) {
      failure = error
    }
    try {
      if (session) lines = await this.sessions.commit(session)
    } catch (error) {
      failure ??= error
    }
    if (session) for (const step of late) await runStep(session, step, meet)
    if (failure) this.#note('error', 'act', failure)

    const error = failure instanceof SojournError ? failure : undefined
    const problem = failure ? { code: error?.code ?? 'error', message: messageOf(failure) } : {}
    for (const [name, value] of lines) response.appendHeader(name, value)
    answer(response, failure ? (error?.status ?? 500) : 200, { ...viewOf(session), ...problem })
    if (session) this.sessions.finish(session)
  }

  async #control(control: Control): Promise<unknown> {
    const { sessions } = this
    const store = this.#opened
    switch (control.do) {
      case 'reset':
        this.#clockMs = control.clockMs
        this.#barriers.releaseAll()
        for (const list of [store.plans, store.changes, store.given, this.#transcript]) list.length = 0
        return
      case 'arrived':
        return this.#barriers.arrived(control.barrier)
      case 'release':
        return this.#barriers.release(control.barrier)
      case 'plan':
        store.plans.push(control.plan)
        return
      case 'clock':
        this.#clockMs = control.clockMs
        return
      case 'transcript':
        return { told: this.#transcript, given: store.given }
      case 'counts':
        return sessions.stats()
      case 'health':
        return sessions.health()
      case 'replay':
        return store.replay(control.key)
      case 'revoke':
        return sessions.revoke(control.key)
      case 'revokeUser':
        return sessions.revokeUser(control.user)
      case 'get':
        return sessions.get(control.key)
      case 'copy': {
        const record = await store.read(control.key)
        if (record) this.#copies.set(control.key, record)
        return
      }
      case 'installCopy': {
        const copy = this.#copies.get(control.key)
        if (copy) await store.install(copy)
        return
      }
      case 'increment':
        return sessions.update(control.key, control.field, (value) => Number(value ?? 0) + 1)
    }
  }

  get #opened(): WatchedStore {
    if (!this.#store) throw new Error('createSessions did not open the store that it was given')
    return this.#store
  }

  #note(kind: string, what: string, facts: unknown): void {
    this.#transcript.push(`${kind} ${what} ${inspect(facts, { depth: 10 })}`)
  }
}

function viewOf(session: Session<LawData> | undefined): Partial<ActAnswer> {
  if (!session) return {}
  const { key, user, isNew, data } = session
  return { key, user, isNew, data: { ...data } }
}

function messageOf(failure: unknown): string {
  return failure instanceof Error ? `${failure.name}: ${failure.message}` : inspect(failure)
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.statusCode = status
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(body))
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) text += String(chunk)
  return text
}
