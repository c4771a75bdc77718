import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Ballot, NodeId } from '../../../src/stores/mesh/protocol/messages.ts'
import type { Whereabouts } from '../../../src/stores/mesh/protocol/node.ts'
import { EncodedRecords } from '../../../src/stores/mesh/records.ts'
import { Answering } from '../../../src/stores/mesh/users/answering.ts'
import { QUESTIONS_MAX } from '../../../src/stores/mesh/users/limits.ts'
import type { UserAnswer, UserMessage, UserQuestion } from '../../../src/stores/mesh/users/messages.ts'
import { UserSearch } from '../../../src/stores/mesh/users/search.ts'
import { HOLDINGS_MAX } from '../../../src/stores/mesh/wire/limits.ts'
import { now, randomKey, recordOf } from '../changes.ts'

const first: Ballot = { number: 1, id: 'a' }
const second: Ballot = { number: 2, id: 'a' }
const key = randomKey()
const there = { entries: [{ key, at: now }] }

/** Says what a peer answers; a string is that it says nothing, and why. */
type Peer = (question: UserQuestion) => Partial<UserAnswer> | 'nothing'

/** A search by node `a`, which holds nothing, among peers that answer as they are told to. */
class Stage {
  whereabouts: Whereabouts = { view: first, holders: ['a', 'b', 'c'], isSettled: false, hasDropped: false, isMissingSome: false } // prettier-ignore
  minors: Record<NodeId, number | undefined> = { b: 1, c: 1 }
  isServing = true
  readonly asked: string[] = []
  readonly search: UserSearch
  readonly #peers: Readonly<Record<NodeId, Peer>>

  constructor(peers: Readonly<Record<NodeId, Peer>>, deadlineMs = 10_000) {
    this.#peers = peers
    const records = new EncodedRecords({ nowMs: now })
    this.search = new UserSearch({
      self: () => 'a',
      records: () => records,
      whereabouts: () => this.whereabouts,
      isServing: () => this.isServing,
      send: (to, message) => this.#send(to, message),
      minorOf: (id) => this.minors[id],
      deadlineMs,
    })
  }

  async find(user = 'ada'): Promise<string[]> {
    const keys: string[] = []
    const ticking = setInterval(() => this.search.tick(), 10)
    try {
      for await (const batch of this.search.find(user)) keys.push(...batch.map((entry) => entry.key))
    } finally {
      clearInterval(ticking)
    }
    return keys
  }

  #send(to: NodeId, question: UserMessage): void {
    assert(question.type === 'findUser')
    this.asked.push(`${to} ${question.view.number} ${question.cursor}`)
    const answer = this.#peers[to]?.(question) ?? {}
    if (answer === 'nothing') return
    const { request } = question
    const blank = { type: 'foundUser', request, isWrongView: false, hasDropped: false, next: 0, entries: [] } as const
    setImmediate(() => this.search.receive(to, { ...blank, ...answer }))
  }
}

suite('a search for the sessions of a user', () => {
  test('asks everybody once, where nothing has been dropped', async () => {
    const stage = new Stage({ b: () => there, c: () => there })
    assert.deepEqual(await stage.find(), [key])
    assert.deepEqual(stage.asked, ['b 1 0', 'c 1 0'])
  })

  test('finds what one has handed over after the other was asked, and dropped before it was asked itself', async () => {
    let isHandedOver = false
    const stage = new Stage({
      b: () => (isHandedOver ? there : {}),
      c() {
        isHandedOver = true
        return { hasDropped: true }
      },
    })
    assert.deepEqual(await stage.find(), [key])
    assert.equal(stage.asked.length, 4, 'from then on it stays where it is')
  })

  test('asks once, whatever was dropped, where everything was where it belongs', async () => {
    const stage = new Stage({ b: () => ({ hasDropped: true }), c: () => ({ ...there, hasDropped: true }) })
    stage.whereabouts = { ...stage.whereabouts, isSettled: true }
    assert.deepEqual(await stage.find(), [key])
    assert.equal(stage.asked.length, 2)
  })

  test('asks everybody anew in another view: what is known of the one before says nothing of it', async () => {
    const moves: Peer = ({ view }) => {
      if (view.number === 2) return { hasDropped: true }
      stage.whereabouts = { ...stage.whereabouts, view: second, isSettled: false }
      return { isWrongView: true }
    }
    const stage: Stage = new Stage({ b: ({ view }) => (view.number === 2 ? there : {}), c: moves })
    stage.whereabouts = { ...stage.whereabouts, isSettled: true }
    assert.deepEqual(await stage.find(), [key])
    assert.deepEqual(stage.asked, ['b 1 0', 'c 1 0', 'b 2 0', 'c 2 0', 'b 2 0', 'c 2 0'])
  })

  test('asks everybody anew where one that leaves is gone before it has answered', async () => {
    let isGone = false
    const stage: Stage = new Stage({
      b: () => (isGone ? there : {}),
      c() {
        isGone = true
        stage.whereabouts = { ...stage.whereabouts, holders: ['a', 'b'] }
        return 'nothing'
      },
    })
    assert.deepEqual(await stage.find(), [key])
  })

  test('goes on where an answer ended, and asks again what was lost', async () => {
    const keys = [randomKey(), randomKey(), randomKey()]
    let lost = 1
    const stage = new Stage({
      b({ cursor }) {
        if (cursor === 1 && lost-- > 0) return 'nothing'
        return { entries: [{ key: keys[cursor] ?? '', at: now }], next: cursor < 2 ? cursor + 1 : 0 }
      },
      c: () => ({ entries: [{ key: keys[1] ?? '', at: now }] }),
    })
    assert.deepEqual((await stage.find()).toSorted(), keys.toSorted())
    assert.deepEqual(stage.asked, ['b 1 0', 'c 1 0', 'b 1 1', 'b 1 1', 'b 1 2'])
  })

  const unanswered: Record<string, [(stage: Stage) => void, RegExp]> = {
    'one of them says nothing': [() => {}, /has not answered in time/],
    'one of them is not connected': [(stage) => (stage.minors = { b: 1 }), /not connected/],
    'one of them is of version 1.0': [(stage) => (stage.minors = { b: 1, c: 0 }), /update it/],
    'this node is cut off': [(stage) => (stage.isServing = false), /between two views/],
    'some may be on nodes that are away': [
      (stage) => (stage.whereabouts = { ...stage.whereabouts, isMissingSome: true }),
      /nodes that are away/,
    ],
  }
  for (const [name, [prepare, message]] of Object.entries(unanswered)) {
    test(`rejects rather than miss some where ${name}`, async () => {
      const stage = new Stage({ b: () => there, c: () => 'nothing' }, 60)
      prepare(stage)
      await assert.rejects(stage.find(), { code: 'store_unavailable', message })
    })
  }
})

test('a step of a search reads a bounded number of sessions, and those of nobody else', () => {
  const records = new EncodedRecords({ nowMs: now })
  const keys = Array.from({ length: 2_500 }, randomKey)
  for (const [index, each] of keys.entries()) {
    records.set(each, recordOf(each, { user: 'ada', startedAt: now + index }))
    const other = randomKey()
    records.set(other, recordOf(other, { user: index % 2 === 0 ? 'ada2' : null }))
  }
  const found: string[] = []
  let largest = 0
  for (let cursor: number | undefined = 0; cursor !== undefined;) {
    const before = found.length
    cursor = records.searchUser('ada', cursor, (entry) => found.push(entry.key))
    largest = Math.max(largest, found.length - before)
  }
  assert.deepEqual(found.toSorted(), keys.toSorted())
  assert.equal(largest, 1_000)
})

suite('a node that is asked for the sessions of a user', () => {
  const records = new EncodedRecords({ nowMs: now })
  const keys = Array.from({ length: 5_000 }, randomKey)
  for (const each of keys) records.set(each, recordOf(each, { user: 'ada' }))
  const question: UserQuestion = { type: 'findUser', view: first, request: 1, user: 'ada', cursor: 0 }
  const stands = { view: first, holders: ['a'], isSettled: false, hasDropped: false, isMissingSome: false }

  test('tells all that it holds, a bounded part in each answer', async () => {
    const answering = new Answering({ records: () => records, whereabouts: () => stands })
    const found: string[] = []
    for (let cursor = 0, answers = 0; answers === 0 || cursor > 0; answers++) {
      const answer = await answering.answer({ ...question, cursor })
      assert.ok(answer.entries.length <= HOLDINGS_MAX)
      found.push(...answer.entries.map((entry) => entry.key))
      cursor = answer.next
    }
    assert.deepEqual(found.toSorted(), keys.toSorted())
  })

  test('tells nothing where it is in another view, or leaves it meanwhile', async () => {
    let looks = 0
    for (const leavesAfter of [0, 1, 2]) {
      looks = 0
      const whereabouts = (): Whereabouts | undefined => (looks++ < leavesAfter ? stands : { ...stands, view: second })
      const answer = await new Answering({ records: () => records, whereabouts }).answer(question)
      assert.deepEqual([answer.isWrongView, answer.entries, answer.next], [true, [], 0])
    }
    const answer = await new Answering({ records: () => records, whereabouts: () => undefined }).answer(question)
    assert.equal(answer.isWrongView, true)
  })

  test('says whether it has dropped anything by the time that it has looked', async () => {
    let looks = 0
    const whereabouts = (): Whereabouts => ({ ...stands, hasDropped: looks++ > 1 })
    assert.equal((await new Answering({ records: () => records, whereabouts }).answer(question)).hasDropped, true)
  })

  test('answers what is asked twice meanwhile once, and no more at once than it may', async () => {
    const answering = new Answering({ records: () => records, whereabouts: () => stands })
    let answers = 0
    const ask = (request: number): Promise<void> =>
      answering.receive('b', { ...question, request }, () => void (answers += 1))
    await Promise.all([ask(1), ask(1)])
    assert.equal(answers, 1)
    await Promise.all(Array.from({ length: 2 * QUESTIONS_MAX }, (_, request) => ask(request)))
    assert.equal(answers, 1 + QUESTIONS_MAX)
  })
})
