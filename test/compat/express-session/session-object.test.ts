import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { inspect, promisify } from 'node:util'
import { createVisitor } from '../../support/jar.ts'
import { shown } from './app.ts'
import { stage } from './stage.ts'

suite('req.session', () => {
  test('is a plain object to whoever lists, copies, prints or asks it, with the cookie and without the methods', async () => {
    await using app = await stage({
      '/': (session, res) => {
        Object.assign(session, { views: 1, at: new Date(0), toString2: 'x' })
        Object.defineProperty(session, 'defined', { value: 1, enumerable: true, writable: true, configurable: true })
        delete session['toString2']
        const { cookie, ...copy } = session
        const listed: string[] = []
        for (const name in session) listed.push(name)
        const json = Object.keys(JSON.parse(JSON.stringify(session)) as object)
        assert.deepEqual(copy, { views: 1, at: new Date(0), defined: 1 })
        for (const names of [listed, json, Object.keys(session)])
          assert.deepEqual(names, ['cookie', 'views', 'at', 'defined'])
        const asked = [
          'views' in session,
          'save' in session,
          'cookie' in session,
          'none' in session,
          Object.hasOwn(session, 'views'),
        ]
        assert.deepEqual(asked, [true, true, true, false, true])
        assert.match(inspect(session), /views: 1/)
        assert.equal(Object.prototype.toString.call(session), '[object Object]')
        assert.equal(session['none'], undefined)
        assert.equal(Object.keys(cookie).length, 0)
        res.json({})
      },
    })
    assert.equal((await app.ask(createVisitor(), '/')).status, 200, inspect(app.errors))
  })

  test('keeps values exactly, and names like __proto__ harmlessly', async () => {
    await using app = await stage({
      '/set': (session, res) => {
        Object.assign(session, { at: new Date(5), tags: new Set(['a']), ['constructor']: 'mine' })
        Object.defineProperty(session, '__proto__', { value: { isAdmin: true } })
        res.json({})
      },
      '/get': (session, res) => {
        assert.deepEqual(
          [session['at'], session['tags'], session['constructor']],
          [new Date(5), new Set(['a']), 'mine'],
        )
        assert.equal(session['isAdmin'], undefined)
        res.json({})
      },
    })
    const visitor = createVisitor()
    await app.ask(visitor, '/set')
    assert.equal((await app.ask(visitor, '/get')).status, 200, inspect(app.errors))
  })

  test('has an id that is the key of the session and no credential; req.sessionID is the same', async () => {
    await using app = await stage({
      '/': (session, res, req) => {
        session['views'] = 1
        res.json({
          id: session.id,
          sessionID: (req as { sessionID?: string }).sessionID,
          key: app.sessions.of(req).key,
        })
      },
    })
    const visitor = createVisitor()
    const { body, cookies } = await app.ask(visitor, '/')
    const { id, sessionID, key } = body as Record<string, string>
    assert.deepEqual([id, sessionID], [key, key])
    assert.ok(!cookies.join().includes(String(key)))
    assert.deepEqual((await app.sessions.get(String(key)))?.data, { views: 1 })
  })

  test('keeps its own names from the data, and lets middleware wrap a method', async () => {
    await using app = await stage({
      '/': (session, res) => {
        for (const name of ['id', 'req', 'save']) {
          assert.throws(() => Object.assign(session, { [name]: 'x' }), {
            name: 'TypeError',
            message: new RegExp(`req.session.${name} `),
          })
        }
        const save = session.save.bind(session)
        let wrapped = 0
        session.save = (callback) => {
          wrapped += 1
          return save(callback)
        }
        Object.assign(session, { [Symbol('mark')]: 1 })
        session.save((error) => res.json({ error, wrapped, names: Object.keys(session) }))
      },
    })
    assert.deepEqual((await app.ask(createVisitor(), '/')).body, { wrapped: 1, names: ['cookie'] })
  })

  test('hides fields that have its own names', async () => {
    await using app = await stage({
      '/': (session, res) => res.json({ names: Object.keys(session), id: session.id, save: typeof session.save }),
    })
    const { cookie, key } = await app.sessions.issue({ data: { id: 1, save: 'x', cookie: 'x', views: 1 } })
    const response = await fetch(`${app.url}/`, { headers: { cookie } })
    assert.deepEqual(await response.json(), { names: ['cookie', 'views'], id: key, save: 'function' })
  })

  test('tells the end of the session by its cookie, of which nothing can be set', async () => {
    await using app = await stage({
      '/': (session, res) => {
        const { cookie } = session
        assert.equal(cookie.originalMaxAge, 30 * 60_000)
        assert.ok(cookie.maxAge <= 30 * 60_000)
        assert.equal(cookie.httpOnly, true)
        for (const name of [
          'maxAge',
          'originalMaxAge',
          'expires',
          'httpOnly',
          'path',
          'domain',
          'secure',
          'sameSite',
          'partitioned',
          'priority',
        ]) {
          assert.throws(() => Object.assign(cookie, { [name]: false }), {
            name: 'TypeError',
            message: new RegExp(`cookie.${name} cannot`),
          })
        }
        assert.throws(() => Object.assign(session, { cookie: { maxAge: 5 } }), {
          name: 'TypeError',
          message: /createSessions/,
        })
        Object.assign(session, { cookie }) // as Passport's keepSessionInfo does
        assert.equal(session.touch().resetMaxAge(), session)
        res.json({ cookie })
      },
    })
    const { body, status } = await app.ask(createVisitor(), '/')
    assert.equal(status, 200, inspect(app.errors))
    assert.deepEqual(Object.keys((body as { cookie: object }).cookie), ['originalMaxAge', 'expires', 'httpOnly'])
  })

  test('an old one keeps what it had, and saves nothing', async () => {
    await using app = await stage({
      '/': async (session, res, req) => {
        const { id } = session
        Object.assign(session, { views: 1, list: ['a'] })
        await promisify(session.save.bind(session))()
        await promisify(session.regenerate.bind(session))()
        Object.assign(session, { late: 1 })
        const { cookie: _, ...old } = session
        assert.deepEqual(
          [old, session.id === id, shown(req).id === id],
          [{ views: 1, list: ['a'], late: 1 }, true, false],
        )
        await assert.rejects(promisify(session.save.bind(session))(), { code: 'session_gone' })
        await assert.rejects(promisify(session.reload.bind(session))(), { code: 'session_gone' })
        shown(req)['fresh'] = true
        res.json({})
      },
    })
    const visitor = createVisitor()
    assert.equal((await app.ask(visitor, '/')).status, 200, inspect(app.errors))
    assert.deepEqual((await app.show(visitor)).data, { fresh: true })
  })

  test('is gone after destroy(); null ends it; another object is refused', async () => {
    await using app = await stage({
      '/views': (session, res) => res.json({ views: (session['views'] = 1) }),
      '/destroy': (session, res, req) => {
        session.destroy()
        assert.equal('session' in req, false)
        res.json({})
      },
      '/null': (_, res, req) => {
        Object.assign(req, { session: null })
        assert.equal(req.session, null)
        res.json({})
      },
      '/delete': (_, res, req) => (Reflect.deleteProperty(req, 'session'), res.json({})),
      '/other': (_, res, req) => {
        assert.throws(() => Object.assign(req, { session: { views: 2 } }), {
          name: 'TypeError',
          message: /assign its properties/,
        })
        res.json({})
      },
    })
    for (const path of ['/destroy', '/null', '/delete', '/other']) {
      const visitor = createVisitor()
      await app.ask(visitor, '/views')
      const copy = await visitor.clone()
      assert.equal((await app.ask(visitor, path)).status, 200, inspect(app.errors))
      const isKept = path === '/other'
      assert.deepEqual((await app.show(copy)).data, isKept ? { views: 1 } : {}, path)
      assert.equal((await visitor.cookies()).length > 0, isKept, path)
    }
  })

  test('keeps concurrent changes of different fields, which express-session loses', async () => {
    await using app = await stage({
      '/add': (session, res, req) => {
        session[req.query['name'] as string] = true
        res.json({})
      },
    })
    const visitor = createVisitor()
    await app.ask(visitor, '/add?name=a')
    const names = Array.from({ length: 20 }, (_, index) => `field${index}`)
    await Promise.all(names.map((name) => app.ask(visitor, `/add?name=${name}`)))
    assert.deepEqual(Object.keys((await app.show(visitor)).data as object).toSorted(), ['a', ...names].toSorted())
  })

  test('takes initial() for a new session and after regenerate', async () => {
    await using app = await stage(
      {
        '/': (session, res, req) => {
          session['views'] = 5
          session.regenerate(() => res.json({ views: shown(req)['views'] }))
        },
      },
      {},
      { initial: () => ({ views: 0 }) },
    )
    assert.deepEqual((await app.ask(createVisitor(), '/')).body, { views: 0 })
  })
})
