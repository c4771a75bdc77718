import {
  type Change,
  type ChangeResult,
  compareVersions,
  type EndResult,
  type SessionRecord,
  type Version,
} from '../../src/core/index.ts'
import type { Ballot } from '../../src/stores/mesh/protocol/messages.ts'
import type { SimProcess } from './process.ts'
import {
  contentOf,
  type OperationKind,
  type Promised,
  type PromisedVersion,
  SessionHistory,
  type SimOperation,
} from './session-history.ts'
import type { World } from './world.ts'

/** How far a read without a hint may be behind: a lease, by a clock that may be a hundredth slow. */
const BEHIND_MS_MAX = 1_030

/** What was under way so shortly before a partition may be known on one side alone. */
const UNSETTLED_MS = 5_000

/** A law does not hold in this world. */
export class LawBrokenError extends Error {
  readonly law: string

  constructor(law: string, message: string) {
    super(message)
    this.law = law
  }
}

/** A read under way. */
export interface ReadUnderWay {
  readonly history: SessionHistory
  readonly process: SimProcess
  readonly startedAt: number
  readonly hint: Version | undefined
  readonly isSplit: boolean
  readonly side: string | undefined
}

/** Holds every answer that a client gets against the laws. */
export class Checker {
  readonly histories: Map<string, SessionHistory> = new Map()
  readonly #world: World
  readonly #byValue = new Map<string, SimOperation>()
  readonly #owners = new Map<string, string>()
  #operationCount = 0

  constructor(world: World) {
    this.#world = world
  }

  /** Sessions whose loss would be a fault end here. */
  mayHaveLost(): void {
    this.#world.coverage.add('lossExcused')
    for (const history of this.histories.values()) history.mayBeLost = true
  }

  splitBegins(): void {
    const { now } = this.#world
    for (const history of this.histories.values()) {
      history.isDiverged ||= history.operations.some(
        ({ status, finishedAt }) => status === 'open' || (status === 'unknown' && now - finishedAt < UNSETTLED_MS),
      )
      for (const operation of history.operations) if (operation.status === 'open') operation.isSplit = true
    }
  }

  owns(process: SimProcess, { number, id }: Ballot, key: string): void {
    const place = `${number}/${id} ${key}`
    const owner = this.#owners.get(place) ?? process.member.id
    this.#owners.set(place, owner)
    if (owner !== process.member.id) {
      throw new LawBrokenError('owned twice', `${owner} and ${process.member.id} both own ${key} in view ${number}/${id}`)
    }
  }

  twoOutcomes({ name }: SimProcess, request: number): never {
    throw new LawBrokenError('answered once', `request ${request} of ${name} has two outcomes`)
  }

  begin(process: SimProcess, kind: OperationKind, key: string, change?: Change, generation?: number): SimOperation {
    const operation: SimOperation = {
      id: ++this.#operationCount,
      kind,
      key,
      ...(change ? { change } : {}),
      generation,
      startedAt: 0,
      sends: 0,
      isSplit: false,
      side: undefined,
      status: 'open',
      finishedAt: Infinity,
    }
    const history = this.histories.get(key) ?? new SessionHistory(key, operation)
    this.histories.set(key, history)
    history.operations.push(operation)
    for (const value of change?.fields?.values() ?? []) if (value !== null) this.#byValue.set(value, operation)
    this.send(process, operation)
    return operation
  }

  /** An attempt begins. */
  send(process: SimProcess, operation: SimOperation): void {
    const { now, isSplit } = this.#world
    const history = this.#historyOf(operation.key)
    operation.startedAt = now
    operation.sends += 1
    operation.isSplit ||= isSplit
    operation.side = this.#world.sideOf(process)
    if (isSplit) history.isDiverged = true
    this.#coverInFlight(history, operation)
  }

  /** Its fate is unknown: no answer came, or none that says. */
  lost(operation: SimOperation): void {
    if (operation.status !== 'open') return
    operation.status = 'unknown'
    operation.finishedAt = this.#world.now
  }

  changed(operation: SimOperation, result: ChangeResult): void {
    const history = this.#historyOf(operation.key)
    const earlier = this.#finish(operation, result.outcome)
    if (history.mayBeLost) return
    switch (result.outcome) {
      case 'applied':
        return this.#applied(history, operation, result.version, result.generation, earlier)
      case 'gone':
        if (earlier === 'applied' || !this.#mayBeGone(history, operation)) {
          this.#fail('6. No loss', history, `${show(operation)} was told that the session is gone, and nobody has ended it`)
        }
        return
      case 'superseded':
        if (!history.operations.some(({ id, kind }) => kind === 'login' && id !== operation.id)) {
          this.#fail('5. No fixation', history, `${show(operation)} is superseded without a login`)
        }
        return
      case 'conflict': {
        this.#world.coverage.add('conflict')
        const { expect } = operation.change ?? {}
        if (earlier === 'applied') this.#fail('2. No lost update', history, `${show(operation)} applied, and then not`)
        if (expect?.stamp && result.field && compareVersions(result.field.stamp, expect.stamp) === 0) {
          this.#fail('2. No lost update', history, `${show(operation)} conflicts with the stamp that it expects`)
        }
      }
    }
  }

  ended(operation: SimOperation, result: EndResult): void {
    const history = this.#historyOf(operation.key)
    this.#finish(operation, result === 'superseded' ? 'superseded' : 'ended')
    if (result === 'superseded') {
      if (!history.mayBeLost && !history.operations.some(({ kind }) => kind === 'login')) {
        this.#fail('5. No fixation', history, `${show(operation)} is superseded without a login`)
      }
      return
    }
    this.#world.coverage.add('ended')
    history.ends.push({ ...this.#promise(operation), result })
  }

  reads(process: SimProcess, key: string, hint: Version | undefined): ReadUnderWay {
    const { now, isSplit } = this.#world
    const side = this.#world.sideOf(process)
    return { history: this.#historyOf(key), process, startedAt: now, hint, isSplit, side }
  }

  read(read: ReadUnderWay, record: SessionRecord | undefined): void {
    const { history, startedAt, process } = read
    this.#world.coverage.add('read')
    if (history.mayBeLost) return
    const isSplit = read.isSplit || this.#world.isSplit
    const side = read.side !== undefined && this.#world.sideOf(process) === read.side ? read.side : undefined
    const where = `a read at ${process.name} from ${startedAt.toFixed(1)} on`
    /** Whether a promise binds this reader: those of its side while a partition stands, and all of them else. */
    const isBound = (promise: Promised): boolean =>
      promise.at < startedAt && (!isSplit || (side !== undefined && promise.isSplit && promise.side === side))

    if (!record) {
      if (this.#mayBeGone(history)) return
      const promise = [...history.versions].find(isBound)
      if (promise) this.#fail('6. No loss', history, `${where} finds no session, and nobody has ended it; ${showPromise(promise)}`)
      if (!isSplit && history.isCreated && history.createdBy.finishedAt < startedAt) {
        this.#fail('6. No loss', history, `${where} finds no session, and nobody has ended it`)
      }
      return
    }
    const end = history.ends.find(
      (end) => isBound(end) || (isSplit && side !== undefined && !end.isSplit && end.at < startedAt),
    )
    if (end) {
      this.#fail('1. Gone is gone', history, `${where} sees the session, version ${text(record.version)}, whose end was acknowledged at ${end.at.toFixed(1)}`)
    }
    this.#checkPromises(read, record, isBound, where)
    this.#checkValues(history, record, where)
    if (!isSplit) this.#checkHistory(read, record, where)
  }

  #checkPromises(
    { history, startedAt, hint }: ReadUnderWay,
    record: SessionRecord,
    isBound: (promise: Promised) => boolean,
    where: string,
  ): void {
    const isDue = (promise: PromisedVersion): boolean =>
      isBound(promise) &&
      (promise.at < startedAt - BEHIND_MS_MAX ||
        (hint !== undefined &&
          compareVersions(promise.version, hint) <= 0 &&
          (!history.isDiverged || compareVersions(promise.version, hint) === 0)))
    for (const [name, promises] of history.fields) {
      for (const promise of promises) {
        const field = record.fields.get(name)
        if (!isDue(promise) || (field && compareVersions(field.stamp, promise.version) >= 0)) continue
        const law = promise.at < startedAt - BEHIND_MS_MAX ? '6. No loss' : '7. Read your writes'
        const seen = field ? `only ${text(field.stamp)}` : 'none'
        this.#fail(law, history, `${where}${showHint(hint)} sees ${seen} of field ${name}; ${showPromise(promise)}`)
      }
    }
    for (const promise of history.versions) {
      if (isDue(promise) && compareVersions(record.version, promise.version) < 0) {
        this.#fail('7. Read your writes', history, `${where}${showHint(hint)} sees version ${text(record.version)}; ${showPromise(promise)}`)
      }
    }
    for (const login of history.logins) {
      if (isBound(login) && record.floor < login.generation) {
        this.#fail('5. No fixation', history, `${where} sees floor ${record.floor} after the login of generation ${login.generation}; ${showPromise(login)}`)
      }
    }
  }

  #checkValues(history: SessionHistory, record: SessionRecord, where: string): void {
    for (const [name, { stamp, value }] of record.fields) {
      const acknowledged = history.byVersion.get(text(stamp))
      const expected = acknowledged?.change?.fields?.get(name)
      if (acknowledged && expected !== value) {
        this.#fail('2. No lost update', history, `${where} sees ${name} = ${value} under the stamp of ${show(acknowledged)}`)
      }
      if (value === null) continue
      const writer = this.#byValue.get(value)
      if (!writer || writer.key !== record.key || !writer.change?.fields?.has(name)) {
        this.#fail('3. Nobody else’s', history, `${where} sees ${name} = ${value}, which nobody has written there`)
      }
      const { status, sends } = writer
      if (sends === 1 && (status === 'conflict' || status === 'gone' || status === 'superseded')) {
        this.#fail('2. No lost update', history, `${where} sees ${name} = ${value} of ${show(writer)}, which was refused`)
      }
      if (history.isDiverged) continue
      const known = writer.version ?? writer.seenStamp
      if (known && compareVersions(known, stamp) !== 0) {
        this.#fail('2. No lost update', history, `${where} sees ${show(writer)} applied twice, under ${text(known)} and ${text(stamp)}`)
      }
      writer.seenStamp = stamp
    }
  }

  /** What holds along one history: one content for each version, nothing from before a login after it, no increment lost. */
  #checkHistory({ history, startedAt }: ReadUnderWay, record: SessionRecord, where: string): void {
    const { now } = this.#world
    if (!history.isDiverged) {
      const content = contentOf(record)
      const known = history.contents.get(text(record.version)) ?? content
      if (known !== content) {
        this.#fail('7. Read your writes', history, `${where} sees another content of version ${text(record.version)}:\n  ${content}\n  ${known}`)
      }
      history.contents.set(text(record.version), content)
      this.#checkFixation(history, record, startedAt, where)
      this.#checkCount(history, record, startedAt, where)
    }
    const promise = { at: now, isSplit: false, side: undefined }
    for (const [name, { stamp }] of record.fields) history.promiseField(name, { ...promise, version: stamp })
    if ((history.lastRead?.at ?? -1) < startedAt) history.lastRead = { at: now, record }
  }

  #checkFixation(history: SessionHistory, record: SessionRecord, startedAt: number, where: string): void {
    const before = history.lastRead
    for (const [name, { stamp, value }] of record.fields) {
      const writer = value === null ? history.byVersion.get(text(stamp)) : this.#byValue.get(value)
      const generation = writer?.kind === 'login' ? undefined : writer?.generation
      if (!writer || generation === undefined || generation >= record.floor) continue
      const login = history.logins.find((login) => login.generation > generation && compareVersions(login.version, stamp) < 0)
      if (login) this.#fail('5. No fixation', history, `${where} sees ${show(writer)} after the login at version ${text(login.version)}`)
      if (!before || before.at >= startedAt || before.record.floor <= generation) continue
      const seen = before.record.fields.get(name)
      if (!seen || compareVersions(seen.stamp, stamp) < 0) {
        this.#fail('5. No fixation', history, `${where} sees ${show(writer)}, which an earlier read after the login did not`)
      }
    }
  }

  #checkCount(history: SessionHistory, record: SessionRecord, startedAt: number, where: string): void {
    const value = record.fields.get('count')?.value
    const count = value ? Number(value.split('|')[0]) : 0
    const increments = history.operations.filter(({ kind }) => kind === 'increment')
    const kept = increments.filter(
      ({ status, finishedAt }) => status === 'applied' && finishedAt < startedAt - BEHIND_MS_MAX,
    ).length
    const possible = increments.filter(({ status, sends }) => sends > 1 || status === 'applied' || status === 'open' || status === 'unknown').length
    if (count < kept) this.#fail('2. No lost update', history, `${where} counts ${count}, and ${kept} increments were acknowledged`)
    if (count > possible) this.#fail('2. No lost update', history, `${where} counts ${count}, and only ${possible} increments may have been applied`)
  }

  #applied(
    history: SessionHistory,
    operation: SimOperation,
    version: Version,
    generation: number,
    earlier: SimOperation['status'],
  ): void {
    const { change, kind, isSplit } = operation
    this.#world.coverage.add('applied')
    if (earlier === 'applied') {
      if (!history.isDiverged && operation.version && compareVersions(operation.version, version) !== 0) {
        this.#fail('2. No lost update', history, `${show(operation)} was sent again and got version ${text(version)}`)
      }
      return
    }
    operation.version = version
    const isBound = (promise: Promised): boolean =>
      promise.at < operation.startedAt &&
      (!isSplit || (promise.isSplit && promise.side !== undefined && promise.side === operation.side && this.#world.isSplit))
    const end = history.ends.find(isBound)
    if (end && operation.sends === 1) {
      this.#fail('1. Gone is gone', history, `${show(operation)} was applied after the end that was acknowledged at ${end.at.toFixed(1)}`)
    }
    if (!isSplit && !history.isDiverged) {
      const older = history.versions.find((promise) => isBound(promise) && compareVersions(promise.version, version) >= 0)
      if (older && operation.sends === 1) this.#fail('2. No lost update', history, `${show(operation)} got version ${text(version)}; ${showPromise(older)}`)
      const same = history.byVersion.get(text(version))
      if (same) this.#fail('2. No lost update', history, `${show(operation)} and ${show(same)} both got version ${text(version)}`)
      const login = history.logins.find(
        (login) => login.generation > (operation.generation ?? 0) && operation.id !== history.byVersion.get(text(login.version))?.id && compareVersions(login.version, version) < 0,
      )
      if (login) this.#fail('5. No fixation', history, `${show(operation)} got version ${text(version)}, after the login at version ${text(login.version)}`)
      this.#checkExpectation(history, operation)
    }
    const promise = { ...this.#promise(operation), version }
    history.byVersion.set(text(version), operation)
    history.versions.push(promise)
    for (const name of change?.fields?.keys() ?? []) history.promiseField(name, promise)
    if (kind === 'login') history.logins.push({ ...promise, generation })
  }

  /** Two updates that replaced the same state have lost one of them. */
  #checkExpectation(history: SessionHistory, operation: SimOperation): void {
    const { expect } = operation.change ?? {}
    if (!expect) return
    const place = `${expect.field} ${expect.stamp ? text(expect.stamp) : 'none'}`
    const other = history.byExpectation.get(place)
    if (other) this.#fail('2. No lost update', history, `${show(operation)} and ${show(other)} both replaced ${place}`)
    history.byExpectation.set(place, operation)
  }

  #mayBeGone(history: SessionHistory, operation?: SimOperation): boolean {
    if (history.mayHaveEnded || this.#world.isSplit || operation?.isSplit) return true
    if (operation && history.createdBy === operation) return false
    return !history.isCreated
  }

  #finish(operation: SimOperation, status: SimOperation['status']): SimOperation['status'] {
    const { now, isSplit } = this.#world
    const earlier = operation.status
    if (earlier !== 'applied') operation.status = status
    operation.finishedAt = Math.min(operation.finishedAt, now)
    if (earlier === 'unknown') operation.finishedAt = now
    operation.isSplit ||= isSplit
    if (status === 'superseded') this.#world.coverage.add('superseded')
    if (isSplit) this.#historyOf(operation.key).isDiverged = true
    return earlier
  }

  #promise({ isSplit, side }: SimOperation): Promised {
    return { at: this.#world.now, isSplit, side: isSplit && this.#world.isSplit ? side : undefined }
  }

  #coverInFlight(history: SessionHistory, operation: SimOperation): void {
    const { coverage } = this.#world
    const others = history.operations.filter((other) => other.status === 'open' && other !== operation)
    if (others.length === 0) return
    const kinds = [operation, ...others].map(({ kind }) => kind)
    if (kinds.includes('end')) coverage.add('logoutInFlight')
    if (kinds.includes('login')) coverage.add('loginInFlight')
    if (kinds.includes('rotate') || kinds.includes('confirm')) coverage.add('rotationInFlight')
    if (kinds.filter((kind) => kind === 'assign' || kind === 'increment').length > 1) coverage.add('concurrentWrites')
  }

  #historyOf(key: string): SessionHistory {
    return this.histories.get(key) as SessionHistory
  }

  #fail(law: string, { key }: SessionHistory, what: string): never {
    throw new LawBrokenError(law, `session ${key.slice(0, 8)}: ${what}`)
  }
}

function text({ incarnation, sequence }: Version): string {
  return `${incarnation}.${sequence}`
}

function show({ id, kind, startedAt }: SimOperation): string {
  return `${kind} #${id} of ${startedAt.toFixed(1)}`
}

function showPromise({ at, version }: PromisedVersion): string {
  return `version ${text(version)} was acknowledged or read at ${at.toFixed(1)}`
}

function showHint(hint: Version | undefined): string {
  return hint ? ` with the hint ${text(hint)}` : ''
}
