/** What every store promises, as one test body. Each store's own test calls {@link storeContract}. */

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  FIELD_BYTES_MAX,
  OPERATION_SLOTS_MAX,
  type ChangeResult,
  type SessionRecord,
  type Store,
} from '../../src/core/index.ts'
import { changeOf, createNode, fieldsOf, inAnHour, now, randomKey, recordOf, tombstoneOf } from './changes.ts'
import { followsTheRules } from './differential.ts'

/** A store that is ready, and what ends the parts that the test started for it. `close` closes the store too. */
export interface OpenStore {
  store: Store
  close(): Promise<void>
}

/** @param open makes a ready store; may be called several times, and the stores may share their sessions or not */
export function storeContract(name: string, open: () => Promise<OpenStore>): void {
  describe(`${name} keeps the contract of stores`, () => {
    let opened: OpenStore
    let store: Store
    before(async () => {
      opened = await open()
      store = opened.store
    })
    after(() => opened.close())

    async function present(key: string): Promise<SessionRecord> {
      const record = await store.read(key)
      assert(record, `no session ${key}`)
      return record
    }

    /** Creates a session under a new key. */
    async function created(fields: Record<string, string | null> = {}): Promise<string> {
      const key = randomKey()
      const result = await store.apply(changeOf(key, { create: true, fields: fieldsOf(fields) }))
      assert.equal(result.outcome, 'applied')
      return key
    }

    describe('creating', () => {
      it('knows nothing under an unknown key', async () => {
        assert.equal(await store.read(randomKey()), undefined)
      })

      it('answers a change of an unknown key with gone, and makes nothing', async () => {
        const key = randomKey()
        assert.deepEqual(await store.apply(changeOf(key, { fields: fieldsOf({ a: '1' }) })), { outcome: 'gone' })
        assert.equal(await store.read(key), undefined)
      })

      it('keeps every part of a created session', async () => {
        const key = randomKey()
        const operation = createNode('slot').next()
        const change = changeOf(key, {
          create: true,
          generation: 3,
          operation,
          fields: fieldsOf({ a: '1', b: '{"c":[2]}' }),
        })
        const version = { incarnation: 0, sequence: 1 }
        assert.deepEqual(await store.apply(change), { outcome: 'applied', version, generation: 3, pending: false })
        assert.deepEqual(await store.read(key), {
          key,
          version,
          generation: 3,
          pending: false,
          floor: 3,
          retired: [],
          user: null,
          startedAt: now,
          createdAt: now,
          lastSeenAt: now,
          expiresAt: inAnHour,
          fields: new Map([
            ['a', { stamp: version, value: '1' }],
            ['b', { stamp: version, value: '{"c":[2]}' }],
          ]),
          operations: new Map([['slot', { count: 1, version }]]),
        } satisfies SessionRecord)
      })

      it('creates a logged-in session with the generation of its token', async () => {
        const key = randomKey()
        const result = await store.apply(changeOf(key, { create: true, login: { user: 'ada' } }))
        assert.partialDeepStrictEqual(result, { outcome: 'applied', generation: 0 })
        assert.partialDeepStrictEqual(await present(key), { user: 'ada', floor: 0 })
      })

      it('does not create over a session', async () => {
        const key = await created({ a: '1' })
        const before = await present(key)
        assert.deepEqual(await store.apply(changeOf(key, { create: true, fields: fieldsOf({ a: '2' }) })), {
          outcome: 'gone',
        })
        assert.deepEqual(await present(key), before)
      })

      it('lets one of many creations at once win', async () => {
        const key = randomKey()
        const changes = Array.from({ length: 10 }, () =>
          changeOf(key, { operation: createNode().next(), create: true }),
        )
        const results = await Promise.all(changes.map((change) => store.apply(change)))
        assert.deepEqual(results.map(({ outcome }) => outcome).toSorted(), [
          'applied',
          ...Array<string>(9).fill('gone'),
        ])
      })
    })

    describe('operations', () => {
      it('answers a repeated operation with its first result and applies it once', async () => {
        const key = await created()
        const node = createNode()
        const first = changeOf(key, { operation: node.next(), fields: fieldsOf({ a: '1' }) })
        const result = await store.apply(first)
        await store.apply(changeOf(key, { fields: fieldsOf({ a: '2' }) }))
        const before = await present(key)
        assert.deepEqual(await store.apply(first), result)
        assert.deepEqual(await present(key), before)
      })

      it('answers a repeated creation with its first result', async () => {
        const key = randomKey()
        const change = changeOf(key, { create: true, fields: fieldsOf({ a: '1' }) })
        assert.deepEqual(await store.apply(change), await store.apply(change))
        assert.equal((await present(key)).version.sequence, 1)
      })

      it('applies an operation sent many times at once a single time', async () => {
        const key = await created()
        const change = changeOf(key, { operation: createNode().next(), fields: fieldsOf({ a: '1' }) })
        const results = await Promise.all(Array.from({ length: 10 }, () => store.apply(change)))
        for (const result of results) assert.deepEqual(result, results[0])
        assert.equal((await present(key)).version.sequence, 2)
      })

      it('tells the present generation in the answer to a repetition', async () => {
        const key = await created()
        const change = changeOf(key, { operation: createNode().next(), fields: fieldsOf({ a: '1' }) })
        await store.apply(change)
        await store.apply(changeOf(key, { rotate: true }))
        assert.partialDeepStrictEqual(await store.apply(change), {
          outcome: 'applied',
          version: { sequence: 2 },
          pending: true,
        })
      })

      it('refuses an operation that its node has overtaken', async () => {
        const key = await created({ a: '0' })
        const node = createNode()
        const late = changeOf(key, { operation: node.next(), fields: fieldsOf({ a: '"late"' }) })
        await store.apply(changeOf(key, { operation: node.next(), fields: fieldsOf({ a: '"newer"' }) }))
        assert.deepEqual(await store.apply(late), { outcome: 'conflict', field: undefined })
        assert.equal((await present(key)).fields.get('a')?.value, '"newer"')
      })

      it('forgets the operation of the node that was quiet for longest', async () => {
        const key = randomKey()
        const nodes = Array.from({ length: OPERATION_SLOTS_MAX + 1 }, (_, index) => createNode(`node-${index}`))
        const [first, second] = [nodes[0] ?? createNode(), nodes[1] ?? createNode()]
        for (const [index, node] of nodes.slice(0, -1).entries()) {
          await store.apply(changeOf(key, { operation: node.next(), create: index === 0 }))
        }
        await store.apply(changeOf(key, { operation: first.next() }))
        await store.apply(changeOf(key, { operation: nodes.at(-1)?.next() ?? second.next() }))
        const { operations } = await present(key)
        assert.equal(operations.size, OPERATION_SLOTS_MAX)
        assert.equal(operations.get('node-0')?.count, 2)
        assert.equal(operations.has('node-1'), false)
        assert.equal(operations.has('node-2'), true)
      })
    })

    describe('fields', () => {
      it('writes the fields of a change and leaves the others with their stamps', async () => {
        const key = await created({ a: '1', b: '2' })
        await store.apply(changeOf(key, { fields: fieldsOf({ b: '3', c: '4' }) }))
        const [one, two] = [
          { incarnation: 0, sequence: 1 },
          { incarnation: 0, sequence: 2 },
        ]
        assert.deepEqual((await present(key)).fields, new Map([
          ['a', { stamp: one, value: '1' }],
          ['b', { stamp: two, value: '3' }],
          ['c', { stamp: two, value: '4' }],
        ])) // prettier-ignore
      })

      it('keeps a removed field as null with its stamp, also where there was none', async () => {
        const key = await created({ a: '1' })
        await store.apply(changeOf(key, { fields: fieldsOf({ a: null, never: null }) }))
        const stamp = { incarnation: 0, sequence: 2 }
        assert.deepEqual((await present(key)).fields, new Map([
          ['a', { stamp, value: null }],
          ['never', { stamp, value: null }],
        ])) // prettier-ignore
      })

      it('keeps all of many changes at once to different fields', async () => {
        const key = await created()
        const names = Array.from({ length: 50 }, (_, index) => `field-${index}`)
        const results = await Promise.all(
          names.map((field) =>
            store.apply(changeOf(key, { operation: createNode().next(), fields: fieldsOf({ [field]: '1' }) })),
          ),
        )
        const sequences = results.map((result) => (result.outcome === 'applied' ? result.version.sequence : 0))
        assert.deepEqual(
          sequences.toSorted((a, b) => a - b),
          names.map((_, index) => index + 2),
        )
        assert.deepEqual([...(await present(key)).fields.keys()].toSorted(), names.toSorted())
      })

      for (const field of [
        '__proto__',
        'constructor',
        'toString',
        'hasOwnProperty',
        '',
        ' ',
        '0',
        '1',
        'naïve 🍪',
        'a\u0000b',
        '\u0001\n\r\t',
        '\uFEFF',
        "');--",
        '{"a":1}',
        'a:b|c',
        'user',
        'version',
      ]) {
        it(`keeps a field named ${JSON.stringify(field)}`, async () => {
          const key = randomKey()
          await store.apply(changeOf(key, { create: true, fields: new Map([[field, '1'], ['other', '2']]) })) // prettier-ignore
          const stamp = { incarnation: 0, sequence: 1 }
          assert.deepEqual((await present(key)).fields.get(field), { stamp, value: '1' })
          const result = await store.apply(
            changeOf(key, { expect: { field, stamp }, fields: new Map([[field, null]]) }),
          )
          assert.equal(result.outcome, 'applied')
          assert.deepEqual((await present(key)).fields.get(field), {
            stamp: { incarnation: 0, sequence: 2 },
            value: null,
          })
          assert.equal((await present(key)).fields.size, 2)
          assert.equal(Object.hasOwn(Object.prototype, 'stamp'), false)
        })
      }

      for (const value of [
        '',
        'null',
        '-',
        '0',
        '"\\u0000"',
        '\u0000',
        'a\u0000b',
        '🍪 naïve',
        '\u2028',
        '~[1]',
        '"a"\n"b"',
        "'; DROP TABLE session",
        '{"__proto__":1}',
        '9007199254740993',
        '1e999',
      ]) {
        it(`keeps the value ${JSON.stringify(value)}`, async () => {
          const key = await created({ a: value })
          assert.equal((await present(key)).fields.get('a')?.value, value)
        })
      }

      it('keeps a field of the largest size', async () => {
        const value = JSON.stringify('é'.repeat(FIELD_BYTES_MAX / 2 - 1))
        const key = await created({ a: value })
        assert.equal((await present(key)).fields.get('a')?.value, value)
      })
    })

    describe('expect', () => {
      it('applies while the field has the stamp', async () => {
        const key = await created({ a: '1' })
        const stamp = { incarnation: 0, sequence: 1 }
        const result = await store.apply(changeOf(key, { expect: { field: 'a', stamp }, fields: fieldsOf({ a: '2' }) }))
        assert.equal(result.outcome, 'applied')
      })

      it('answers conflict with the present field where the stamp is another, and changes nothing', async () => {
        const key = await created({ a: '1' })
        await store.apply(changeOf(key, { fields: fieldsOf({ a: '2' }) }))
        const before = await present(key)
        const field = { stamp: { incarnation: 0, sequence: 2 }, value: '2' }
        for (const stamp of [{ incarnation: 0, sequence: 1 }, { incarnation: 1, sequence: 2 }, null]) {
          const change = changeOf(key, { expect: { field: 'a', stamp }, fields: fieldsOf({ a: '3' }), rotate: true })
          assert.deepEqual(await store.apply(change), { outcome: 'conflict', field })
        }
        assert.deepEqual(await present(key), before)
      })

      it('takes null for a field that never was, and not for a removed one', async () => {
        const key = await created()
        const change = { expect: { field: 'a', stamp: null }, fields: fieldsOf({ a: null }) }
        assert.equal((await store.apply(changeOf(key, change))).outcome, 'applied')
        const field = { stamp: { incarnation: 0, sequence: 2 }, value: null }
        assert.deepEqual(await store.apply(changeOf(key, change)), { outcome: 'conflict', field })
      })

      it('answers conflict without a field where a stamp is expected of a field that never was', async () => {
        const key = await created()
        const change = changeOf(key, { expect: { field: 'a', stamp: { incarnation: 0, sequence: 1 } } })
        assert.deepEqual(await store.apply(change), { outcome: 'conflict', field: undefined })
      })

      it('lets one of many changes at once that expect the same stamp win', async () => {
        const key = await created({ a: '1' })
        const expect = { field: 'a', stamp: { incarnation: 0, sequence: 1 } }
        const results = await Promise.all(
          Array.from({ length: 10 }, (_, index) =>
            store.apply(changeOf(key, { operation: createNode().next(), expect, fields: fieldsOf({ a: `${index}` }) })),
          ),
        )
        assert.equal(results.filter(({ outcome }) => outcome === 'applied').length, 1)
        assert.equal(results.filter(({ outcome }) => outcome === 'conflict').length, 9)
      })
    })

    describe('generations', () => {
      it('rotates once: the successor is pending until it is presented', async () => {
        const key = await created()
        const pending = { outcome: 'applied', generation: 0, pending: true }
        assert.partialDeepStrictEqual(await store.apply(changeOf(key, { rotate: true })), pending)
        assert.partialDeepStrictEqual(await store.apply(changeOf(key, { rotate: true })), pending)
        const confirm = { generation: 1, graceEndsAt: now + 60_000 }
        const confirmed = await store.apply(changeOf(key, { generation: 1, confirm }))
        assert.partialDeepStrictEqual(confirmed, { outcome: 'applied', generation: 1, pending: false })
        assert.deepEqual((await present(key)).retired, [now + 60_000])
      })

      it('does not rotate for a predecessor, and still applies the rest', async () => {
        const key = await created()
        await store.apply(changeOf(key, { generation: 1, confirm: { generation: 1, graceEndsAt: now + 60_000 } }))
        const result = await store.apply(changeOf(key, { generation: 0, rotate: true, fields: fieldsOf({ a: '1' }) }))
        assert.partialDeepStrictEqual(result, { outcome: 'applied', generation: 1, pending: false })
        assert.equal((await present(key)).fields.get('a')?.value, '1')
      })

      it('does not move a grace for a generation that was confirmed before', async () => {
        const key = await created()
        await store.apply(changeOf(key, { confirm: { generation: 1, graceEndsAt: now + 1 } }))
        await store.apply(changeOf(key, { generation: 1, confirm: { generation: 1, graceEndsAt: now + 60_000 } }))
        assert.deepEqual((await present(key)).retired, [now + 1])
      })

      it('logs in with a generation above every one that was handed out', async () => {
        const key = await created({ a: '1' })
        await store.apply(changeOf(key, { rotate: true }))
        const result = await store.apply(changeOf(key, { now: now + 5, login: { user: 'ada' } }))
        assert.partialDeepStrictEqual(result, { outcome: 'applied', generation: 2, pending: false })
        assert.partialDeepStrictEqual(await present(key), {
          user: 'ada',
          floor: 2,
          retired: [],
          startedAt: now + 5,
          createdAt: now,
        })
        assert.equal((await present(key)).fields.get('a')?.value, '1')
      })

      it('answers a change begun before a login with superseded, and changes nothing', async () => {
        const key = await created({ a: '1' })
        await store.apply(changeOf(key, { login: { user: 'ada' } }))
        const before = await present(key)
        const stale = changeOf(key, {
          generation: 0,
          fields: fieldsOf({ a: '2' }),
          rotate: true,
          login: { user: 'eve' },
        })
        assert.deepEqual(await store.apply(stale), { outcome: 'superseded' })
        assert.deepEqual(await present(key), before)
      })

      for (const user of ['__proto__', 'a\u0000b', 'naïve 🍪', "o'neil", '0', 'x'.repeat(256)]) {
        it(`keeps the user ${JSON.stringify(user.slice(0, 20))}`, async () => {
          const key = await created()
          await store.apply(changeOf(key, { login: { user } }))
          assert.equal((await present(key)).user, user)
        })
      }
    })

    describe('time', () => {
      it('does not revive a session whose time is over', async () => {
        const key = randomKey()
        await store.apply(changeOf(key, { create: true, expiresAt: now + 1_000 }))
        const late = changeOf(key, { now: now + 1_000, expiresAt: inAnHour, fields: fieldsOf({ a: '1' }) })
        assert.deepEqual(await store.apply(late), { outcome: 'gone' })
        assert.deepEqual(await store.apply(changeOf(key, { now: now + 1_000, create: true })), { outcome: 'gone' })
      })

      it('moves its times forward and never back', async () => {
        const key = await created()
        await store.apply(changeOf(key, { now: now + 9, expiresAt: inAnHour + 9 }))
        await store.apply(changeOf(key, { now: now + 5, expiresAt: inAnHour + 5 }))
        assert.partialDeepStrictEqual(await present(key), {
          lastSeenAt: now + 9,
          expiresAt: inAnHour + 9,
          createdAt: now,
        })
      })

      it('takes an unattended change for no use', async () => {
        const key = await created()
        await store.apply(changeOf(key, { now: now + 9, expiresAt: inAnHour + 9, unattended: true }))
        assert.partialDeepStrictEqual(await present(key), {
          version: { sequence: 2 },
          lastSeenAt: now,
          expiresAt: inAnHour,
        })
      })
    })

    describe('ending', () => {
      it('ends a session, tells that there was one, and succeeds again', async () => {
        const key = await created()
        assert.equal(await store.end(tombstoneOf(key)), 'ended')
        assert.equal(await store.read(key), undefined)
        assert.equal(await store.end(tombstoneOf(key)), 'gone')
      })

      it('ends nothing for who asked under a generation from before a login', async () => {
        const key = await created()
        await store.apply(changeOf(key, { login: { user: 'ada' } }))
        const { generation } = await present(key)
        assert.equal(await store.end({ ...tombstoneOf(key), generation: generation - 1 }), 'superseded')
        assert.equal((await present(key)).user, 'ada')
        assert.equal(await store.end({ ...tombstoneOf(key), generation }), 'ended')
        assert.equal(await store.end({ ...tombstoneOf(key), generation: generation - 1 }), 'gone')
      })

      it('answers every change of an ended session with gone', async () => {
        const key = await created()
        await store.end(tombstoneOf(key))
        assert.deepEqual(await store.apply(changeOf(key, { fields: fieldsOf({ a: '1' }) })), { outcome: 'gone' })
        assert.deepEqual(await store.apply(changeOf(key, { create: true })), { outcome: 'gone' })
        assert.equal(await store.read(key), undefined)
      })

      it('answers a repeated change of an ended session with gone', async () => {
        const key = randomKey()
        const change = changeOf(key, { create: true })
        await store.apply(change)
        await store.end(tombstoneOf(key))
        assert.deepEqual(await store.apply(change), { outcome: 'gone' })
      })

      it('ends a key that it does not know, so that a creation on its way comes too late', async () => {
        const key = randomKey()
        assert.equal(await store.end(tombstoneOf(key)), 'gone')
        assert.deepEqual(await store.apply(changeOf(key, { create: true })), { outcome: 'gone' })
      })

      it('tells one of many ends at once that there was a session', async () => {
        const key = await created()
        const answers = await Promise.all(Array.from({ length: 10 }, () => store.end(tombstoneOf(key))))
        assert.deepEqual(answers.toSorted(), ['ended', ...Array<string>(9).fill('gone')])
      })

      it('ends nothing for a request from before a login', async () => {
        const key = await created()
        await store.apply(changeOf(key, { login: { user: 'ada' } }))
        const before = await present(key)
        assert.equal(await store.end({ ...tombstoneOf(key), generation: 0 }), 'superseded')
        assert.deepEqual(await present(key), before)
        assert.equal(await store.end({ ...tombstoneOf(key), generation: 1 }), 'ended')
        assert.equal(await store.end({ ...tombstoneOf(key), generation: 0 }), 'gone')
      })

      it('ends an unknown key for a request of any generation', async () => {
        const key = randomKey()
        assert.equal(await store.end({ ...tombstoneOf(key), generation: 0 }), 'gone')
        assert.deepEqual(await store.apply(changeOf(key, { create: true })), { outcome: 'gone' })
      })

      it('has ended a session in spite of changes at the same time', async () => {
        const key = await created()
        const change = (): Promise<ChangeResult> =>
          store.apply(changeOf(key, { operation: createNode().next(), fields: fieldsOf({ a: '1' }) }))
        await Promise.all([
          ...Array.from({ length: 10 }, change),
          store.end(tombstoneOf(key)),
          ...Array.from({ length: 10 }, change),
        ])
        assert.equal(await store.read(key), undefined)
      })
    })

    describe('install', () => {
      const version = { incarnation: 2, sequence: 7 }

      it('puts in a whole record and keeps every part of it', async () => {
        const whole = recordOf(randomKey(), {
          version,
          generation: 12,
          pending: true,
          floor: 3,
          retired: [now + 3, now + 2, now + 1],
          user: 'ada',
          startedAt: now - 1,
          createdAt: now - 2,
          lastSeenAt: now - 0.5,
          fields: new Map([['a', { stamp: version, value: null }]]),
          operations: new Map([['__proto__', { count: 2 ** 40, version }], ['b', { count: 1, version: { incarnation: 0, sequence: 1 } }]]), // prettier-ignore
        })
        await store.install(whole)
        assert.deepEqual(await store.read(whole.key), whole)
      })

      it('goes on in the incarnation of an installed record', async () => {
        const whole = recordOf(randomKey(), { version })
        await store.install(whole)
        const result = await store.apply(changeOf(whole.key, { fields: fieldsOf({ a: '1' }) }))
        assert.partialDeepStrictEqual(result, { version: { incarnation: 2, sequence: 8 } })
        assert.deepEqual((await present(whole.key)).fields.get('a')?.stamp, { incarnation: 2, sequence: 8 })
      })

      it('answers an operation that an installed record brought along', async () => {
        const operations = new Map([['elsewhere', { count: 4, version }]])
        const whole = recordOf(randomKey(), { version: { incarnation: 2, sequence: 8 }, operations })
        await store.install(whole)
        const repeated = changeOf(whole.key, {
          operation: { slot: 'elsewhere', count: 4 },
          fields: fieldsOf({ a: '1' }),
        })
        assert.partialDeepStrictEqual(await store.apply(repeated), { outcome: 'applied', version })
        assert.deepEqual(await present(whole.key), whole)
      })

      for (const [title, other, wins] of [
        ['a later sequence', { incarnation: 2, sequence: 8 }, true],
        ['a later incarnation with a lower sequence', { incarnation: 3, sequence: 1 }, true],
        ['the same version', version, false],
        ['an earlier sequence', { incarnation: 2, sequence: 6 }, false],
        ['an earlier incarnation with a higher sequence', { incarnation: 1, sequence: 70 }, false],
      ] as const) {
        it(`${wins ? 'replaces' : 'keeps'} its record where one of ${title} is installed`, async () => {
          const present = recordOf(randomKey(), { version })
          const whole = { ...present, version: other, user: 'ada', fields: new Map() }
          await store.install(present)
          await store.install(whole)
          assert.deepEqual(await store.read(present.key), wins ? whole : present)
        })
      }

      it('does not install a record over a tombstone', async () => {
        const key = await created()
        await store.end(tombstoneOf(key))
        await store.install(recordOf(key, { version }))
        assert.equal(await store.read(key), undefined)
      })

      it('installs a tombstone over a session, over nothing and over a tombstone', async () => {
        for (const key of [await created(), randomKey()]) {
          await store.install(tombstoneOf(key))
          await store.install(tombstoneOf(key))
          assert.equal(await store.read(key), undefined)
          assert.deepEqual(await store.apply(changeOf(key, { create: true })), { outcome: 'gone' })
          assert.equal(await store.end(tombstoneOf(key)), 'gone')
        }
      })
    })

    describe('a record that was read', () => {
      it('stays as it was when the session changes', async () => {
        const key = await created({ a: '1' })
        const record = await present(key)
        const copy = structuredClone(record)
        await store.apply(changeOf(key, { rotate: true, login: { user: 'ada' }, fields: fieldsOf({ a: '2', b: '3' }) }))
        await store.end(tombstoneOf(key))
        assert.deepEqual(record, copy)
      })

      it('is at least of the version that the client has seen', async () => {
        const key = await created()
        const result = await store.apply(changeOf(key, { fields: fieldsOf({ a: '1' }) }))
        assert(result.outcome === 'applied')
        assert.deepEqual((await store.read(key, { atLeast: result.version }))?.version, result.version)
      })
    })

    describe('its life', () => {
      it('is checked while it serves', () => store.check())

      it('closes twice', async () => {
        const another = await open()
        await another.store.close()
        await another.store.close()
        await another.close()
      })

      it('follows the rules through any changes, ends and installs', () => followsTheRules(store))
    })
  })
}
