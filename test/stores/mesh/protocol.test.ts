import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMeshNode } from '../../../src/stores/mesh/protocol/mesh-node.ts'
import {
  type Holding,
  type Member,
  type Message,
  type NodeId,
  type Operation,
  type Outcome,
  same,
  type View,
} from '../../../src/stores/mesh/protocol/messages.ts'
import type { Effect, MeshNode, MeshNodeOptions, RecordMap } from '../../../src/stores/mesh/protocol/node.ts'
import { holdersOf } from '../../../src/stores/mesh/protocol/placement.ts'
import { changeOf, createNode, fieldsOf, randomKey, tombstoneOf } from '../changes.ts'

function createRecords(): RecordMap & { isFull: boolean } {
  const map = new Map<string, Holding>()
  return {
    get: (key) => map.get(key),
    set: (key, holding) => void map.set(key, holding),
    delete: (key) => void map.delete(key),
    scan: (cursor, count, visit) => {
      const entries = [...map].slice(cursor, cursor + count)
      for (const [key, holding] of entries) visit(key, holding)
      return cursor + count < map.size ? cursor + count : undefined
    },
    isFull: false,
    get size() {
      return map.size
    },
  }
}

/** Nodes whose messages arrive at once and in order; time moves when a test says so. */
class Fleet {
  readonly nodes = new Map<NodeId, { readonly node: MeshNode; readonly member: Member; readonly records: RecordMap }>()
  readonly outcomes = new Map<number, Outcome>()
  readonly events: string[] = []
  /** Called after each message. */
  onDelivered: () => void = () => {}
  #queue: { readonly to: NodeId; readonly from: NodeId; readonly message: Message }[] = []
  #nowMs = 0
  #request = 0

  start(id: NodeId, options: Partial<MeshNodeOptions> = {}): void {
    const member = { id, address: `${id}:7373`, zone: '' }
    const records = options.records ?? createRecords()
    const node = createMeshNode(this.#nowMs, {
      self: member, copies: 2, ack: 'backup', onPartition: 'serve', minCopies: 1, expectedNodes: 3, random: Math.random, unreached: () => [], records,
      ...options,
    }) // prettier-ignore
    for (const other of this.nodes.values()) {
      this.#take(id, node.connected(this.#nowMs, other.member))
      this.#take(other.member.id, other.node.connected(this.#nowMs, member))
    }
    this.nodes.set(id, { node, member, records })
  }

  kill(id: NodeId): void {
    this.nodes.delete(id)
    for (const { node, member } of this.nodes.values()) this.#take(member.id, node.disconnected(this.#nowMs, id, true))
  }

  get nowMs(): number {
    return this.#nowMs
  }

  run(ms: number): void {
    for (const end = this.#nowMs + ms; this.#nowMs < end;) {
      this.#nowMs += 50
      for (const { node, member } of this.nodes.values()) this.#take(member.id, node.tick(this.#nowMs))
      this.#deliver()
    }
  }

  leave(id: NodeId): void {
    this.#take(id, this.node(id).leave(this.#nowMs))
    this.#deliver()
  }

  /** The outcome of an operation that enters at a node, if it comes within two seconds. */
  ask(id: NodeId, operation: Operation): Outcome | undefined {
    const request = (this.#request += 1)
    this.#take(id, this.node(id).request(this.#nowMs, request, operation))
    this.#deliver()
    for (let waited = 0; waited < 2_000 && !this.outcomes.has(request); waited += 50) this.run(50)
    return this.outcomes.get(request)
  }

  node(id: NodeId): MeshNode {
    const found = this.nodes.get(id)
    if (!found) throw new RangeError(`no node ${id}`)
    return found.node
  }

  #take(from: NodeId, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'send') this.#queue.push({ to: effect.to, from, message: effect.message })
      else if (effect.kind === 'outcome') this.outcomes.set(effect.request, effect.outcome)
      else this.events.push(`${from} ${effect.name}`)
    }
  }

  #deliver(): void {
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
      const { to, from, message } = next
      const target = this.nodes.get(to)
      if (target && this.nodes.has(from))
        this.#take(to, target.node.receive(this.#nowMs, from, structuredClone(message)))
      this.onDelivered()
    }
  }
}

function startFleet(...ids: NodeId[]): Fleet {
  const fleet = new Fleet()
  for (const id of ids) fleet.start(id)
  fleet.run(3_000)
  return fleet
}

const create = (key: string): Operation => ({
  kind: 'apply',
  key,
  change: changeOf(key, { create: true, fields: fieldsOf({ a: '1' }) }),
})
const read = (key: string): Operation => ({ kind: 'read', key })

function fieldsAt(fleet: Fleet, id: NodeId, key: string): Record<string, string | null> | undefined {
  const outcome = fleet.ask(id, read(key))
  assert.equal(outcome?.kind, 'read', `${id} did not answer`)
  return outcome.record && Object.fromEntries([...outcome.record.fields].map(([name, { value }]) => [name, value]))
}

test('nodes that start together agree on one view and serve in it', () => {
  const fleet = startFleet('a', 'b', 'c')
  for (const id of ['a', 'b', 'c']) {
    assert.deepEqual(
      fleet.node(id).view.members.map((member) => member.id),
      ['a', 'b', 'c'],
    )
    assert.ok(fleet.node(id).isServing(3_000))
  }
})

test('what one node has acknowledged every node reads, and nobody after its end', () => {
  const fleet = startFleet('a', 'b', 'c')
  for (let count = 0; count < 20; count++) {
    const key = randomKey()
    assert.equal(fleet.ask('a', create(key))?.kind, 'apply')
    for (const id of ['a', 'b', 'c']) assert.deepEqual(fieldsAt(fleet, id, key), { a: '1' })
    assert.deepEqual(fleet.ask('b', { kind: 'end', key, end: tombstoneOf(key) }), { kind: 'end', result: 'ended' })
    for (const id of ['a', 'b', 'c']) assert.equal(fieldsAt(fleet, id, key), undefined)
  }
})

test('the kill of any node loses no acknowledged session, and a node that comes back knows them all', () => {
  const fleet = startFleet('a', 'b', 'c')
  const keys = Array.from({ length: 100 }, randomKey)
  for (const key of keys) fleet.ask('a', create(key))
  fleet.kill('b')
  for (const key of keys) assert.deepEqual(fieldsAt(fleet, 'c', key), { a: '1' })
  fleet.run(3_000)
  fleet.kill('a')
  for (const key of keys) assert.deepEqual(fieldsAt(fleet, 'c', key), { a: '1' })
  fleet.start('b2')
  for (const key of keys) assert.deepEqual(fieldsAt(fleet, 'b2', key), { a: '1' })
  fleet.run(3_000)
  fleet.kill('c')
  for (const key of keys) assert.deepEqual(fieldsAt(fleet, 'b2', key), { a: '1' })
})

test('a node that leaves hands over before it says that it may go', () => {
  const fleet = startFleet('a', 'b', 'c')
  const keys = Array.from({ length: 100 }, randomKey)
  for (const key of keys) fleet.ask('a', create(key))
  fleet.leave('a')
  fleet.run(3_000)
  assert.ok(fleet.events.includes('a left'))
  fleet.kill('a')
  fleet.leave('b')
  fleet.run(3_000)
  assert.ok(fleet.events.includes('b left'))
  fleet.kill('b')
  for (const key of keys) assert.deepEqual(fieldsAt(fleet, 'c', key), { a: '1' })
})

test('a change that is sent again through another node is applied once, with its first result', () => {
  const fleet = startFleet('a', 'b', 'c')
  for (let count = 0; count < 20; count++) {
    const key = randomKey()
    fleet.ask('a', create(key))
    const operation = createNode().next()
    const change = changeOf(key, { operation, fields: fieldsOf({ b: '2' }) })
    const first = fleet.ask('c', { kind: 'apply', key, change })
    const again = fleet.ask('a', { kind: 'apply', key, change })
    assert.deepEqual(again, first)
  }
})

test('with fewer copies alive than minCopies nothing is changed, and everything is read', () => {
  const fleet = new Fleet()
  for (const id of ['a', 'b']) fleet.start(id, { minCopies: 2 })
  fleet.run(3_000)
  const [key, other] = [randomKey(), randomKey()]
  assert.equal(fleet.ask('a', create(key))?.kind, 'apply')
  fleet.kill('b')
  fleet.run(3_000)
  assert.deepEqual(fleet.ask('a', create(other)), { kind: 'underReplicated' })
  assert.deepEqual(fleet.ask('a', { kind: 'end', key, end: tombstoneOf(key) }), { kind: 'underReplicated' })
  assert.deepEqual(fieldsAt(fleet, 'a', key), { a: '1' })
  assert.equal(fieldsAt(fleet, 'a', other), undefined)
})

test('a node without room refuses what would grow, as owner and as backup, and goes on with what it holds', () => {
  const fleet = new Fleet()
  const records = createRecords()
  fleet.start('a')
  fleet.start('b', { records })
  fleet.run(3_000)
  const keys = Array.from({ length: 10 }, randomKey)
  for (const key of keys) assert.equal(fleet.ask('a', create(key))?.kind, 'apply')
  records.isFull = true
  fleet.run(300)
  for (const key of keys) {
    const change = (value: string): Operation => ({
      kind: 'apply',
      key,
      change: changeOf(key, { operation: createNode().next(), fields: fieldsOf({ a: value }) }),
    })
    assert.equal(fleet.ask('a', change('2'))?.kind, 'apply')
    assert.deepEqual(fleet.ask('a', change('longer')), { kind: 'full' })
    assert.deepEqual(fleet.ask('a', create(randomKey())), { kind: 'full' })
    assert.deepEqual(fieldsAt(fleet, 'b', key), { a: '2' })
    assert.deepEqual(fleet.ask('a', { kind: 'end', key, end: tombstoneOf(key) }), { kind: 'end', result: 'ended' })
  }
})

test('who looks for sessions finds them: with those who may hold them and, once something is dropped, with their owners', () => {
  const fleet = startFleet('a', 'b', 'c')
  const keys = Array.from({ length: 100 }, randomKey)
  for (const key of keys) assert.equal(fleet.ask('a', create(key))?.kind, 'apply')
  const owners = new Map<string, readonly NodeId[]>()
  const ownersIn = (view: View): readonly NodeId[] => {
    const name = `${view.ballot.number} ${view.ballot.id}`
    const known = owners.get(name) ?? keys.map((key) => holdersOf(view, key, 2)[0]?.id ?? '')
    owners.set(name, known)
    return known
  }
  const seen = { moving: 0, dropped: 0, leaving: 0 }
  fleet.onDelivered = () => {
    for (const { node } of fleet.nodes.values()) {
      const { whereabouts, view } = node
      if (!whereabouts || !node.isServing(fleet.nowMs)) continue
      const isInView = (id: NodeId): boolean => {
        const other = fleet.nodes.get(id)?.node.whereabouts
        return other !== undefined && same(other.view, whereabouts.view)
      }
      if (!whereabouts.holders.every(isInView)) continue // they cannot answer
      const isDropped = whereabouts.holders.some((id) => fleet.node(id).whereabouts?.hasDropped)
      const isAtOwner = whereabouts.isSettled || isDropped
      seen.moving += isAtOwner ? 0 : 1
      seen.dropped += isDropped ? 1 : 0
      seen.leaving += whereabouts.holders.length > view.members.length ? 1 : 0
      for (const [index, key] of keys.entries()) {
        const where = isAtOwner ? [ownersIn(view)[index] ?? ''] : whereabouts.holders
        if (where.some((id) => fleet.nodes.get(id)?.records.get(key))) continue
        assert.fail(`${isAtOwner ? 'the owner lacks' : 'nobody has'} a session`)
      }
    }
  }
  fleet.start('d')
  fleet.run(3_000)
  fleet.leave('a')
  fleet.run(3_000)
  fleet.kill('a')
  fleet.start('e')
  fleet.run(3_000)
  fleet.kill('b')
  fleet.run(5_000)
  fleet.onDelivered = () => {}
  for (const key of keys) assert.deepEqual(fieldsAt(fleet, 'c', key), { a: '1' })
  for (const [what, count] of Object.entries(seen)) assert.ok(count > 10, `${what} ${count} times`)
})
