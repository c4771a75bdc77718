import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, renameSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, it } from 'node:test'
import { CLEANING_MARGIN_MS } from '../../src/core/index.ts'
import { sqliteStore } from '../../src/stores/sqlite/index.ts'
import { loadSqlite } from '../../src/stores/sqlite/load.ts'
import { temporaryFolder } from '../support/folders.ts'
import { changeOf, fieldsOf, inAnHour, now, randomKey, recordOf, tombstoneOf } from './changes.ts'
import { makeSqliteStore, openSqliteStore, temporaryDatabase } from './sqlite-support.ts'

function rowCount(path: string): unknown {
  const database = new DatabaseSync(path)
  const row = database.prepare('SELECT count(*) AS count FROM sessions').get()
  database.close()
  return row?.['count']
}

/** A file as version 1 of the schema had it. */
function createVersion1(path: string, rows: readonly (readonly [key: string, record: string | null])[]): void {
  const database = new DatabaseSync(path)
  database.exec(`
    PRAGMA journal_mode = WAL;
    CREATE TABLE sessions (key TEXT NOT NULL PRIMARY KEY, clean_at REAL NOT NULL, record TEXT) STRICT;
    CREATE INDEX sessions_by_clean_at ON sessions (clean_at);
    PRAGMA application_id = 1399810671;
    PRAGMA user_version = 1;
  `)
  for (const row of rows) {
    database.prepare('INSERT INTO sessions (key, record, clean_at) VALUES (?, ?, ?)').run(...row, inAnHour)
  }
  database.close()
}

describe('sqliteStore over versions', () => {
  it('opens a file of version 1, by several stores at once, and finds the sessions of its users', async () => {
    const path = temporaryDatabase()
    const rest = [now, now, now, inAnHour, [['a', 0, 1, '1']], [['slot', 1, 0, 1]]]
    const record = (user: string | null): string => JSON.stringify([0, 1, 0, 0, 0, [], user, ...rest])
    createVersion1(path, [
      ['of-ada', record('ada')],
      ['of-nobody', record(null)],
      ['ended', null],
      ['damaged', '[0, 1, "ada"'],
    ])
    const stores = await Promise.all(Array.from({ length: 4 }, () => openSqliteStore(path)))
    for (const store of stores) {
      assert.deepEqual(await store.users?.list('ada', { limit: 10 }), { entries: [{ key: 'of-ada', at: now }] })
      assert.equal((await store.read('of-nobody'))?.fields.get('a')?.value, '1')
      assert.equal(await store.read('ended'), undefined)
      await assert.rejects(store.read('damaged'), /is damaged/)
    }
    assert.equal((await stores[0]?.apply(changeOf('of-nobody', { login: { user: 'ada' } })))?.outcome, 'applied')
    const page = await stores[1]?.users?.list('ada', { limit: 10 })
    assert.deepEqual(page?.entries.map(({ key }) => key).toSorted(), ['of-ada', 'of-nobody'])
    for (const store of stores) await store.close()
  })
})

describe('sqliteStore over restarts', () => {
  it('has sessions and ends as they were', async () => {
    const path = temporaryDatabase()
    const [live, ended, never] = [recordOf(randomKey(), { user: 'ada' }), recordOf(randomKey()), randomKey()]
    const first = await openSqliteStore(path)
    for (const record of [live, ended]) await first.install(record)
    await first.end(tombstoneOf(ended.key))
    await first.close()
    const second = await openSqliteStore(path)
    assert.deepEqual(await second.read(live.key), live)
    assert.equal((await second.apply(changeOf(ended.key, { create: true }))).outcome, 'gone')
    assert.equal(await second.read(never), undefined)
    await second.close()
  })

  it('writes its log back and leaves one file when the last store closes', async () => {
    const path = temporaryDatabase()
    const stores = [await openSqliteStore(path), await openSqliteStore(path)]
    for (const store of stores) await store.install(recordOf(randomKey()))
    for (const store of stores) await store.close()
    assert.equal(statSync(`${path}-wal`, { throwIfNoEntry: false }), undefined)
    assert.equal(rowCount(path), 2)
  })

  it('shows at once in one store what another store of the same process wrote', async () => {
    const path = temporaryDatabase()
    const [one, two] = [await openSqliteStore(path), await openSqliteStore(path)]
    const record = recordOf(randomKey())
    await one.install(record)
    assert.deepEqual(await two.read(record.key), record)
    await two.end(tombstoneOf(record.key))
    assert.equal(await one.read(record.key), undefined)
    for (const store of [one, two]) await store.close()
  })

  it('keeps a session that never ends', async () => {
    const store = await openSqliteStore(temporaryDatabase())
    const record = recordOf(randomKey(), { expiresAt: Infinity, retired: [Infinity, now] })
    await store.install(record)
    assert.deepEqual(await store.read(record.key), record)
    await store.close()
  })
})

describe('sqliteStore opens', () => {
  it('a new file that only its owner may read, with its log', async () => {
    const path = temporaryDatabase()
    const store = await openSqliteStore(path)
    await store.install(recordOf(randomKey()))
    for (const file of [path, `${path}-wal`, `${path}-shm`]) assert.equal(statSync(file).mode & 0o777, 0o600, file)
    await store.close()
  })

  it('a path that was relative when the store was made', async () => {
    const path = temporaryDatabase()
    const store = makeSqliteStore({ path: relative(process.cwd(), path), synchronous: 'full' })
    await store.ready()
    await store.install(recordOf(randomKey()))
    await store.close()
    assert.equal(rowCount(path), 1)
  })

  it('nothing before ready, and the file at a later ready when the reason to refuse is gone', async () => {
    const path = join(temporaryFolder(), 'later', 'sessions.db')
    const store = makeSqliteStore({ path })
    await assert.rejects(store.ready(), /its folder .*later does not exist; create it first/)
    await assert.rejects(store.read(randomKey()), { code: 'store_unavailable' })
    mkdirSync(dirname(path))
    await store.ready()
    await store.check()
    await store.close()
    await assert.rejects(store.ready(), { code: 'store_unavailable' })
    await assert.rejects(store.read(randomKey()), { code: 'store_unavailable' })
  })

  it('does not take a link for a new file', async () => {
    const [path, link] = [temporaryDatabase(), temporaryDatabase()]
    const store = await openSqliteStore(path)
    symlinkSync(path, link)
    const linked = await openSqliteStore(link)
    const record = recordOf(randomKey())
    await linked.install(record)
    assert.deepEqual(await store.read(record.key), record)
    for (const each of [linked, store]) await each.close()
  })

  it('node:sqlite without a warning, and warns of other things as before', () => {
    const before: unknown = Reflect.get(process, 'emitWarning')
    assert.equal(loadSqlite().DatabaseSync, DatabaseSync)
    assert.equal(Reflect.get(process, 'emitWarning'), before)
  })
})

describe('sqliteStore refuses', () => {
  const refusals: readonly [string, RegExp, (path: string) => string | void][] = [
    ['a folder', /it is a folder; give a file in it/, (path) => mkdirSync(path)],
    ['a path through a file', /this process must be able to write in/, (path) => {
      writeFileSync(path, '')
      return join(path, 'sessions.db')
    }],
    ['a file of something else', /it is no SQLite database/, (path) => writeFileSync(path, 'Dear diary, '.repeat(1_000))],
    ['a database of another application', /another application; give the sessions a file of their own/, (path) => {
      new DatabaseSync(path).exec('CREATE TABLE sessions (key TEXT)')
    }],
    ['a database with a version of another application', /another application/, (path) => {
      new DatabaseSync(path).exec('PRAGMA user_version = 1')
    }],
  ] // prettier-ignore
  for (const [what, reason, make] of refusals) {
    it(`${what}, says why and leaves it as it was`, async () => {
      const file = temporaryDatabase()
      const path = make(file) ?? file
      const isFile = statSync(file).isFile()
      const before = isFile ? readFileSync(file) : undefined
      const store = makeSqliteStore({ path })
      await assert.rejects(store.ready(), { name: 'StoreUnavailableError', status: 503, message: reason })
      if (isFile) assert.deepEqual(readFileSync(file), before)
      await store.close()
    })
  }

  it('a file that a newer version wrote', async () => {
    const path = temporaryDatabase()
    await (await openSqliteStore(path)).close()
    new DatabaseSync(path).exec('PRAGMA user_version = 3')
    await assert.rejects(
      makeSqliteStore({ path }).ready(),
      /written by a newer version of sojourn .*; update sojourn here/,
    )
  })

  it('a damaged file: at ready or, where the damage lies deeper, at the call that meets it', async () => {
    const path = temporaryDatabase()
    const store = await openSqliteStore(path)
    const keys = Array.from({ length: 200 }, () => randomKey())
    for (const key of keys) await store.install(recordOf(key))
    await store.close()
    truncateSync(path, statSync(path).size / 2)
    const damaged = makeSqliteStore({ path })
    const reading = async (): Promise<void> => {
      await damaged.ready()
      for (const key of keys) await damaged.read(key)
    }
    await assert.rejects(reading(), { code: 'store_unavailable', message: /damaged; restore it, or move it away/ })
    await damaged.close()
  })

  it('a damaged row, without a word of what stands in it', async () => {
    const path = temporaryDatabase()
    const store = await openSqliteStore(path)
    const record = recordOf(randomKey())
    await store.install(record)
    new DatabaseSync(path).exec(`UPDATE sessions SET record = '[secret'`)
    await assert.rejects(store.read(record.key), (error: Error) => {
      assert.match(error.message, new RegExp(`the row of session ${record.key} is damaged`))
      assert.doesNotMatch(`${error.message}${String(error.cause)}`, /secret/)
      return true
    })
    await store.close()
  })

  it('options that do not fit', () => {
    const unfit = [
      {},
      { path: '' },
      { path: ':memory:' },
      { path: 'file:x.db' },
      { path: 5 },
      { path: 'a\0b' },
      { path: 'x', synchronous: 'off' },
      { path: 'x', wal: true },
    ]
    for (const options of unfit)
      assert.throws(() => sqliteStore(options as { path: string }), TypeError, JSON.stringify(options))
    assert.partialDeepStrictEqual(sqliteStore({ path: 'x' }), { name: 'sqlite', shared: true })
  })

  it('to be healthy when its file was taken away or replaced', async () => {
    const path = temporaryDatabase()
    const store = await openSqliteStore(path)
    await store.check()
    renameSync(path, `${path}.old`)
    await assert.rejects(store.check(), /was removed or replaced while it is in use; restart this process/)
    writeFileSync(path, '')
    await assert.rejects(store.check(), /was removed or replaced/)
    await store.close()
  })
})

describe('sqliteStore while another connection holds the file', () => {
  it('reads on, and writes once it is free without blocking the process', async () => {
    const path = temporaryDatabase()
    const store = await openSqliteStore(path)
    const record = recordOf(randomKey())
    await store.install(record)
    const other = new DatabaseSync(path)
    other.exec('BEGIN IMMEDIATE')
    const change = changeOf(record.key, { fields: fieldsOf({ a: '1' }) })
    const writing = [store.apply(change), store.apply(change), store.end(tombstoneOf(randomKey()))]
    assert.deepEqual(await store.read(record.key), record)
    other.exec('ROLLBACK')
    assert.partialDeepStrictEqual(await Promise.all(writing), [{ outcome: 'applied' }, { outcome: 'applied' }, 'gone'])
    assert.equal((await store.read(record.key))?.version.sequence, 2)
    other.close()
    await store.close()
  })

  it('gives up at the deadline, and has applied nothing', async () => {
    const path = temporaryDatabase()
    const store = await openSqliteStore(path, { deadlineMs: 30 })
    const record = recordOf(randomKey())
    await store.install(record)
    const other = new DatabaseSync(path)
    other.exec('BEGIN IMMEDIATE')
    const change = changeOf(record.key, { fields: fieldsOf({ a: '1' }) })
    await assert.rejects(store.apply(change), {
      name: 'StoreTimeoutError',
      code: 'store_timeout',
      message: /nothing was applied/,
    })
    other.exec('ROLLBACK')
    assert.deepEqual(await store.read(record.key), record)
    assert.equal((await store.apply(change)).outcome, 'applied')
    other.close()
    await store.close()
  })

  it('does not wait for it when it was closed meanwhile', async () => {
    const path = temporaryDatabase()
    const store = await openSqliteStore(path)
    const other = new DatabaseSync(path)
    other.exec('BEGIN IMMEDIATE')
    const writing = store.apply(changeOf(randomKey(), { create: true }))
    await Promise.all([assert.rejects(writing, { code: 'store_unavailable' }), store.close()])
    other.close()
  })
})

describe('sqliteStore cleans', () => {
  it('rows whose time is over, some with each of many writes, and no others', async () => {
    const path = temporaryDatabase()
    const clock = { time: now, now: () => clock.time }
    const store = await openSqliteStore(path, { clock })
    for (let index = 0; index < 300; index += 1) await store.install(recordOf(randomKey()))
    const [kept, busy] = [recordOf('kept', { expiresAt: inAnHour + 1 }), recordOf('busy', { expiresAt: Infinity })]
    await store.install(kept)
    for (const key of ['a', 'b']) await store.end({ key, endedAt: now, forgetAt: inAnHour })
    for (const wait of [1, 0])
      await store.end({ key: 'a', endedAt: now, forgetAt: inAnHour + CLEANING_MARGIN_MS + wait })
    clock.time = inAnHour + CLEANING_MARGIN_MS
    for (let sequence = 1; sequence <= 128; sequence += 1) {
      await store.install({ ...busy, version: { incarnation: 0, sequence } })
    }
    assert.equal(rowCount(path), 3)
    assert.deepEqual(await store.read('kept'), kept)
    assert.equal((await store.apply(changeOf('a', { create: true }))).outcome, 'gone')
    assert.equal((await store.apply(changeOf('b', { create: true }))).outcome, 'applied')
    await store.close()
  })
})
