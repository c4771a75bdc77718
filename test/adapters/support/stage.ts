/** What a framework has to bring for the contract, and the sessions that its application stands on. */

import { randomBytes } from 'node:crypto'
import {
  openSessions,
  type Session,
  type Sessions,
  type SessionsOptions,
  type StoreDefinition,
} from '../../../src/core/index.ts'

export interface Data {
  views: number
  theme: string
}

/** How the application answers errors. `default` leaves it to the framework, or to the adapter where there is none. */
export type ErrorStyle = 'default' | 'json' | 'async json'

/** One application under test. */
export interface Stage {
  readonly sessions: Sessions<Data>
  readonly errorStyle: ErrorStyle

  /** The codes of the errors that the application's error handler has seen. */
  readonly errors: unknown[]

  /** What the handler of `/during` does before it answers. */
  during: (session: Session<Data>) => unknown

  /** What the handlers of `/after/…` do once their first byte is out. */
  after: (session: Session<Data>) => unknown

  /** Told by handlers that they are done. */
  done: (what?: unknown) => void
}

export interface StageServer extends AsyncDisposable {
  readonly port: number
}

/** A framework, with an application that serves the routes of the contract. */
export interface Framework {
  readonly name: string
  serve(stage: Stage): Promise<StageServer>

  /** Routes whose handler writes to the raw response, where the framework's error handler is out of the game. */
  isRaw?(path: string): boolean
}

export const silent = { info: () => {}, warn: () => {}, error: () => {} }

export function createStage(
  store: StoreDefinition,
  { errorStyle = 'json', ...options }: { errorStyle?: ErrorStyle } & Partial<SessionsOptions<Data>> = {},
): Stage {
  const sessions = openSessions<Data>(
    {
      store,
      secret: randomBytes(32).toString('base64url'),
      initial: () => ({ views: 0, theme: 'light' }),
      ...options,
    },
    { clock: { now: Date.now }, logger: silent },
  )
  return { sessions, errorStyle, errors: [], during: () => {}, after: () => {}, done: () => {} }
}

export function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : error instanceof Error ? error.message : error
}

export function statusOf(error: unknown): number {
  return error instanceof Error && 'status' in error && typeof error.status === 'number' ? error.status : 500
}

/** A while in which others run: some turns of the event loop. */
export async function someTurns(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
}
