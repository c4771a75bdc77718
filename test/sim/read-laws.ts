import type { SessionRecord } from '../../src/core/index.ts'
import { compareVersions, type Version } from '../../src/token/index.ts'
import { fail, show, showHint, showPromise, text } from './law-broken.ts'
import type { SimProcess } from './process.ts'
import {
  contentOf,
  type Promised,
  type PromisedVersion,
  type SessionHistory,
  type SimOperation,
} from './session-history.ts'

/** How far a read without a hint may be behind: a lease, by a clock that may be a hundredth slow. */
const BEHIND_MS_MAX = 1_030

/** A read under way. */
export interface ReadUnderWay {
  readonly history: SessionHistory
  readonly process: SimProcess
  readonly startedAt: number
  readonly hint: Version | undefined
  readonly isSplit: boolean
  readonly side: string | undefined
}

/** Whether a promise binds a reader. */
export type IsBound = (promise: Promised) => boolean

/** What a record that was read must show, and must not. */
export class ReadLaws {
  /** Who has written each value. */
  readonly #byValue: ReadonlyMap<string, SimOperation>

  constructor(byValue: ReadonlyMap<string, SimOperation>) {
    this.#byValue = byValue
  }

  /** @param isAlone whether the read was made while no partition stood: then the session has one history */
  check(read: ReadUnderWay, record: SessionRecord, isBound: IsBound, isAlone: boolean, now: number): void {
    const { history } = read
    const where = placeOf(read)
    this.#checkPromises(read, record, isBound, where)
    this.#checkRotations(history, record, isBound, where)
    this.#checkValues(history, record, where)
    if (isAlone) this.#checkHistory(read, record, where, now)
  }

  #checkPromises(
    { history, startedAt, hint }: ReadUnderWay,
    record: SessionRecord,
    isBound: IsBound,
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
        fail(law, history, `${where}${showHint(hint)} sees ${seen} of field ${name}; ${showPromise(promise)}`)
      }
    }
    for (const promise of history.versions) {
      if (isDue(promise) && compareVersions(record.version, promise.version) < 0) {
        fail(
          '7. Read your writes',
          history,
          `${where}${showHint(hint)} sees version ${text(record.version)}; ${showPromise(promise)}`,
        )
      }
    }
    for (const login of history.logins) {
      if (isBound(login) && record.floor < login.generation) {
        fail(
          '5. No fixation',
          history,
          `${where} sees floor ${record.floor} after the login of generation ${login.generation}; ${showPromise(login)}`,
        )
      }
    }
  }

  /** A successor that was handed out stays so until it is presented, or a login supersedes it. */
  #checkRotations(
    history: SessionHistory,
    { generation, pending, version }: SessionRecord,
    isBound: IsBound,
    where: string,
  ): void {
    const lost = history.rotations.find(
      (rotation) => isBound(rotation) && generation === rotation.generation && !pending,
    )
    const older = history.rotations.find((rotation) => isBound(rotation) && generation < rotation.generation)
    const rotation = lost ?? older
    if (rotation && !history.isDiverged) {
      fail(
        '8. Theft shows',
        history,
        `${where} sees version ${text(version)} without the rotation of generation ${rotation.generation}; ${showPromise(rotation)}`,
      )
    }
  }

  #checkValues(history: SessionHistory, record: SessionRecord, where: string): void {
    for (const [name, { stamp, value }] of record.fields) {
      const acknowledged = history.byVersion.get(text(stamp))
      const expected = acknowledged?.change?.fields?.get(name)
      if (acknowledged && expected !== value) {
        fail('2. No lost update', history, `${where} sees ${name} = ${value} under the stamp of ${show(acknowledged)}`)
      }
      if (value === null) continue
      const writer = this.#byValue.get(value)
      if (!writer || writer.key !== record.key || !writer.change?.fields?.has(name)) {
        fail('3. Nobody else’s', history, `${where} sees ${name} = ${value}, which nobody has written there`)
      }
      const { status, sends, isSplit } = writer
      // What was applied and met a change of view before its answer is asked again, and may find the session ended by then.
      const isRefused = status === 'conflict' || status === 'superseded' || (status === 'gone' && !history.mayHaveEnded)
      if (sends === 1 && !isSplit && isRefused) {
        fail('2. No lost update', history, `${where} sees ${name} = ${value} of ${show(writer)}, which was refused`)
      }
      if (history.isDiverged) continue
      const known = writer.version ?? writer.seenStamp
      if (known && compareVersions(known, stamp) !== 0) {
        fail(
          '2. No lost update',
          history,
          `${where} sees ${show(writer)} applied twice, under ${text(known)} and ${text(stamp)}`,
        )
      }
      writer.seenStamp = stamp
    }
  }

  /** What holds along one history: one content for each version, nothing from before a login after it, no increment lost. */
  #checkHistory({ history, startedAt }: ReadUnderWay, record: SessionRecord, where: string, now: number): void {
    if (!history.isDiverged) {
      const content = contentOf(record)
      const known = history.contents.get(text(record.version)) ?? content
      if (known !== content) {
        fail(
          '7. Read your writes',
          history,
          `${where} sees another content of version ${text(record.version)}:\n  ${content}\n  ${known}`,
        )
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
      const login = history.logins.find(
        (login) => login.generation > generation && compareVersions(login.version, stamp) < 0,
      )
      if (login)
        fail(
          '5. No fixation',
          history,
          `${where} sees ${show(writer)} after the login at version ${text(login.version)}`,
        )
      if (!before || before.at >= startedAt || before.record.floor <= generation) continue
      const seen = before.record.fields.get(name)
      if (!seen || compareVersions(seen.stamp, stamp) < 0) {
        fail('5. No fixation', history, `${where} sees ${show(writer)}, which an earlier read after the login did not`)
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
    const possible = increments.filter(
      ({ status, sends }) => sends > 1 || status === 'applied' || status === 'open' || status === 'unknown',
    ).length
    if (count < kept)
      fail('2. No lost update', history, `${where} counts ${count}, and ${kept} increments were acknowledged`)
    if (count > possible)
      fail(
        '2. No lost update',
        history,
        `${where} counts ${count}, and only ${possible} increments may have been applied`,
      )
  }
}

export function placeOf({ process, startedAt }: ReadUnderWay): string {
  return `a read at ${process.name} from ${startedAt.toFixed(1)} on`
}
