/** Deliberate faults of the engine or an adapter, with the test that must see each. */

import {
  type HeaderLine,
  openSessions,
  type RequestLike,
  type Sessions,
  type SessionsOptions,
} from '../../src/core/index.ts'
import type { LawData } from '../../src/laws/index.ts'
import type { Fault } from './store-faults.ts'

/** Sessions whose methods are partly wrong. */
function withEngine(
  patch: (sessions: Sessions<LawData>) => Partial<Sessions<LawData>>,
): NonNullable<Fault['createSessions']> {
  return (options) => {
    const { clock = { now: Date.now }, logger = { info() {}, warn() {}, error() {} } } = options
    const sessions = openSessions(options, { clock, logger })
    const patched = patch(sessions)
    return new Proxy(sessions, {
      get(target, name) {
        const value: unknown = Reflect.get(name in patched ? patched : target, name)
        return typeof value === 'function' && !(name in patched) ? value.bind(target) : value
      },
    })
  }
}

function cookieOf({ headers }: RequestLike): string {
  return 'cookie' in headers ? String(headers.cookie) : ''
}

function isToken([name, line]: HeaderLine): boolean {
  return name === 'set-cookie' && line.startsWith('__Host-sid=')
}

/** Sessions with other options than they were given. */
function withOptions(change: Partial<SessionsOptions<LawData>>): NonNullable<Fault['createSessions']> {
  return (options) => withEngine(() => ({}))({ ...options, ...change })
}

export const engineFaults: readonly Fault[] = [
  {
    title: 'the engine never rotates by itself',
    seenBy: 'rotates-by-itself',
    createSessions: withOptions({ rotateEvery: Infinity }),
  },
  {
    title: 'the engine tells of a theft and lets it go on',
    seenBy: 'thief-after-owner',
    createSessions: withOptions({ onStolen: 'report' }),
  },
  {
    title: 'the engine gives the predecessor no grace',
    seenBy: 'grace',
    createSessions: withOptions({ grace: 1 }),
  },
  {
    title: 'the engine gives a successor to all in one issue, so that a thief and the owner go on with the same',
    seenBy: 'thief-in-step',
    createSessions: (() => {
      const given = new Map<string, HeaderLine>()
      return withEngine((sessions) => {
        const presented = new WeakMap<object, string>()
        return {
          async open(request) {
            const session = await sessions.open(request)
            presented.set(session, /__Host-sid=([^;]*)/.exec(cookieOf(request))?.[1] ?? '')
            return session
          },
          async commit(session) {
            const lines = await sessions.commit(session)
            const of = presented.get(session) ?? ''
            const token = lines.find(isToken)
            if (of === '' || !token || session.isNew) return lines
            if (!given.has(of)) given.set(of, token)
            return lines.map((line) => (isToken(line) ? (given.get(of) ?? line) : line))
          },
        }
      })
    })(),
  },
  {
    title: 'the engine answers before the store has',
    seenBy: 'answer-after-write',
    createSessions: withEngine((sessions) => ({
      async commit(session) {
        if (session.isNew || session.user !== null) return sessions.commit(session)
        sessions.commit(session).catch(() => {})
        return []
      },
    })),
  },
  {
    title: 'the engine clears the cookie of a superseded request',
    seenBy: 'old-token',
    createSessions: withEngine((sessions) => ({
      async commit(session) {
        const isEmpty = session.isNew && Object.keys(session.data).length === 0
        const lines = await sessions.commit(session)
        return isEmpty ? [...lines, ['set-cookie', '__Host-sid=; Path=/; Secure; Max-Age=0']] : lines
      },
    })),
  },
  {
    title: 'the engine swallows a change that was refused',
    seenBy: 'login-commit-in-flight',
    createSessions: withEngine((sessions) => ({
      commit: (session) => sessions.commit(session).catch(() => []),
    })),
  },
  {
    title: 'the engine sets the cookie again with each answer, as rolling sessions do',
    seenBy: 'late-answer',
    createSessions: withEngine((sessions) => {
      const presented = new WeakMap<object, string>()
      return {
        async open(request) {
          const session = await sessions.open(request)
          const pair = cookieOf(request)
            .split('; ')
            .find((each) => each.startsWith('__Host-sid='))
          if (pair !== undefined) presented.set(session, pair)
          return session
        },
        async commit(session) {
          const lines = await sessions.commit(session)
          const pair = presented.get(session)
          if (pair === undefined || session.isNew || lines.some(([, line]) => line.startsWith('__Host-sid=')))
            return lines
          return [...lines, ['set-cookie', `${pair}; Path=/; Secure; HttpOnly`]]
        },
      }
    }),
  },
  {
    title: 'the engine refuses a hint that it cannot read',
    seenBy: 'forged-hint',
    createSessions: withEngine((sessions) => ({
      open(request) {
        const hint = /__Host-sid-v=([^;]*)/.exec(cookieOf(request))?.[1]
        if (hint !== undefined && !/^[0-9a-z]+\.[0-9a-z]+$/.test(hint)) throw new TypeError('not a hint')
        return sessions.open(request)
      },
    })),
  },
  {
    title: 'the engine logs the token',
    seenBy: 'no-token-shown',
    createSessions: (options) => {
      const base = withEngine((sessions) => ({
        async commit(session) {
          const lines = await sessions.commit(session)
          options.logger?.info({ lines }, 'committed')
          return lines
        },
      }))
      return base(options)
    },
  },
]
