import {
  type Change,
  type ChangeResult,
  judgeGeneration,
  type SessionRecord,
  TOMBSTONE_MS,
} from '../../src/core/index.ts'
import type { Version } from '../../src/token/index.ts'
import type { Operation } from '../../src/stores/mesh/protocol/messages.ts'
import type { CallResult, SimProcess } from './process.ts'
import type { OperationKind, SimOperation } from './session-history.ts'
import type { World } from './world.ts'

const IDLE_TIMEOUT_MS = 30 * 60_000
const GRACE_MS = 60_000
const CONFLICTS_MAX = 20

/** What a client's cookies say. */
export interface Cookies {
  readonly key?: string
  readonly generation: number
  readonly hint?: Version
}

/** What an answer does to a client's cookies. */
export interface Answer {
  readonly key?: string
  readonly token?: number
  readonly hint?: Version
  readonly clear?: boolean
}

export type Action = 'look' | 'assign' | 'increment' | 'touch' | 'rotate' | 'login' | 'logout'

/** What a request waits for. */
type Step =
  | { readonly kind: 'call'; readonly operation: Operation }
  | { readonly kind: 'sleep'; readonly ms: number }
  | { readonly kind: 'turn'; readonly key: string }

/** A request's program: yields what it waits for and is given what came of it. */
type Task<T> = Generator<Step, T, CallResult | undefined>

/** The store failed: the request answers 503. */
class UnavailableError extends Error {}

/**
 * What a server process does for a request: the calls of the engine, in its order and with its rules, on one node of the
 * mesh. It is the engine in small, since the engine itself runs on promises, timers and true randomness.
 */
export class Server {
  readonly #world: World
  readonly #process: SimProcess

  constructor(world: World, process: SimProcess) {
    this.#world = world
    this.#process = process
  }

  /** Handles a request; `answer` is called once, unless the process dies. `undefined` is a failure. */
  handle(cookies: Cookies, action: Action, thinkMs: number, answer: (answer: Answer | undefined) => void): void {
    this.#process.enter(() => this.#drive(this.#request(cookies, action, thinkMs), answer))
  }

  /** Reads outside a request. */
  look(
    key: string,
    hint: Version | undefined,
    done: (record: SessionRecord | undefined | 'unavailable') => void,
  ): void {
    const isUnavailable = (answer: { record: SessionRecord | undefined } | undefined): void =>
      done(answer ? answer.record : 'unavailable')
    const task = function* (this: Server): Task<{ record: SessionRecord | undefined }> {
      return { record: yield* this.#read(key, hint) }
    }
    this.#process.enter(() => this.#drive(task.call(this), isUnavailable))
  }

  /** Ends a session whatever its generation, outside a request. */
  revoke(key: string): void {
    this.#process.enter(() => this.#drive(this.#end(key, undefined), () => undefined))
  }

  /** One increment outside a request. */
  increment(key: string, done: (result: ChangeResult['outcome'] | undefined) => void): void {
    const task = function* (this: Server): Task<ChangeResult['outcome']> {
      const record = yield* this.#read(key, undefined)
      if (!record) return 'gone'
      return (yield* this.#increment(record, record.generation)).outcome
    }
    this.#process.enter(() => this.#drive(task.call(this), done))
  }

  #drive<T>(task: Task<T>, done: (value: T | undefined) => void): void {
    const advance = (value: CallResult | undefined): void => {
      try {
        for (let next = task.next(value); ; next = task.next(undefined)) {
          if (next.done) return done(next.value)
          const step = next.value
          if (step.kind === 'call') return this.#process.call(step.operation, advance)
          if (step.kind === 'sleep') return this.#process.after(step.ms, () => advance(undefined))
          return this.#process.takeTurn(step.key, () => advance(undefined))
        }
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error
        this.#world.coverage.add('unavailable')
        done(undefined)
      }
    }
    advance(undefined)
  }

  *#request(cookies: Cookies, action: Action, thinkMs: number): Task<Answer> {
    const { key, generation, hint } = cookies
    let record = key === undefined ? undefined : yield* this.#read(key, hint)
    if (key === undefined || !record) return yield* this.#visitWithout(action, thinkMs)

    let successor: number | undefined
    const judgement = judgeGeneration(record, generation, this.#process.wallClock)
    if (judgement === 'stolen') this.#world.checker.stolen(key, generation)
    if (judgement === 'superseded') return yield* this.#visitWithout(action === 'login' ? 'login' : 'look', thinkMs)
    if (judgement === 'current' && record.pending) successor = generation + 1
    if (judgement === 'successor') {
      const confirm = { generation, graceEndsAt: this.#process.wallClock + GRACE_MS }
      const result = yield* this.#apply('confirm', key, generation, { confirm })
      if (result.outcome !== 'applied') return {}
      if (result.pending && result.generation === generation) successor = generation + 1
      record = { ...record, version: result.version }
    }
    yield { kind: 'sleep', ms: thinkMs }

    const done = yield* this.#act(action, record, generation)
    if (done === 'nothing') {
      if (successor === undefined) return {}
      const now = yield* this.#read(key, undefined) // a token that is dead by now is not handed out
      const isDead = !now || successor < now.floor || successor <= now.generation
      return isDead ? {} : { key, token: successor }
    }
    if (done === 'ended') return { clear: true }
    if (done.outcome !== 'applied') return {}
    if (action === 'login') return { key, token: done.generation, hint: done.version }
    if (action === 'rotate' && done.pending && done.generation === generation) successor = done.generation + 1
    const isUsed = successor !== undefined && successor <= done.generation
    return { key, hint: done.version, ...(successor === undefined || isUsed ? {} : { token: successor }) }
  }

  *#act(action: Action, record: SessionRecord, generation: number): Task<ChangeResult | 'nothing' | 'ended'> {
    const { key } = record
    switch (action) {
      case 'look':
        return 'nothing'
      case 'assign':
        return yield* this.#apply('assign', key, generation, { fields: this.#someFields() })
      case 'increment':
        return yield* this.#increment(record, generation)
      case 'touch':
        return yield* this.#apply('touch', key, generation, {})
      case 'rotate':
        return yield* this.#apply('rotate', key, generation, { rotate: true })
      case 'login': {
        const login = { user: `user-${this.#world.random.below(5)}` }
        return yield* this.#apply('login', key, generation, { login, fields: this.#someFields() })
      }
      case 'logout':
        return (yield* this.#end(key, generation)) === 'superseded' ? 'nothing' : 'ended'
    }
  }

  /** A visitor without a session gets one with the first thing that is kept. */
  *#visitWithout(action: Action, thinkMs: number): Task<Answer> {
    yield { kind: 'sleep', ms: thinkMs }
    if (action !== 'assign' && action !== 'login') return {}
    const key = this.#world.random.text(43)
    const login = action === 'login' ? { login: { user: 'user-0' } } : {}
    const result = yield* this.#apply('create', key, 1, { create: true, fields: this.#someFields(), ...login })
    return result.outcome === 'applied' ? { key, token: result.generation, hint: result.version } : {}
  }

  *#increment(record: SessionRecord, generation: number): Task<ChangeResult> {
    const { key } = record
    let field = record.fields.get('count')
    for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts++) {
      const count = field?.value ? Number(field.value.split('|')[0]) : 0
      const fields = new Map([['count', this.#world.checker.newValue(String(count + 1))]])
      const expect = { field: 'count', stamp: field?.stamp ?? null }
      const result = yield* this.#apply('increment', key, generation, { fields, expect })
      if (result.outcome !== 'conflict') return result
      field = result.field
    }
    throw new UnavailableError()
  }

  #someFields(): Map<string, string | null> {
    const { random, config, checker } = this.#world
    const fields = new Map<string, string | null>()
    for (let count = 0; count < 1 + random.below(2); count++) {
      fields.set(`f${random.below(config.fieldsMax)}`, random.chance(0.1) ? null : checker.newValue('x'))
    }
    return fields
  }

  *#read(key: string, hint: Version | undefined): Task<SessionRecord | undefined> {
    const { checker } = this.#world
    const read = checker.reads(this.#process, key, hint)
    const operation: Operation = { kind: 'read', key, ...(hint ? { atLeast: hint } : {}) }
    const result = yield { kind: 'call', operation }
    if (result?.kind !== 'read') throw this.#unavailable(result)
    this.#world.trace?.(
      () =>
        `${this.#process.name} has read ${key.slice(0, 8)}: ${showRecord(result.record)}${hint ? `, hint ${hint.incarnation}.${hint.sequence}` : ''}`,
    )
    checker.read(read, result.record)
    return result.record
  }

  *#apply(kind: OperationKind, key: string, generation: number, parts: Partial<Change>): Task<ChangeResult> {
    const { checker, random, coverage } = this.#world
    yield { kind: 'turn', key }
    try {
      const now = this.#process.wallClock
      const operation = this.#process.nextOperation()
      const change: Change = { key, operation, now, expiresAt: now + IDLE_TIMEOUT_MS, generation, ...parts }
      const known = checker.begin(this.#process, kind, key, change, generation)
      let result = yield* this.#send(known, change)
      // A client library may send a change again: after a failure, or because it missed the answer.
      if (random.chance(result ? 0.03 : 0.3)) {
        coverage.add('resend')
        checker.send(this.#process, known)
        result = (yield* this.#send(known, change)) ?? result
      }
      if (!result) throw new UnavailableError()
      return result
    } finally {
      this.#process.releaseTurn(key)
    }
  }

  *#send(known: SimOperation, change: Change): Task<ChangeResult | undefined> {
    this.#world.trace?.(() => `${this.#process.name} begins ${showOperation(known)}`)
    const result = yield { kind: 'call', operation: { kind: 'apply', key: change.key, change } }
    this.#world.trace?.(() => `${this.#process.name} ends ${showOperation(known)}: ${JSON.stringify(result)}`)
    if (result?.kind === 'apply') {
      this.#world.checker.changed(known, result.result)
      return result.result
    }
    this.#unavailable(result)
    this.#world.checker.lost(known)
    return undefined
  }

  *#end(key: string, generation: number | undefined): Task<'ended' | 'gone' | 'superseded'> {
    const { checker } = this.#world
    yield { kind: 'turn', key }
    try {
      const known = checker.begin(this.#process, 'end', key, undefined, generation)
      const endedAt = this.#process.wallClock
      const end = {
        key,
        endedAt,
        forgetAt: endedAt + TOMBSTONE_MS,
        ...(generation === undefined ? {} : { generation }),
      }
      this.#world.trace?.(() => `${this.#process.name} begins ${showOperation(known)}`)
      const result = yield { kind: 'call', operation: { kind: 'end', key, end } }
      this.#world.trace?.(() => `${this.#process.name} ends ${showOperation(known)}: ${JSON.stringify(result)}`)
      if (result?.kind !== 'end') {
        checker.lost(known)
        throw this.#unavailable(result)
      }
      checker.ended(known, result.result)
      return result.result
    } finally {
      this.#process.releaseTurn(key)
    }
  }

  #unavailable(result: CallResult | undefined): UnavailableError {
    if (result?.kind === 'timeout') this.#world.coverage.add('timeout')
    return new UnavailableError()
  }
}

/** What an answer makes of a client's cookies: the latest to arrive wins, as in a browser. */
export function withAnswer(cookies: Cookies, answer: Answer): Cookies {
  if (answer.clear) return { generation: 1 }
  const isOther = answer.key !== undefined && answer.key !== cookies.key
  if (isOther && answer.token === undefined) return cookies
  const key = answer.key ?? cookies.key
  const hint = answer.hint ?? (isOther ? undefined : cookies.hint)
  return {
    generation: answer.token ?? cookies.generation,
    ...(key === undefined ? {} : { key }),
    ...(hint ? { hint } : {}),
  }
}

function showOperation({ id, kind, key, change, sends, generation }: SimOperation): string {
  const fields = change?.fields ? JSON.stringify(Object.fromEntries(change.fields)) : ''
  return `${kind} #${id}${sends > 1 ? ' again' : ''} of ${key.slice(0, 8)}, generation ${generation} ${fields}`
}

function showRecord(record: SessionRecord | undefined): string {
  if (!record) return 'none'
  const fields = [...record.fields].map(
    ([name, { stamp, value }]) => `${name}=${value}@${stamp.incarnation}.${stamp.sequence}`,
  )
  return `version ${record.version.incarnation}.${record.version.sequence} generation ${record.generation} floor ${record.floor} ${fields.join(' ')}`
}
