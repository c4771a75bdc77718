import { growsFrom, toDelta } from './copies.ts'
import { copiesAcknowledged } from './losses.ts'
import type { Membership } from './membership.ts'
import { mergeHoldings } from './merge.ts'
import type { Holding, Message, NodeId, Operation, Outcome } from './messages.ts'
import type { MeshNodeOptions } from './node.ts'
import type { Outbox } from './outbox.ts'
import { holdersOf } from './placement.ts'
import { rule } from './rules.ts'
import type { Sureness } from './sureness.ts'
import { RESEND_MS } from './times.ts'

/** One thing to do to a key, in its turn. `finish` is called when it is done; an operation may be given back instead. */
type Task =
  | { readonly kind: 'operation'; readonly operation: Operation; readonly finish: (outcome: Outcome) => void }
  /** Somebody holds this. */
  | { readonly kind: 'merge'; readonly holding: Holding; readonly finish: () => void }
  /** The backups may lack it. */
  | { readonly kind: 'sync'; readonly finish: () => void }

/** What was sent and must be answered. */
interface Sent {
  request: number
  sentAtMs: number
}

/** An effect that waits for backups. */
interface Commit {
  readonly task: Task
  readonly copiesNeeded: number
  readonly finish: () => void
  /** Takes an operation back that nobody was told of: it may be carried out anew elsewhere, and answered differently. */
  readonly takeBack: () => void
}

/** A key under way. */
interface Work {
  readonly tasks: Task[]
  /** Asked of everybody, since this node is not sure of the key. */
  fetch: { readonly waiting: Map<NodeId, Sent>; found: Holding | undefined } | undefined
  /** The first task's effect waits for backups, and answers this. */
  commit: Commit | undefined
  /** Backups that have not confirmed the newest state. */
  readonly lagging: Map<NodeId, Sent>
}

type OwnerMessage = Extract<Message, { type: 'replicated' | 'holding' }>

/** What a node does for the keys that it owns: one task at a time for each key. */
export class Owner {
  readonly #options: MeshNodeOptions
  readonly #membership: Membership
  readonly #outbox: Outbox
  readonly #works = new Map<string, Work>()
  /** The key that a request to a peer is about. */
  readonly #keyOf = new Map<number, string>()
  #sureness: Sureness
  #request = 0
  #nowMs = 0
  /** Whether it was told that this view's owner has no backups. */
  #isKnownAlone = false

  constructor(options: MeshNodeOptions, membership: Membership, outbox: Outbox, sureness: Sureness) {
    this.#options = options
    this.#membership = membership
    this.#outbox = outbox
    this.#sureness = sureness
  }

  /** Keys under way. */
  get size(): number {
    return this.#works.size
  }

  add(nowMs: number, key: string, task: Task): void {
    this.#nowMs = nowMs
    const work: Work = this.#works.get(key) ?? { tasks: [], fetch: undefined, commit: undefined, lagging: new Map() }
    this.#works.set(key, work)
    work.tasks.push(task)
    this.#advance(key, work)
  }

  receive(nowMs: number, from: NodeId, message: OwnerMessage): void {
    this.#nowMs = nowMs
    const key = this.#keyOf.get(message.request)
    const work = key === undefined ? undefined : this.#works.get(key)
    if (key === undefined || !work) return
    if (message.type === 'replicated') this.#replicated(key, work, from, message)
    else this.#held(key, work, from, message)
  }

  /** Begins again what the old view left undone, or gives it back where the key has another owner now. */
  viewInstalled(nowMs: number, sureness: Sureness): void {
    this.#nowMs = nowMs
    this.#sureness = sureness
    this.#isKnownAlone = false
    this.#keyOf.clear()
    for (const [key, work] of this.#works) {
      const wasLagging = work.lagging.size > 0
      work.fetch = undefined
      work.lagging.clear()
      // What was not acknowledged before others wrote elsewhere is one of several copies now, to be merged like any.
      const goesOn = sureness.owner(key) === this.#options.self.id && (!work.commit || sureness.isSure(key))
      if (!goesOn) this.#giveBack(key, work)
      else {
        if (work.commit || (wasLagging && sureness.isSure(key))) this.#replicate(key, work, undefined)
        this.#advance(key, work)
      }
    }
  }

  tick(nowMs: number): void {
    this.#nowMs = nowMs
    for (const [key, work] of this.#works) {
      for (const [id, sent] of work.lagging) if (this.#isDue(id, sent)) this.#sendCopy(key, work, id, undefined)
      if (work.fetch)
        for (const [id, sent] of work.fetch.waiting)
          if (this.#isDue(id, sent)) this.#sendFetch(key, work.fetch.waiting, id)
      this.#fetched(key, work) // whom it waited for may have gone
      this.#advance(key, work)
    }
  }

  #isDue(id: NodeId, { sentAtMs }: Sent): boolean {
    return this.#membership.isConnected(id) && this.#nowMs - sentAtMs >= RESEND_MS
  }

  #giveBack(key: string, work: Work): void {
    this.#works.delete(key)
    if (!this.#sureness.isContinuous) work.commit?.takeBack()
    for (const task of work.tasks) if (task.kind === 'operation') task.finish({ kind: 'retry' })
  }

  /** Does what can be done for a key now. */
  #advance(key: string, work: Work): void {
    while (!work.commit && work.tasks.length > 0) {
      if (!this.#membership.isServing(this.#nowMs)) {
        // A client is told at once; what copies need waits for the lease, since nobody may ask for it again.
        for (const task of work.tasks.splice(0)) {
          if (task.kind === 'operation') task.finish({ kind: 'retry' })
          else work.tasks.push(task)
        }
        break
      }
      const task = work.tasks[0]
      if (task?.kind === 'operation' && this.#sureness.isOutvoted(key) && !this.#sureness.isSure(key)) {
        this.#done(work, task, () => task.finish({ kind: 'retry' }))
        continue
      }
      const mayMerge = task?.kind === 'merge' && this.#sureness.isOneHistory
      if (!mayMerge && !this.#sureness.isSure(key) && !this.#sureness.isOutvoted(key)) {
        if (!work.fetch) this.#fetch(key, work)
        if (!this.#sureness.isSure(key)) return
        continue // what was found goes to the backups first
      }
      if (task) this.#run(key, work, task)
    }
    if (work.tasks.length === 0 && work.lagging.size === 0 && !work.commit) this.#works.delete(key)
  }

  #run(key: string, work: Work, task: Task): void {
    const { records } = this.#options
    const held = records.get(key)
    switch (task.kind) {
      case 'operation': {
        const { outcome, next } = rule(held, task.operation, this.#membership.view.incarnation)
        if (!next) return this.#done(work, task, () => task.finish(outcome))
        const refusal = this.#refusalOf(key, held, next)
        if (refusal) return this.#done(work, task, () => task.finish({ kind: refusal }))
        records.set(key, next)
        const finish = (): void => task.finish(this.#membership.isServing(this.#nowMs) ? outcome : { kind: 'retry' })
        const takeBack = (): void => (held ? records.set(key, held) : records.delete(key))
        return this.#commit(key, work, held, { task, isCritical: isCritical(task.operation), finish, takeBack })
      }
      case 'merge': {
        const merged = this.#merge(held, task.holding)
        if (!merged || (merged === held && this.#sureness.isSure(key))) return this.#done(work, task, task.finish)
        if (merged !== held) records.set(key, merged)
        return this.#commit(key, work, undefined, { task, isCritical: true, finish: task.finish, takeBack: () => {} })
      }
      case 'sync':
        if (held === undefined) return this.#done(work, task, task.finish)
        return this.#commit(key, work, undefined, { task, isCritical: true, finish: task.finish, takeBack: () => {} })
    }
  }

  /** Why what an operation would leave is not kept: too few copies would hold it, or there is no room for more. */
  #refusalOf(key: string, held: Holding | undefined, next: Holding): 'underReplicated' | 'full' | undefined {
    const backups = this.#backups(key)
    if (backups.length + 1 < this.#options.minCopies) return 'underReplicated'
    const isFull = this.#options.records.isFull || backups.some((id) => this.#membership.isFull(id))
    return isFull && growsFrom(held, next) ? 'full' : undefined
  }

  /** A task need not be the first any more: what was found meanwhile goes to the backups before the next. */
  #done(work: Work, task: Task, finish: () => void): void {
    work.tasks.splice(work.tasks.indexOf(task), 1)
    finish()
  }

  /** Sends the key's new state to the backups; the task ends when enough of them have it. */
  #commit(
    key: string,
    work: Work,
    base: Holding | undefined,
    { isCritical, ...rest }: Omit<Commit, 'copiesNeeded'> & { isCritical: boolean },
  ): void {
    const backups = this.#backups(key).length
    const { ack, minCopies, onPartition } = this.#options
    const forMajority = onPartition === 'majority' ? copiesAcknowledged(backups + 1, ack) - 1 : 1
    const atLeast = Math.max(forMajority, minCopies - 1)
    const copiesNeeded = isCritical || ack === 'all' ? Number.POSITIVE_INFINITY : atLeast
    work.commit = { copiesNeeded, ...rest }
    if (backups === 0 && this.#options.copies !== 1 && !this.#isKnownAlone) {
      this.#isKnownAlone = true
      this.#outbox.event('underReplicated', this.#membership.view)
    }
    this.#replicate(key, work, base)
  }

  #replicate(key: string, work: Work, base: Holding | undefined): void {
    for (const id of this.#backups(key)) this.#sendCopy(key, work, id, base, true)
    this.#settle(key, work)
  }

  #sendCopy(key: string, work: Work, id: NodeId, base: Holding | undefined, isFirst = false): void {
    const holding = this.#options.records.get(key)
    if (!holding) return void work.lagging.delete(id)
    const request = this.#nextRequest(key)
    work.lagging.set(id, { request, sentAtMs: this.#nowMs })
    const view = this.#membership.view.ballot
    // Who held the key before may have just this version: then there is nothing to send but that.
    const known = base ?? (isFirst && this.#sureness.mayHold(key, id) ? holding : undefined)
    const delta = toDelta(known, holding)
    const isSure = this.#sureness.isSure(key)
    this.#outbox.send(id, {
      type: 'replicate',
      view,
      request,
      key,
      isSure,
      ...(delta ? { delta } : { whole: holding }),
    })
  }

  #replicated(
    key: string,
    work: Work,
    from: NodeId,
    { request, state }: Extract<Message, { type: 'replicated' }>,
  ): void {
    this.#keyOf.delete(request)
    if (work.lagging.get(from)?.request !== request || state === 'wrongView') return
    if (state === 'needsWhole') return this.#sendCopy(key, work, from, undefined)
    work.lagging.delete(from)
    this.#settle(key, work)
    this.#advance(key, work)
  }

  /** Ends the first task when enough backups have confirmed the newest state. */
  #settle(key: string, work: Work): void {
    const { commit } = work
    if (!commit) return
    const backups = this.#backups(key)
    const confirmed = backups.filter((id) => !work.lagging.has(id)).length
    if (confirmed < Math.min(commit.copiesNeeded, backups.length)) return
    work.commit = undefined
    this.#done(work, commit.task, commit.finish)
  }

  #fetch(key: string, work: Work): void {
    const others = [...this.#membership.view.members, ...this.#membership.awaitedLeavers]
    const waiting = new Map<NodeId, Sent>()
    work.fetch = { waiting, found: undefined }
    for (const { id } of others) if (id !== this.#options.self.id) this.#sendFetch(key, waiting, id)
    this.#fetched(key, work)
  }

  #sendFetch(key: string, waiting: Map<NodeId, Sent>, id: NodeId): void {
    const request = this.#nextRequest(key)
    waiting.set(id, { request, sentAtMs: this.#nowMs })
    this.#outbox.send(id, { type: 'fetch', view: this.#membership.view.ballot, request, key })
  }

  #held(
    key: string,
    work: Work,
    from: NodeId,
    { request, holding, isWrongView }: Extract<Message, { type: 'holding' }>,
  ): void {
    this.#keyOf.delete(request)
    const { fetch } = work
    if (!fetch || fetch.waiting.get(from)?.request !== request || isWrongView) return
    fetch.waiting.delete(from)
    fetch.found = this.#merge(fetch.found, holding)
    this.#fetched(key, work)
    this.#advance(key, work)
  }

  #merge(a: Holding | undefined, b: Holding | undefined): Holding | undefined {
    const { onPartition } = this.#options
    return mergeHoldings(a, b, { incarnation: this.#membership.view.incarnation, onPartition })
  }

  /** When everybody has said what it holds, this node is sure of the key, and its backups are given what was found. */
  #fetched(key: string, work: Work): void {
    const { fetch } = work
    if (!fetch || [...fetch.waiting.keys()].some((id) => this.#isAwaited(id))) return
    const { records } = this.#options
    const held = records.get(key)
    const merged = this.#merge(held, fetch.found)
    work.fetch = undefined
    this.#sureness.setSure(key)
    if (!merged) return
    records.set(key, merged)
    work.tasks.unshift({ kind: 'sync', finish: () => {} })
  }

  /** A leaving node that is gone is not waited for; a member is, until it answers or a view leaves it out. */
  #isAwaited(id: NodeId): boolean {
    return [...this.#membership.view.members, ...this.#membership.awaitedLeavers].some((member) => member.id === id)
  }

  #backups(key: string): NodeId[] {
    return holdersOf(this.#membership.view, key, this.#options.copies)
      .map(({ id }) => id)
      .filter((id) => id !== this.#options.self.id)
  }

  #nextRequest(key: string): number {
    this.#request += 1
    this.#keyOf.set(this.#request, key)
    return this.#request
  }
}

/** What must be on every copy before it is answered, since any of them may serve a read. */
function isCritical(operation: Operation): boolean {
  if (operation.kind !== 'apply') return true
  const { login, rotate, confirm } = operation.change
  return login !== undefined || confirm !== undefined || rotate === true
}
