import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { suite, test } from 'node:test'
import { createRandom } from '../../../src/laws/random.ts'
import { type Store, StoreUnavailableError, type UserEntry, type UserSessions } from '../../../src/core/index.ts'
import { startNode } from '../../support/processes.ts'
import { changeOf, now, randomKey, recordOf, tombstoneOf } from '../changes.ts'
import type { OpenStore } from '../contract.ts'
import { usersContract } from '../users-contract.ts'
import { Mesh, type MeshNode, secret, whenServed } from './mesh-support.ts'

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
console.log(`seed ${seed} (SEED=${seed} runs it again)`)

usersContract('a mesh of three, each call at another node,', openSpread, 'records')

/** A store whose every call goes to another node, but for listings, which a node goes on with. */
async function openSpread(): Promise<OpenStore> {
  const mesh = await Mesh.start(3)
  let calls = 0
  const next = (): MeshNode => mesh.nodes[calls++ % 3] as MeshNode
  const users: UserSessions = {
    enter: (login) => next().users.enter(login),
    settle: (login, epoch) => next().users.settle(login, epoch),
    advance: (user) => next().users.advance(user),
    list: (user, options) => (mesh.nodes[0] as MeshNode).users.list(user, options),
    seat: (login, max) => next().users.seat(login, max),
    seated: (user, limit) => next().users.seated(user, limit),
  }
  const store: Store = {
    users,
    ready: async () => {},
    read: (key, options) => next().store.read(key, options),
    apply: (change) => next().store.apply(change),
    end: (end) => next().store.end(end),
    install: (whole) => next().store.install(whole),
    check: async () => {},
    close: async () => {},
  }
  return { store, close: () => mesh[Symbol.asyncDispose]() }
}

async function listed({ users }: MeshNode, user: string, limit = 1_000): Promise<UserEntry[]> {
  const entries: UserEntry[] = []
  for (let after: string | undefined; ;) {
    const page = await users.list(user, { limit, ...(after === undefined ? {} : { after }) })
    entries.push(...page.entries)
    if (page.next === undefined) return entries
    after = page.next
  }
}

const keysOf = (entries: readonly UserEntry[]): string[] => entries.map(({ key }) => key).toSorted()

/** Logs in as the engine does. Resolves whether the login stands. */
async function login(
  { store, users }: MeshNode,
  user: string,
  key: string = randomKey(),
  onEntered: () => void = () => {},
): Promise<boolean> {
  const entered = { user, key, at: Date.now() }
  const epoch = await users.enter(entered)
  onEntered()
  const result = await store.apply(changeOf(key, { create: true, login: { user } }))
  if (result.outcome === 'gone') return false // it was ended before the mesh had answered, and the change was sent again
  assert.equal(result.outcome, 'applied')
  if (await users.settle(entered, epoch)) return true
  await store.end(tombstoneOf(key))
  return false
}

/** Ends all sessions of a user as the engine does. */
async function revokeUser(node: MeshNode, user: string): Promise<void> {
  await node.users.advance(user)
  const entries = await listed(node, user, 7)
  await Promise.all(
    entries.map(async ({ key }) => {
      const record = await node.store.read(key, { fresh: true })
      if (record?.user === user) await node.store.end(tombstoneOf(key))
    }),
  )
}

suite('the sessions of a user in a mesh', () => {
  test('are found from every node, while nodes join, leave and are lost', async () => {
    const user = randomUUID()
    await using mesh = await Mesh.start(3, { places: 5 })
    const keys = Array.from({ length: 60 }, randomKey)
    for (const [index, key] of keys.entries()) {
      await mesh.nodes[index % 3]?.store.install(recordOf(key, { user }))
      await mesh.nodes[index % 3]?.store.install(recordOf(randomKey(), { user: `${user}${index % 2}` }))
    }
    const changing = new AbortController()
    let listings = 0
    const listAll = async (): Promise<void> => {
      while (!changing.signal.aborted) {
        for (const node of mesh.nodes.slice()) {
          const found = await whenServed(() => listed(node, user)).catch((error: unknown) => {
            if (mesh.nodes.includes(node)) throw error // it was taken away
          })
          if (found) assert.deepEqual(keysOf(found), keys.toSorted())
          listings += 1
        }
      }
    }
    const change = async (): Promise<void> => {
      await mesh.join()
      await mesh.lose(mesh.nodes[1] as MeshNode, 'gracefully')
      await mesh.join()
      await mesh.lose(mesh.nodes[0] as MeshNode)
      for (const node of mesh.nodes) await whenServed(() => listed(node, user))
    }
    await Promise.all([listAll(), change().finally(() => changing.abort())])
    assert.ok(listings > 0)
  })

  test('are all ended by who ends them, and no login that began before comes through, while a node joins and another is lost', async () => {
    const random = createRandom(seed)
    const user = randomUUID()
    await using mesh = await Mesh.start(3, { places: 4 })
    /** When each login that stands had entered, by a clock that counts what happens. */
    const stands = new Map<string, number>()
    let clock = 0
    const over = new AbortController()
    const counts = { stands: 0, refused: 0, failed: 0, revoked: 0 }

    const loginAgain = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const key = randomKey()
        let at = 0
        try {
          if (!(await login(random.of(mesh.nodes), user, key, () => (at = clock += 1)))) counts.refused += 1
          else {
            stands.set(key, at)
            counts.stands += 1
          }
        } catch (error) {
          if (!(error instanceof StoreUnavailableError)) throw error
          counts.failed += 1 // nobody was given its token
        }
      }
    }
    const revokeAgain = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const began = (clock += 1)
        try {
          await revokeUser(random.of(mesh.nodes), user)
        } catch (error) {
          if (!(error instanceof StoreUnavailableError)) throw error
          continue
        }
        counts.revoked += 1
        for (const [key, at] of stands) {
          if (at > began) continue
          stands.delete(key)
          const node = random.of(mesh.nodes)
          const left = await whenServed(() => node.store.read(key)).catch((error: unknown) => {
            if (mesh.nodes.includes(node)) throw error
          })
          assert.equal(
            left,
            undefined,
            `a login that had entered at ${at} is there after all was ended from ${began} on`,
          )
        }
      }
    }
    const change = async (): Promise<void> => {
      const until = async (count: number): Promise<void> => {
        const target = counts.revoked + count
        while (counts.revoked < target) await whenServed(() => listed(random.of(mesh.nodes), user))
      }
      await until(5)
      await mesh.join()
      await until(5)
      await mesh.lose(mesh.nodes[0] as MeshNode)
      await until(5)
    }
    await Promise.all(
      [change(), loginAgain(), loginAgain(), loginAgain(), revokeAgain()].map((work) =>
        work.finally(() => over.abort()),
      ),
    )
    console.log(counts)
    assert.ok(counts.stands > 0 && counts.refused > 0, JSON.stringify(counts))
  })

  test('come in parts that are no longer than asked for, each once, where there are very many', async () => {
    const user = randomUUID()
    await using mesh = await Mesh.start(2, { copies: 1 })
    const [node] = mesh.nodes
    assert.ok(node)
    const keys = Array.from({ length: 12_000 }, randomKey)
    for (let from = 0; from < keys.length; from += 500)
      await Promise.all(
        keys.slice(from, from + 500).map((key, index) => {
          const startedAt = now + (((from + index) * 7919) % 12_000)
          return node.store.install(recordOf(key, { user, startedAt, fields: new Map(), operations: new Map() }))
        }),
      )
    const entries = await listed(node, user, 999)
    assert.deepEqual(keysOf(entries), keys.toSorted())
    const first = await node.users.list(user, { limit: 1_000 })
    assert.deepEqual(
      first.entries,
      first.entries.toSorted((a, b) => b.at - a.at),
    )
    const again = first.next ?? ''
    const [second, same] = await Promise.all([1, 2].map(() => node.users.list(user, { limit: 1_000, after: again })))
    assert.deepEqual(second, same)
    assert.equal(
      second?.entries.some(({ key }) => first.entries.some((entry) => entry.key === key)),
      false,
    )
    const anew = await node.users.list(user, { limit: 1_000, after: 'what a node before it said' })
    assert.equal(anew.entries.length, 1_000)
  })
})

test('while a node of version 1.0 is in the mesh nobody is told a part, and logins go on', async () => {
  await using mesh = await Mesh.start(0, { places: 2 })
  const [port, oldPort] = mesh.ports
  const options = {
    store: { listen: { host: '127.0.0.1', port: oldPort }, peers: [`127.0.0.1:${port}`] },
    secrets: [secret],
  }
  const old = startNode(new URL('wire/fleet-worker.ts', import.meta.url), {
    args: [JSON.stringify(options)],
    execArgv: ['--import', new URL('wire/earlier-minor.ts', import.meta.url).href],
  })
  const started = (async () => {
    for (let report: unknown; !(report instanceof Object && 'url' in report);) report = await old.receive()
  })()
  const [node] = await Promise.all([mesh.join(), started])
  const user = randomUUID()
  assert.equal(await whenServed(() => login(node, user)), true)
  await assert.rejects(listed(node, user), { code: 'store_unavailable', message: /update it/ })
  await whenServed(() => node.users.advance(user))
  assert.equal(await login(node, user), true)
  await old.send({ stop: true }).catch(() => {}) // it may be gone
  await old.exited
  assert.equal((await whenServed(() => listed(node, user))).length, 2)
})

suite('what a mesh keeps of a user beside his sessions', { concurrency: true }, () => {
  test('is no session, takes no place of one, and a full mesh takes it all the same', async () => {
    await using mesh = await Mesh.start(2, { maxSessions: 1 })
    const [node] = mesh.nodes
    assert.ok(node)
    const user = randomUUID()
    await node.users.advance(user)
    assert.equal(await login(node, user), true)
    await assert.rejects(login(node, user), { code: 'store_full' })
    await node.users.advance(randomUUID())
    assert.equal((await listed(node, user)).length, 1)
    assert.deepEqual(await listed(node, ''), [])
  })

  test('survives the loss of a node: who entered before is refused, and seats stay taken', async () => {
    await using mesh = await Mesh.start(3)
    const users = Array.from({ length: 12 }, () => randomUUID())
    const entered = await Promise.all(
      users.map(async (user) => {
        const seated = { user, key: randomKey(), at: now }
        assert.equal(await login(mesh.nodes[0] as MeshNode, user, seated.key), true)
        assert.equal(await mesh.nodes[0]?.users.seat(seated, 1), true)
        const late = { user, key: randomKey(), at: now }
        const epoch = (await mesh.nodes[1]?.users.enter(late)) ?? ''
        await mesh.nodes[0]?.users.advance(user)
        return { late, epoch, seated }
      }),
    )
    await mesh.lose(mesh.nodes[0] as MeshNode)
    const node = mesh.nodes[0] as MeshNode
    for (const { late, epoch, seated } of entered) {
      assert.equal(await whenServed(() => node.users.settle(late, epoch)), false)
      assert.equal(await whenServed(() => node.users.seat(late, 1)), false)
      const seats: readonly UserEntry[] = await whenServed(() => node.users.seated(late.user, 5))
      assert.deepEqual(keysOf(seats), [seated.key])
    }
  })

  test('is found again where its time was over and it was not cleaned away yet', async () => {
    let ahead = 0
    const clock = { now: (): number => Date.now() + ahead }
    await using mesh = await Mesh.start(2, { context: { clock, absoluteTimeoutMs: 1_000 } })
    const [node] = mesh.nodes
    assert.ok(node)
    const user = randomUUID()
    const entered = { user, key: randomKey(), at: now }
    await node.users.advance(user)
    const before: string = await node.users.enter(entered)
    ahead = 24 * 3_600_000 + 5_000
    await node.users.advance(user)
    assert.notEqual(await node.users.enter(entered), before)
  })
})
