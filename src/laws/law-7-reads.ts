import { lawTest, upTo } from './driver.ts'
import type { LawTest } from './law.ts'
import { withoutHint } from './visitor.ts'

/** Longest time that a read without a hint may be behind. */
const LEASE_MS = 1_000

export const readLaws: readonly LawTest[] = [
  lawTest(7, 'hinted-reads', 'right after its answer, a change is seen on every node', [], async (d) => {
    const visitor = d.visitor()
    for (const n of upTo(12)) {
      await d.ask(visitor, n, ['set', 'n', n], ['increment', 'count'])
      for (const node of d.fleet.nodes.keys()) {
        const { data } = await d.look(visitor, node)
        d.expectEqual([data['n'], data['count']], [n, n + 1], `what node ${node} sees after change ${n}`)
      }
    }
    await d.ask(visitor, 0, ['remove', 'n'])
    for (const node of d.fleet.nodes.keys()) {
      d.expect(!('n' in (await d.look(visitor, node)).data), `node ${node} sees a field that was removed`)
    }
  }),

  lawTest(
    7,
    'late-hint',
    'whoever carries the hint of a change sees the changes of others before it, too',
    ['twoNodes'],
    async (d) => {
      const visitor = await d.visitorWith(['set', 'n', 0])
      const other = await visitor.copy()
      for (const n of upTo(6)) {
        await d.ask(other, n, ['set', 'm', n]) // a later version, told to the other alone
        await d.ask(visitor, n + 1, ['set', 'n', n])
        d.expectEqual((await d.look(visitor, n)).data, { n, m: n }, `what node ${n % d.nodes} sees`)
      }
    },
  ),

  lawTest(7, 'answer-after-write', 'no answer is sent before its change is stored', ['twoNodes'], async (d) => {
    const visitor = await d.visitorWith(['set', 'n', 0])
    const held = await d.heldApply(visitor, 0, 'before', [['set', 'n', 1]])
    let isAnswered = false
    void held.answer.then(() => (isAnswered = true))
    for (const _ of upTo(4)) {
      d.expectEqual((await d.look(visitor, 1)).data, { n: 0 }, 'the data before the write')
      await d.control(0, { do: 'counts' }) // an answer of node 0 would have come before this one
    }
    d.expect(!isAnswered, 'the answer was sent before its change was stored')
    await visitor.keep(d.ok(await held.release()))
    d.expectEqual((await d.look(visitor, 1)).data, { n: 1 }, 'the data after the answer')
  }),

  lawTest(7, 'no-hint', 'a request without a hint is behind by a lease at most', [], async (d) => {
    const visitor = await d.visitorWith(['set', 'n', 0])
    for (const n of upTo(4)) {
      for (const node of d.fleet.nodes.keys()) await d.look(visitor, node) // each has a copy, where copies are kept
      await d.ask(visitor, n, ['set', 'n', n + 1])
      const cookie = withoutHint(await visitor.cookieHeader())
      const since = performance.now()
      for (const node of d.fleet.nodes.keys()) {
        for (;;) {
          const asked = performance.now()
          if (d.ok(await visitor.sendWith(cookie, node).answer).data['n'] === n + 1) break
          d.expect(asked - since <= LEASE_MS, `node ${node} does not see a change that is older than a lease`)
        }
      }
    }
  }),

  lawTest(7, 'forged-hint', 'a forged hint harms nobody', [], async (d) => {
    const visitor = await d.visitorWith(['set', 'n', 1], ['login', 'ada'])
    const cookie = await visitor.cookieHeader()
    const rest = withoutHint(cookie)
    const hintName = `${cookie.split('=')[0]}-v`
    for (const hint of ['zz.zz', '9.9', 'garbage', '', '-1.1', '0.1', 'x'.repeat(500)]) {
      const answer = d.ok(await visitor.sendWith(`${rest}; ${hintName}=${hint}`, 0).answer)
      d.expectEqual([answer.user, answer.data], ['ada', { n: 1 }], `the session with the hint ${hint.slice(0, 9)}`)
      d.expectNoCookie(answer, 'a forged hint')
    }
    d.expectEqual((await d.look(visitor, 1)).user, 'ada', 'the user with the real hint')
  }),
]
