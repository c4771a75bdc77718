import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { createVisitor, type Visitor } from '../../support/jar.ts'
import { shown } from './app.ts'
import { gate, stage } from './stage.ts'

const name = '__Host-sid'
const user = (data: { userId?: unknown }): string | number | undefined => data.userId as string | number | undefined

const login = (at: Record<string, unknown>, id: unknown): void =>
  void Object.assign(at, { userId: id, role: `of ${String(id)}` })

async function visitorWith(ask: (visitor: Visitor, path: string) => Promise<unknown>, path: string): Promise<Visitor> {
  const visitor = createVisitor()
  await ask(visitor, path)
  return visitor
}

suite('who is logged in is read from the data', () => {
  test('an application that regenerates nothing gets another token all the same; the old one opens nothing', async () => {
    await using app = await stage(
      {
        '/cart': (session, res) => res.json({ cart: (session['cart'] = ['tea']) }),
        '/login': (session, res) => (login(session, 5), res.json({})),
      },
      { user },
    )
    const visitor = await visitorWith(app.ask, '/cart')
    const before = await visitor.clone()
    await app.ask(visitor, '/login')
    assert.notEqual(await visitor.cookie(name), await before.cookie(name))
    assert.deepEqual(await app.show(visitor), { data: { cart: ['tea'], userId: 5, role: 'of 5' }, user: '5' })
    assert.deepEqual(await app.show(before), { data: {}, user: null })
  })

  test('a login by save() too, before the response; and the session knows its user by then', async () => {
    await using app = await stage(
      {
        '/login': (session, res, req) => {
          login(session, 'ada')
          session.save((error) => res.json({ error, user: app.sessions.of(req).user }))
        },
      },
      { user },
    )
    assert.deepEqual((await app.ask(createVisitor(), '/login')).body, { user: 'ada' })
  })

  test('what is in flight under the old token cannot commit into the session of the user', async () => {
    const { arrived, pass, release } = gate()
    await using app = await stage(
      {
        '/cart': (session, res) => res.json({ cart: (session['cart'] = ['tea']) }),
        '/login': (session, res) => (login(session, 'ada'), res.json({})),
        '/slow': async (session, res) => {
          await pass()
          session['cart'] = ['poison']
          res.json({})
        },
      },
      { user },
    )
    const visitor = await visitorWith(app.ask, '/cart')
    const slow = app.ask(await visitor.clone(), '/slow')
    await arrived
    await app.ask(visitor, '/login')
    release()
    const { status, body, cookies } = await slow
    assert.deepEqual([status, body, cookies], [409, { error: 'session_superseded' }, []])
    assert.deepEqual((await app.show(visitor)).data, { cart: ['tea'], userId: 'ada', role: 'of ada' })
  })

  test('another user is another login; nobody is a logout, after which the rest goes on under another token', async () => {
    await using app = await stage(
      {
        '/ada': (session, res) => (login(session, 'ada'), res.json({})),
        '/bob': (session, res) => (login(session, 'bob'), res.json({})),
        '/out': (session, res) => res.json({ deleted: delete session['userId'] }),
      },
      { user },
    )
    const visitor = await visitorWith(app.ask, '/ada')
    const ada = await visitor.clone()
    await app.ask(visitor, '/bob')
    const bob = await visitor.clone()
    assert.deepEqual(await app.show(visitor), { data: { userId: 'bob', role: 'of bob' }, user: 'bob' })
    await app.ask(visitor, '/out')
    assert.deepEqual(await app.show(visitor), { data: { role: 'of bob' }, user: null })
    for (const old of [ada, bob]) assert.deepEqual(await app.show(old), { data: {}, user: null })
  })

  test('two logins at once from one session are two sessions, each with what its own request set', async () => {
    const { arrived, pass, release } = gate()
    await using app = await stage(
      {
        '/secret': (session, res) => res.json({ secret: (session['secret'] = 'of the first') }),
        '/ada': (session, res) => (login(session, 'ada'), res.json({})),
        '/bob': async (session, res) => {
          await pass()
          login(session, 'bob')
          res.json({})
        },
      },
      { user },
    )
    const visitor = await visitorWith(app.ask, '/secret')
    const other = await visitor.clone()
    const slow = app.ask(other, '/bob')
    await arrived
    await app.ask(visitor, '/ada')
    release()
    assert.equal((await slow).status, 200)
    assert.deepEqual(await app.show(visitor), {
      data: { secret: 'of the first', userId: 'ada', role: 'of ada' },
      user: 'ada',
    })
    assert.deepEqual(await app.show(other), { data: { userId: 'bob', role: 'of bob' }, user: 'bob' })
  })

  test('a session whose data named somebody before is not logged in by whoever reads it', async () => {
    await using app = await stage({ '/views': (session, res) => res.json({ views: (session['views'] = 1) }) }, { user })
    const visitor = createVisitor()
    const { cookie } = await app.sessions.issue({ data: { userId: 'ada' } })
    for (const line of cookie.split('; ')) await visitor.setCookie(`${line}; Secure; Path=/`)
    const token = await visitor.cookie(name)
    await Promise.all([app.ask(visitor, '/views'), app.ask(visitor, '/views')])
    assert.equal(await visitor.cookie(name), token)
    assert.deepEqual(await app.show(visitor), { data: { userId: 'ada', views: 1 }, user: null })
  })

  test('a session whose data named somebody before is ended by the logout all the same', async () => {
    await using app = await stage({ '/out': (at, res) => res.json({ deleted: delete at['userId'] }) }, { user })
    const { cookie } = await app.sessions.issue({ data: { userId: 'ada', views: 1 } })
    const ask = async (path: string): Promise<unknown> =>
      (await fetch(`${app.url}${path}`, { headers: { cookie } })).json()
    await ask('/out')
    assert.deepEqual(await ask('/show'), { data: {}, user: null })
  })

  test('who is named by update() or by a save of new code is logged in too, once', async () => {
    await using app = await stage(
      {
        '/update': async (_, res, req) => {
          await app.sessions.of(req).update('userId', () => 'ada')
          res.json({})
        },
        '/login': async (at, res, req) => {
          await app.sessions.of(req).login('ada')
          at['userId'] = 'ada'
          res.json({})
        },
      },
      { user },
    )
    for (const path of ['/update', '/login']) {
      const before = app.sessions.stats().events['login'] ?? 0
      const visitor = await visitorWith(app.ask, path)
      assert.deepEqual(await app.show(visitor), { data: { userId: 'ada' }, user: 'ada' })
      assert.equal(app.sessions.stats().events['login'], before + 1)
    }
  })

  test('what new code logs in by sessions.of(req) stays logged in', async () => {
    await using app = await stage(
      {
        '/old': (at, res) => (login(at, 'bob'), res.json({})),
        '/new': async (_, res, req) => {
          await app.sessions.of(req).login('ada')
          res.json({})
        },
        '/views': (session, res) => res.json({ views: (session['views'] = 1) }),
      },
      { user },
    )
    const visitor = await visitorWith(app.ask, '/old')
    await app.ask(visitor, '/new') // of another user: the data begin anew
    await app.ask(visitor, '/views')
    assert.deepEqual(await app.show(visitor), { data: { views: 1 }, user: 'ada' })
  })

  test('what serializeUser makes: text, a number, an object with such an id; anything else is said at the login', async () => {
    await using app = await stage({
      '/login': (session, res, req) => {
        session['passport'] = { user: JSON.parse(req.query['user'] as string) }
        res.json({})
      },
    })
    for (const [made, known] of [
      ['"ada"', 'ada'],
      ['0', '0'],
      ['{"id":7,"name":"ada"}', '7'],
      ['null', null],
      ['false', null],
    ] as const) {
      const visitor = await visitorWith(app.ask, `/login?user=${made}`)
      assert.equal((await app.show(visitor)).user, known, made)
    }
    const { status, cookies } = await app.ask(createVisitor(), '/login?user={"mail":"a@b.c"}')
    assert.deepEqual([status, cookies], [500, []])
    assert.match(String(app.errors.at(-1)), /TypeError: serializeUser .* user: \(data\) => /)
  })

  test('a user that is no text and no number is said, and not taken for nobody', async () => {
    await using app = await stage({ '/login': (session, res) => (login(session, { id: 1 }), res.json({})) }, { user })
    assert.equal((await app.ask(createVisitor(), '/login')).status, 500)
    assert.match(String(app.errors[0]), /TypeError: .*user\(data\) gives text or a number/)
  })
})

suite('the sessions of a user', () => {
  const routes: Parameters<typeof stage>[0] = {
    '/login': (at, res, req, next) => {
      at.regenerate(() => {
        login(shown(req), 'ada')
        shown(req).save((error) => (error ? next(error) : res.json({})))
      })
    },
  }

  test('are listed with their devices, and end together', async () => {
    await using app = await stage(routes, { user })
    const visitors = [await visitorWith(app.ask, '/login'), await visitorWith(app.ask, '/login')]
    for (const visitor of visitors) await app.show(visitor)
    const clients: string[] = []
    for await (const { client } of app.sessions.list('ada')) clients.push(client)
    assert.deepEqual(clients, ['127.0.0.1 node', '127.0.0.1 node'])
    await app.sessions.revokeUser('ada')
    for (const visitor of visitors) assert.deepEqual(await app.show(visitor), { data: {}, user: null })
  })

  test('are as many as maxSessionsPerUser allows: who is refused is told so and is not logged in', async () => {
    await using app = await stage(routes, { user }, { maxSessionsPerUser: { max: 1, policy: 'refuse' } })
    const first = await visitorWith(app.ask, '/login')
    assert.equal((await app.show(first)).user, 'ada')
    const second = createVisitor()
    const { status, body, cookies } = await app.ask(second, '/login')
    assert.deepEqual([status, body, cookies], [409, { error: 'too_many_sessions' }, []])
    assert.deepEqual(await app.show(second), { data: {}, user: null })
  })
})

/** A slow request that regenerates when another of its session has logged bob in. */
const overtaken = (pass: () => Promise<void>, change: (session: Record<string, unknown>) => void) =>
  ({
    '/cart': (session, res) => res.json({ cart: (session['cart'] = ['tea']) }),
    '/ada': (session, res) => (login(session, 'ada'), res.json({})),
    '/bob': (session, res) => (login(session, 'bob'), res.json({})),
    '/slow': async (session, res, req, next) => {
      await pass()
      session.regenerate((error) => {
        if (error) return next(error)
        assert.equal(shown(req)['cart'], undefined)
        change(shown(req))
        shown(req).save((failure) => (failure ? next(failure) : res.json({})))
      })
    },
  }) satisfies Parameters<typeof stage>[0]

const logsIn = (at: Record<string, unknown>): void => login(at, 'ada')
const writes = (at: Record<string, unknown>): void => void (at['views'] = 1)

suite('regenerate in a request that another login overtook', () => {
  const ada = { userId: 'ada', role: 'of ada' }
  for (const { title, paths, change, status, data } of [
    { title: 'goes on to a login of its own', paths: ['/cart'], change: logsIn, status: 200, data: ada },
    { title: 'of the user who was logged in, too', paths: ['/cart', '/ada'], change: logsIn, status: 200, data: ada },
    { title: 'logs nobody out by an empty session', paths: ['/cart'], change: writes, status: 409, data: {} },
    { title: 'does not answer as if it had logged out', paths: ['/cart'], change: () => {}, status: 409, data: {} },
  ]) {
    test(title, async () => {
      const { arrived, pass, release } = gate()
      await using app = await stage(overtaken(pass, change), { user })
      const visitor = createVisitor()
      for (const path of paths) await app.ask(visitor, path)
      const other = await visitor.clone()
      const slow = app.ask(other, '/slow')
      await arrived
      await app.ask(visitor, '/bob')
      release()
      const answer = await slow
      assert.equal(answer.status, status, String(app.errors))
      if (status === 409) assert.deepEqual(answer.cookies, [])
      assert.deepEqual((await app.show(other)).data, data)
      assert.deepEqual((await app.show(visitor)).data, { cart: ['tea'], userId: 'bob', role: 'of bob' })
    })
  }

  test('and with a token from before it: a logout that did nothing is no success', async () => {
    await using app = await stage(
      {
        '/cart': (session, res) => res.json({ cart: (session['cart'] = ['tea']) }),
        '/ada': (session, res) => (login(session, 'ada'), res.json({})),
        '/logout': (session, res, _, next) => session.regenerate((error) => (error ? next(error) : res.json({}))),
      },
      { user },
    )
    const visitor = await visitorWith(app.ask, '/cart')
    const before = await visitor.clone()
    await app.ask(visitor, '/ada')
    const { status, body, cookies } = await app.ask(before, '/logout')
    assert.deepEqual([status, body, cookies], [409, { error: 'session_superseded' }, []])
    assert.equal((await app.show(visitor)).user, 'ada')
  })
})
