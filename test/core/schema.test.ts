import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { z } from 'zod'
import type { SessionsOptions } from '../../src/core/policy.ts'
import { Client, type Data, createFleet, createVisitor, onlyRecord, type Fleet } from './fleet.ts'

const schema = z.object({
  n: z.number().default(0),
  list: z.array(z.string()).default([]),
  name: z.string().optional(),
})
const strict = schema.strict() as unknown as NonNullable<SessionsOptions<Data>['schema']>

const openFleet = (options: Partial<SessionsOptions<Data>> = {}): Fleet => createFleet({ schema: strict, ...options })

/** Puts a field into the only record as an older release of the application left it. */
function plant({ store }: Fleet, field: string, value: string | null): void {
  const record = onlyRecord(store)
  const { version: stamp } = record
  store.records.set(record.key, { ...record, fields: new Map([...record.fields, [field, { stamp, value }]]) })
}

suite('schema', () => {
  test('gives the data of a new session, where there is no initial', async () => {
    const { sessions } = openFleet()
    assert.deepEqual({ ...(await sessions.open(new Client().request)).data }, { n: 0, list: [] })
  })

  test('is held against the whole of a new session: what is missing is named, and nothing is stored', async () => {
    const needsName = z.object({ n: z.number(), name: z.string() })
    const fleet = createFleet({ schema: needsName as never, initial: () => ({ n: 0, list: [] }) })
    const session = await fleet.sessions.open(new Client().request)
    session.data.n = 5
    await assert.rejects(fleet.sessions.commit(session), { code: 'session_invalid', status: 500, field: 'name' })
    assert.equal(fleet.store.records.size, 0)
  })

  test('is held against what changed, by commit, save, update and login', async () => {
    const { sessions, store } = openFleet()
    const client = await createVisitor(sessions)
    const wrong = 'five' as unknown as number
    const session = await sessions.open(client.request)
    await assert.rejects(
      session.update('n', () => wrong),
      { code: 'session_invalid', field: 'n' },
    )
    session.data.n = wrong
    await assert.rejects(session.save(), { code: 'session_invalid', field: 'n', message: /"n".*schema/ })
    await assert.rejects(session.login('ann'), { code: 'session_invalid' })
    await assert.rejects(sessions.commit(session), { code: 'session_invalid' })
    assert.equal(onlyRecord(store).fields.get('n')?.value, '1')
    session.data.n = 6
    session.data['unknown'] = 1
    await assert.rejects(sessions.commit(session), { code: 'session_invalid' })
    delete session.data['unknown']
    await sessions.commit(session)
    assert.equal(onlyRecord(store).fields.get('n')?.value, '6')
  })

  test('outside a request too; what is unfit but not changed is let be', async () => {
    const fleet = openFleet()
    const { sessions, store } = fleet
    await createVisitor(sessions)
    const { key } = onlyRecord(store)
    plant(fleet, 'name', '5')
    assert.equal(await sessions.update(key, 'n', (n) => n + 1), 2)
    await assert.rejects(
      sessions.update(key, 'n', () => 'x' as never),
      { code: 'session_invalid', field: 'n' },
    )
  })
})

suite('a stored session that does not fit the schema', () => {
  test("'reset-field' gives unfit fields their initial value, tells it, and writes it with the next commit", async () => {
    const fleet = openFleet()
    const client = await createVisitor(fleet.sessions)
    await client.visit(fleet.sessions, ({ data }) => void data.list.push('kept'))
    plant(fleet, 'n', '"many"')
    await client.visit(fleet.sessions, ({ data }) => assert.deepEqual({ ...data }, { n: 0, list: ['kept'] }))
    assert.equal(onlyRecord(fleet.store).fields.get('n')?.value, '0')
    const { key } = onlyRecord(fleet.store)
    assert.deepEqual(fleet.events.at(-1), ['invalid', { key, fields: ['n'] }])
    await client.visit(fleet.sessions, ({ data }) => data.n)
    assert.equal(fleet.events.filter(([name]) => name === 'invalid').length, 1)
  })

  test("'reset-field' removes a field that the schema has no more", async () => {
    const fleet = openFleet()
    const client = await createVisitor(fleet.sessions)
    plant(fleet, 'name', '5')
    await client.visit(fleet.sessions, ({ data }) => assert.equal('name' in data, false))
    assert.equal(onlyRecord(fleet.store).fields.get('name')?.value, null)
  })

  test("'end' ends the session", async () => {
    const fleet = openFleet({ onInvalid: 'end' })
    const client = await createVisitor(fleet.sessions)
    plant(fleet, 'n', '"many"')
    await client.visit(fleet.sessions, ({ isNew, data }) => assert.deepEqual([isNew, data.n], [true, 0]))
    assert.equal(fleet.store.records.size, 0)
    assert.deepEqual(fleet.eventNames(), ['created', 'invalid', 'ended'])
  })

  test("'error' fails the request, and leaves the session as it is", async () => {
    const fleet = openFleet({ onInvalid: 'error' })
    const client = await createVisitor(fleet.sessions)
    plant(fleet, 'n', '"many"')
    await assert.rejects(fleet.sessions.open(client.request), { code: 'session_invalid', status: 500, field: 'n' })
    assert.equal(onlyRecord(fleet.store).fields.get('n')?.value, '"many"')
  })

  test('a field that is new in the schema reads as its initial value', async () => {
    const fleet = createFleet()
    const client = await createVisitor(fleet.sessions)
    const wider = schema.extend({ theme: z.string().default('light') }) as unknown as typeof strict
    const { sessions, eventNames } = createFleet({ schema: wider }, 1, fleet)
    await client.visit(sessions, ({ data }) => assert.equal(data['theme'], 'light'))
    assert.deepEqual(eventNames(), [])
  })

  test('an asynchronous schema works alike', async () => {
    const slow = schema.refine(async ({ n }) => Promise.resolve(n < 10), { path: ['n'], error: 'too many' })
    const { sessions } = createFleet({ schema: slow as unknown as typeof strict })
    const client = await createVisitor(sessions)
    const session = await sessions.open(client.request)
    session.data.n = 10
    await assert.rejects(sessions.commit(session), { code: 'session_invalid', field: 'n', message: /too many/ })
  })

  test('a damaged field is treated as onInvalid says, whoever reads it', async () => {
    for (const onInvalid of ['reset-field', 'end', 'error'] as const) {
      const fleet = openFleet({ onInvalid })
      const client = await createVisitor(fleet.sessions)
      plant(fleet, 'n', '{ broken')
      if (onInvalid === 'error')
        await assert.rejects(fleet.sessions.open(client.request), { code: 'session_invalid', field: 'n' })
      else assert.equal((await fleet.sessions.open(client.request)).data.n, 0)
      assert.equal(fleet.store.records.size, onInvalid === 'end' ? 0 : 1)
    }
  })

  test("an unfit session ends by onInvalid 'end' also where a login comes between", async () => {
    const fleet = openFleet({ onInvalid: 'end' })
    const client = await createVisitor(fleet.sessions)
    const inFlight = await fleet.sessions.open(client.request)
    plant(fleet, 'n', '"five"')
    fleet.store.around = async (call, run) => {
      fleet.store.around = (_, next) => next()
      const answer = await run()
      if (call === 'read') await inFlight.login('ann')
      return answer
    }
    assert.equal((await fleet.sessions.open(client.request)).user, null)
    assert.equal(fleet.store.records.size, 0)
  })
})
