import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { StoreUnavailableError } from '../../../src/core/index.ts'
import { session } from '../../../src/compat/express-session/index.ts'
import { session as nativeSession } from '../../../src/adapters/express.ts'
import { createTestSessions } from '../../../src/testing/index.ts'
import { createTestStore, type TestStore } from '../../adapters/support/store.ts'
import { createVisitor, type Visitor } from '../../support/jar.ts'
import { answerError, express5, serve, shown } from './app.ts'
import { type Stage, stage } from './stage.ts'

/** Every call of this kind fails from now on. */
function fail(store: TestStore, ...names: string[]): void {
  store.before = (name) => {
    if (names.includes(name)) throw new StoreUnavailableError('away')
  }
}

async function visitorOf(app: Stage): Promise<Visitor> {
  const visitor = createVisitor()
  await app.ask(visitor, '/views')
  return visitor
}

const views: Parameters<typeof stage>[0] = {
  '/views': (at, res) => res.json({ views: (at['views'] = Number(at['views'] ?? 0) + 1) }),
}

suite('what fails is told', () => {
  const methods = { save: 'apply', regenerate: 'end', destroy: 'end', reload: 'read' } as const

  for (const [method, call] of Object.entries(methods) as [keyof typeof methods, string][]) {
    test(`${method}: to its callback`, async () => {
      const store = createTestStore()
      await using app = await stage(
        {
          ...views,
          '/': (at, res) => {
            at['more'] = 1
            fail(store, call)
            at[method]((error) => {
              store.before = undefined
              res.json({ code: (error as { code?: unknown } | undefined)?.code })
            })
          },
        },
        {},
        { store },
      )
      const visitor = await visitorOf(app)
      assert.deepEqual((await app.ask(visitor, '/')).body, { code: 'store_unavailable' })
      assert.deepEqual(app.errors, [])
    })

    test(`${method}: without a callback, to the error handlers, and the response is not what the handler sent`, async () => {
      const store = createTestStore()
      await using app = await stage(
        {
          ...views,
          '/': (at, res) => {
            if (method === 'save') at['more'] = 1
            fail(store, call)
            at[method]()
            res.json({ sent: true })
          },
        },
        {},
        { store },
      )
      const visitor = await visitorOf(app)
      const { status, body, cookies } = await app.ask(visitor, '/')
      assert.deepEqual([status, body, cookies], [503, { error: 'store_unavailable' }, []])
      store.before = undefined
      assert.deepEqual((await app.show(visitor)).data, { views: 1 })
    })
  }

  test('save: an application that answers it with an error of its own is heard; one that does not look is not', async () => {
    const store = createTestStore()
    await using app = await stage(
      {
        ...views,
        '/told': (at, _res, _req, next) => {
          at['more'] = 1
          fail(store, 'apply')
          at.save(next)
        },
        '/ignored': (at, res) => {
          at['more'] = 1
          fail(store, 'apply')
          at.save(() => res.redirect('/show'))
        },
      },
      {},
      { store },
    )
    const visitor = await visitorOf(app)
    for (const path of ['/told', '/ignored']) {
      app.errors.length = 0
      const { status, body, cookies } = await app.ask(visitor, path)
      assert.deepEqual([status, body, cookies], [503, { error: 'store_unavailable' }, []], path)
      assert.equal(app.errors.length, 1)
      store.before = undefined
    }
    assert.deepEqual((await app.show(visitor)).data, { views: 1 })
  })

  test('a callback that throws or rejects: to the error handlers, and the process goes on', async () => {
    await using app = await stage({
      '/throw': (at) => {
        at.save(() => {
          throw new Error('thrown')
        })
      },
      '/reject': (at) => {
        at.regenerate(() => Promise.reject(new Error('rejected')))
      },
    })
    assert.deepEqual((await app.ask(createVisitor(), '/throw')).body, { error: 'thrown' })
    assert.deepEqual((await app.ask(createVisitor(), '/reject')).body, { error: 'rejected' })
  })

  test('a value that cannot be kept: to save, and before the response', async () => {
    await using app = await stage({
      '/save': (at, res) => {
        at['when'] = () => 1
        at.save((error) => {
          delete at['when']
          res.json({ code: (error as { code?: string }).code })
        })
      },
      '/commit': (at, res) => {
        at['when'] = () => 1
        res.json({})
      },
    })
    assert.deepEqual((await app.ask(createVisitor(), '/save')).body, { code: 'unstorable_value' })
    assert.equal((await app.ask(createVisitor(), '/commit')).status, 500)
  })

  test('reload of a session that ended meanwhile fails, as there', async () => {
    await using app = await stage({
      ...views,
      '/': async (at, res) => {
        await app.sessions.revoke(at.id)
        at.reload((error) => res.json({ code: (error as { code?: string }).code }))
      },
    })
    assert.deepEqual((await app.ask(await visitorOf(app), '/')).body, { code: 'session_gone' })
  })

  test('a store that is away when the request comes: 503, before any handler', async () => {
    const store = createTestStore()
    await using app = await stage(views, {}, { store })
    const visitor = await visitorOf(app)
    fail(store, 'read')
    assert.equal((await app.ask(visitor, '/views')).status, 503)
  })

  test('a user() that throws: the request fails, and the process goes on', async () => {
    await using app = await stage(views, {
      user: () => {
        throw new Error('no user')
      },
    })
    assert.deepEqual((await app.ask(createVisitor(), '/views')).body, { error: 'no user' })
  })
})

suite('after the response has begun', () => {
  test('an assignment is told by lateChange, and save() writes one', async () => {
    let finished: (() => void) | undefined
    await using app = await stage({
      ...views,
      '/late': (at, res) => {
        res.once('close', () => void (at['late'] = 1))
        res.json({})
      },
      '/saved': (at, res) => {
        res.once('close', () => {
          at['late'] = 2
          at.save(() => finished?.())
        })
        res.json({})
      },
    })
    const visitor = await visitorOf(app)
    const late = new Promise((resolve) => app.sessions.on('lateChange', ({ fields }) => resolve(fields)))
    await app.ask(visitor, '/late')
    assert.deepEqual(await late, ['late'])
    const saved = new Promise<void>((resolve) => void (finished = resolve))
    await app.ask(visitor, '/saved')
    await saved
    assert.deepEqual((await app.show(visitor)).data, { views: 1, late: 2 })
  })

  test('a save() that fails with nobody to tell goes to the error handlers', async () => {
    await using app = await stage({
      '/': (at, res) => {
        res.once('close', () => {
          at['views'] = 1
          at.save()
        })
        res.json({})
      },
    })
    const told = once(app.told, 'error')
    await app.ask(createVisitor(), '/')
    const [error] = (await told) as [{ code: string }]
    assert.equal(error.code, 'headers_sent')
  })
})

suite('wrong uses are TypeErrors that say what to do', () => {
  const sessions = createTestSessions()

  test('options of express-session', () => {
    const advice: Record<string, RegExp> = {
      secret: /createSessions\(\{ secret \}\)/,
      store: /redisStore/,
      name: /cookie: \{ name \}/,
      key: /cookie: \{ name \}/,
      cookie: /idleTimeout/,
      resave: /never written/,
      saveUninitialized: /begins when something is assigned/,
      rolling: /renews idleTimeout/,
      genid: /always random/,
      proxy: /Secure by/,
      unset: /req\.session = null/,
    }
    for (const [name, message] of Object.entries(advice)) {
      assert.throws(() => session(sessions, { [name]: 'x' }), { name: 'TypeError', message }, name)
    }
    assert.throws(() => session({ secret: 'x', resave: false } as never), {
      name: 'TypeError',
      message: /createSessions\(\) returned.*secret: give it to.*resave: leave it out/,
    })
  })

  test('other arguments', () => {
    for (const wrong of [undefined, null, {}]) assert.throws(() => session(wrong as never), { name: 'TypeError' })
    assert.throws(() => session(sessions, { users: () => 'x' } as never), { message: /no option "users".*skip, user/ })
    assert.throws(() => session(sessions, { user: 'userId' } as never), { message: /user is a function/ })
  })

  test('a callback that is none, and methods without their session', async () => {
    await using app = await stage({
      '/': (at, res) => {
        assert.throws(() => at.save('x' as never), { name: 'TypeError', message: /callback/ })
        assert.throws(() => at.destroy('x' as never), { name: 'TypeError', message: /callback/ })
        assert.throws(() => Reflect.apply(Reflect.get(at, 'save') as () => void, {}, []), {
          name: 'TypeError',
          message: /method of req\.session/,
        })
        res.json({})
      },
    })
    assert.equal((await app.ask(createVisitor(), '/')).status, 200, String(app.errors))
  })

  test('twice is once; beside another middleware with a req.session it says so', async () => {
    const app = express5()
    app.set('env', 'test')
    app.use('/twice', session(sessions), session(sessions))
    app.use('/native', nativeSession(sessions), session(sessions))
    app.use('/skipped', session(sessions, { skip: () => true }))
    app.use((req, res) => void res.json({ is: typeof shown(req) }))
    app.use(answerError)
    await using server = await serve(app)
    const ask = async (path: string): Promise<unknown> => (await fetch(`${server.url}${path}`)).json()
    assert.deepEqual(await ask('/twice'), { is: 'object' })
    assert.deepEqual(await ask('/skipped'), { is: 'undefined' })
    assert.match(JSON.stringify(await ask('/native')), /another middleware has set req\.session/)
  })
})
