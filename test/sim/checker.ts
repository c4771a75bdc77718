import type { Change, ChangeResult, EndResult, SessionRecord } from '../../src/core/index.ts'
import { compareVersions, type Version } from '../../src/token/index.ts'
import type { Ballot } from '../../src/stores/mesh/protocol/messages.ts'
import type { SimProcess } from './process.ts'
import { fail, LawBrokenError, show, showPromise, text } from './law-broken.ts'
import { placeOf, ReadLaws, type ReadUnderWay } from './read-laws.ts'
import { type OperationKind, type Promised, SessionHistory, type SimOperation } from './session-history.ts'
import type { World } from './world.ts'

/** What was under way so shortly before a partition may be known on one side alone. */
const UNSETTLED_MS = 5_000

/** Holds every answer that a client gets against the laws. */
export class Checker {
  readonly histories: Map<string, SessionHistory> = new Map()
  readonly #world: World
  readonly #byValue = new Map<string, SimOperation>()
  readonly #owners = new Map<string, string>()
  readonly #laws = new ReadLaws(this.#byValue)
  #operationCount = 0
  #valueCount = 0

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
      throw new LawBrokenError(
        'owned twice',
        `${owner} and ${process.member.id} both own ${key} in view ${number}/${id}`,
      )
    }
  }

  twoOutcomes({ name }: SimProcess, request: number): never {
    throw new LawBrokenError('answered once', `request ${request} of ${name} has two outcomes`)
  }

  /** A value that nobody has written before. */
  newValue(prefix: string): string {
    this.#valueCount += 1
    return `${prefix}|${this.#valueCount}`
  }

  /** An honest client was taken for a thief. */
  stolen(key: string, generation: number): void {
    if (this.#historyOf(key).mayBeLost) return
    fail('8. Theft shows', this.#historyOf(key), `an honest client with generation ${generation} is taken for a thief`)
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
    if (result.outcome === 'applied') this.#world.onAcknowledged?.(operation.key)
    if (history.mayBeLost) return
    switch (result.outcome) {
      case 'applied':
        return this.#applied(history, operation, result, earlier)
      case 'gone':
        if (!this.#mayBeGone(history, operation)) {
          fail('6. No loss', history, `${show(operation)} was told that the session is gone, and nobody has ended it`)
        }
        return
      case 'superseded':
        if (!history.operations.some(({ id, kind }) => kind === 'login' && id !== operation.id)) {
          fail('5. No fixation', history, `${show(operation)} is superseded without a login`)
        }
        return
      case 'conflict': {
        this.#world.coverage.add('conflict')
        const { expect } = operation.change ?? {}
        if (earlier === 'applied' && !history.isDiverged)
          fail('2. No lost update', history, `${show(operation)} applied, and then not`)
        if (expect?.stamp && result.field && compareVersions(result.field.stamp, expect.stamp) === 0) {
          fail('2. No lost update', history, `${show(operation)} conflicts with the stamp that it expects`)
        }
      }
    }
  }

  ended(operation: SimOperation, result: EndResult): void {
    const history = this.#historyOf(operation.key)
    this.#finish(operation, result === 'superseded' ? 'superseded' : 'ended')
    if (result === 'superseded') {
      if (!history.mayBeLost && !history.operations.some(({ kind }) => kind === 'login')) {
        fail('5. No fixation', history, `${show(operation)} is superseded without a login`)
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
    const where = placeOf(read)
    /** Whether a promise binds this reader: those of its side while a partition stands, and all of them else. */
    const isBound = (promise: Promised): boolean =>
      promise.at < startedAt && (!isSplit || (side !== undefined && promise.isSplit && promise.side === side))

    if (!record) {
      if (this.#mayBeGone(history)) return
      const promise = [...history.versions].find(isBound)
      if (promise)
        fail('6. No loss', history, `${where} finds no session, and nobody has ended it; ${showPromise(promise)}`)
      if (!isSplit && history.isCreated && history.createdBy.finishedAt < startedAt) {
        fail('6. No loss', history, `${where} finds no session, and nobody has ended it`)
      }
      return
    }
    const end = history.ends.find(
      (end) => isBound(end) || (isSplit && side !== undefined && !end.isSplit && end.at < startedAt),
    )
    if (end) {
      fail(
        '1. Gone is gone',
        history,
        `${where} sees the session, version ${text(record.version)}, whose end was acknowledged at ${end.at.toFixed(1)}`,
      )
    }
    this.#laws.check(read, record, isBound, !isSplit, this.#world.now)
  }

  #applied(
    history: SessionHistory,
    operation: SimOperation,
    { version, generation, pending: isPending }: Extract<ChangeResult, { outcome: 'applied' }>,
    earlier: SimOperation['status'],
  ): void {
    const { change, kind, isSplit } = operation
    this.#world.coverage.add('applied')
    if (earlier === 'applied') {
      if (!history.isDiverged && operation.version && compareVersions(operation.version, version) !== 0) {
        fail('2. No lost update', history, `${show(operation)} was sent again and got version ${text(version)}`)
      }
      return
    }
    operation.version = version
    const isBound = (promise: Promised): boolean =>
      promise.at < operation.startedAt &&
      (!isSplit ||
        (promise.isSplit && promise.side !== undefined && promise.side === operation.side && this.#world.isSplit))
    const end = history.ends.find(isBound)
    if (end && operation.sends === 1) {
      fail(
        '1. Gone is gone',
        history,
        `${show(operation)} was applied after the end that was acknowledged at ${end.at.toFixed(1)}`,
      )
    }
    if (!isSplit && !history.isDiverged) {
      const older = history.versions.find(
        (promise) => isBound(promise) && compareVersions(promise.version, version) >= 0,
      )
      if (older && operation.sends === 1)
        fail('2. No lost update', history, `${show(operation)} got version ${text(version)}; ${showPromise(older)}`)
      const same = history.byVersion.get(text(version))
      if (same)
        fail('2. No lost update', history, `${show(operation)} and ${show(same)} both got version ${text(version)}`)
      const login = history.logins.find(
        (login) => login.generation > (operation.generation ?? 0) && compareVersions(login.version, version) < 0,
      )
      if (login)
        fail(
          '5. No fixation',
          history,
          `${show(operation)} got version ${text(version)}, after the login at version ${text(login.version)}`,
        )
      this.#checkExpectation(history, operation)
    }
    const promise = { ...this.#promise(operation), version }
    history.byVersion.set(text(version), operation)
    history.versions.push(promise)
    for (const name of change?.fields?.keys() ?? []) history.promiseField(name, promise)
    if (kind === 'rotate' && isPending) history.rotations.push({ ...promise, generation })
    if (kind === 'login') history.logins.push({ ...promise, generation })
  }

  /** Two updates that replaced the same state have lost one of them. */
  #checkExpectation(history: SessionHistory, operation: SimOperation): void {
    const { expect } = operation.change ?? {}
    if (!expect) return
    const place = `${expect.field} ${expect.stamp ? text(expect.stamp) : 'none'}`
    const other = history.byExpectation.get(place)
    if (other) fail('2. No lost update', history, `${show(operation)} and ${show(other)} both replaced ${place}`)
    history.byExpectation.set(place, operation)
  }

  #mayBeGone(history: SessionHistory, operation?: SimOperation): boolean {
    const { isSplit, isShort, config } = this.#world
    if (history.mayHaveEnded || isSplit || operation?.isSplit || (config.excuseAway && isShort)) return true
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
}
