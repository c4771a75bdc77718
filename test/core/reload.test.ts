import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { z } from 'zod'
import type { ReadOptions, StoreDefinition } from '../../src/core/store.ts'
import { createSharedStore } from '../support/shared-store.ts'
import { Client, createFleet, createVisitor, onlyRecord } from './fleet.ts'

suite('reload', () => {
  test('brings what other requests made of the session, and forgets what was changed here and not saved', async () => {
    const { sessions, other, clock } = createFleet({}, 2)
    const client = await createVisitor(sessions)
    await client.visit(sessions, async (session) => {
      clock.advance('10m')
      session.data.list.push('not saved')
      session.data['added'] = 'not saved'
      const taken = session.data
      await client.clone().visit(other, ({ data }) => void Object.assign(data, { n: 7, theirs: true }))
      await session.reload()
      assert.deepEqual({ ...session.data }, { n: 7, list: [], theirs: true })
      assert.equal(taken, session.data)
      assert.equal(session.lastSeenAt.getTime(), clock.now())
    })
  })

  test('is no change: what another writes after it is not overwritten', async () => {
    const { sessions, store } = createFleet()
    const client = await createVisitor(sessions)
    await client.visit(sessions, async (session) => {
      await client.clone().visit(sessions, ({ data }) => void (data.n = 7))
      await session.reload()
      await client.clone().visit(sessions, ({ data }) => void (data.n = 8))
      session.data.list.push('mine')
    })
    const { fields } = onlyRecord(store)
    assert.deepEqual([fields.get('n')?.value, fields.get('list')?.value], ['8', '["mine"]'])
  })

  test('takes no copy for it, whatever a node may have near', async () => {
    const shared = createSharedStore()
    const asked: (ReadOptions | undefined)[] = []
    const open: StoreDefinition['open'] = (context) => {
      const inner = shared.open(context)
      return { ...inner, read: (key, options) => (asked.push(options), inner.read(key, options)) }
    }
    const { sessions } = createFleet({ store: { name: 'near', open } })
    const session = await sessions.open((await createVisitor(sessions)).request)
    await session.reload()
    assert.equal(asked.at(-1)?.fresh, true)
  })

  test('of a session that nobody has stored is initial() again, and writes nothing', async () => {
    const { sessions, store } = createFleet()
    await new Client().visit(sessions, async (session) => {
      session.data.n = 5
      await session.reload()
      assert.deepEqual({ ...session.data }, { n: 0, list: [] })
    })
    assert.equal(store.records.size, 0)
  })

  test('of what ended or was superseded meanwhile rejects, and shows nothing of it', async () => {
    const { sessions } = createFleet()
    const client = await createVisitor(sessions)
    const session = await sessions.open(client.request)
    await client.clone().visit(sessions, (before) => before.login('ann'))
    await assert.rejects(session.reload(), { code: 'session_superseded' })
    assert.deepEqual([session.data.n, session.user], [1, null])

    const ended = await createVisitor(sessions)
    const gone = await sessions.open(ended.request)
    await ended.clone().visit(sessions, (before) => before.logout())
    await assert.rejects(gone.reload(), { code: 'session_gone' })
  })

  test('tells what another logged in, and what does not fit the schema', async () => {
    const fleet = createFleet()
    const client = await createVisitor(fleet.sessions)
    await client.visit(fleet.sessions, (session) => session.login('ann'))
    const schema = z.object({ n: z.number().default(0), list: z.array(z.string()).default([]) })
    const { sessions } = createFleet({ schema }, 1, fleet)
    const session = await sessions.open(client.request)
    await client.clone().visit(fleet.sessions, ({ data }) => void Object.assign(data, { n: 'seven' }))
    await assert.rejects(session.reload(), { code: 'session_invalid', field: 'n' })
    await client.clone().visit(fleet.sessions, ({ data }) => void (data.n = 8))
    await session.reload()
    assert.deepEqual([session.data.n, session.user], [8, 'ann'])
  })
})
