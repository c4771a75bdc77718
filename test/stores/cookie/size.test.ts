import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { suite, test } from 'node:test'
import { parseSetCookie } from 'cookie'
import { SessionTooLargeError } from '../../../src/core/index.ts'
import { withSession } from '../../../src/adapters/node.ts'
import { portOf } from '../../support/ports.ts'
import { cookieStore } from '../../../src/stores/cookie/index.ts'
import { Client, makeSessions, noise } from './support.ts'

/** The most characters of noise that a session keeps in so many cookies. */
async function roomOf(chunks: number, options: object = {}): Promise<number> {
  const { sessions } = makeSessions({ chunks, compress: 'never' }, options)
  let [fits, fails] = [0, 20_000]
  while (fails - fits > 1) {
    const tried = (fits + fails) >> 1
    try {
      await new Client().visit(sessions, (s) => void (s.data['noise'] = noise(tried)))
      fits = tried
    } catch (error) {
      assert(error instanceof SessionTooLargeError)
      fails = tried
    }
  }
  return fits
}

suite('the size of sealed cookies', () => {
  test('no cookie is longer than browsers keep, name and attributes included, and what fits comes back', async () => {
    for (const cookie of [{}, { domain: 'example.org', path: '/app', partitioned: true, name: 'a-very-long-name' }]) {
      for (const chunks of [1, 2, 3]) {
        const room = await roomOf(chunks, { cookie })
        assert(room > chunks * 2_800, `${room} characters in ${chunks} cookies`)
        const { sessions } = makeSessions({ chunks, compress: 'never' }, { cookie })
        for (const length of [room, room - 1, room - 2, room - 3]) {
          const client = new Client()
          const data = { noise: noise(length) }
          const lines = await client.visit(sessions, (s) => void (s.data = data))
          for (const line of lines) assert(Buffer.byteLength(line) <= 4096, `${line.length} characters`)
          assert.equal(lines.length, 1 + chunks)
          assert.deepEqual((await client.look(sessions)).data, data)
        }
      }
    }
  })

  test('one that does not fit is refused at once by update() and at the commit else, and names the largest fields', async () => {
    const { sessions } = makeSessions()
    const client = new Client()
    await client.visit(sessions, (s) => void (s.data['small'] = 'x'))
    const before = client.header
    const tooLarge = {
      code: 'session_too_large',
      status: 413,
      field: 'blob',
      message: /"blob" \(5006 bytes\), "list" \(/,
    }
    const data = { small: 'x', list: [noise(40), noise(40)], blob: noise(5_000), tiny: 1 }
    await assert.rejects(
      client.visit(sessions, (s) => void (s.data = data)),
      tooLarge,
    )
    const updating = client.visit(sessions, (s) => s.update('blob', () => noise(5_000)))
    await assert.rejects(updating, {
      code: 'session_too_large',
      message: /chunks\) have \d+; its largest fields are "blob"/,
    })
    assert.equal(client.header, before)
    assert.deepEqual((await client.look(sessions)).data, { small: 'x' })
  })

  test('too large is answered 413 before any header of the handler is sent, and no cookie is set', async () => {
    const { sessions } = makeSessions()
    const server = createServer(
      withSession(sessions, (request, response) => {
        sessions.of(request).data['blob'] = noise(5_000)
        response.setHeader('x-handler', 'was here')
        response.writeHead(200).end('done')
      }),
    ).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const response = await fetch(`http://127.0.0.1:${portOf(server)}/`)
    assert.deepEqual(
      [response.status, response.headers.getSetCookie(), response.headers.get('x-handler')],
      [413, [], null],
    )
    server.close()
    server.closeAllConnections()
  })

  test('a session that repeats itself is compressed, one that does not is not, and never is with never', async () => {
    const [auto, never] = [makeSessions(), makeSessions({ compress: 'never' })]
    const lengths = async (data: object): Promise<number[]> => {
      const lines = [auto, never].map(async ({ sessions }) => {
        const client = new Client()
        await client.visit(sessions, (s) => void Object.assign(s.data, data))
        assert.deepEqual((await client.look(auto.sessions)).data, data, 'either opens what the other has sealed')
        assert.deepEqual((await client.look(never.sessions)).data, data)
        return client.cookies.get('__Host-sid-d')?.length ?? 0
      })
      return Promise.all(lines)
    }
    const [packed = 0, plain = 0] = await lengths({ text: 'tea and biscuits '.repeat(60) })
    assert(packed < plain / 4, `${packed} and ${plain} characters`)
    const [same = 0, noisy = 0] = await lengths({ text: noise(1_500) })
    assert(same <= noisy, `${same} and ${noisy} characters`)
  })

  test('a session that would expand beyond the bound is refused when it is made', async () => {
    const { sessions } = makeSessions({ chunks: 3 })
    const huge = new Client().visit(sessions, (s) => void (s.data['text'] = ' '.repeat(64 * 1024)))
    await assert.rejects(huge, { code: 'session_too_large', message: /at most 65536; its largest fields are "text"/ })
    await new Client().visit(sessions, (s) => void (s.data['text'] = ' '.repeat(60 * 1024)))
  })

  test('a session that shrinks clears the cookies that it no longer needs, and logout all of them', async () => {
    const { sessions } = makeSessions({ chunks: 3 })
    const client = new Client()
    await client.visit(sessions, (s) => void (s.data['text'] = noise(8_000)))
    assert.deepEqual([...client.cookies.keys()], ['__Host-sid', '__Host-sid-d', '__Host-sid-d1', '__Host-sid-d2'])
    const lines = await client.visit(sessions, (s) => void (s.data['text'] = noise(10)))
    assert.deepEqual([...client.cookies.keys()], ['__Host-sid', '__Host-sid-d'])
    for (const line of lines) assert.match(line, /; Path=\/; .*HttpOnly; Secure; SameSite=Lax$/)
    await client.visit(sessions, (s) => void (s.data['text'] = noise(8_000)))
    const cleared = await client.visit(sessions, (s) => s.logout())
    assert.equal(client.header, '')
    assert(cleared.every((line) => parseSetCookie(line).maxAge === 0))
  })

  test('a store that may use fewer cookies still opens what more hold, and moves its idle end, but keeps no change of it', async () => {
    const client = new Client()
    await client.visit(makeSessions({ chunks: 3 }).sessions, (s) => void (s.data['text'] = noise(8_000)))
    const { sessions, clock } = makeSessions({ chunks: 1 })
    clock.time += 20 * 60_000
    assert.equal((await client.visit(sessions)).length, 3)
    clock.time += 20 * 60_000
    assert.equal((await client.look(sessions)).isNew, false)
    await assert.rejects(
      client.visit(sessions, (s) => void (s.data['a'] = 1)),
      SessionTooLargeError,
    )
  })

  test('options that do not fit are a TypeError that says what fits', () => {
    const wrong: [object, RegExp][] = [
      [{ compress: 'gzip' }, /compress is 'auto' or 'never'/],
      [{ chunks: 0 }, /chunks is a whole number from 1 to 3/],
      [{ chunks: 4 }, /chunks/],
      [{ chunks: 1.5 }, /chunks/],
      [{ chunk: true }, /no option "chunk"; its options are compress, chunks/],
      [{ lease: '2s' }, /lease: '2s'.*at most 1000/],
      [{ feedLostAfter: 0 }, /feedLostAfter/],
      [{ onFeedLost: 'ignore' }, /onFeedLost is 'refuse' or 'accept'/],
      [{ revocations: 'redis' }, /revocations is a store of its own/],
      [{ revocations: cookieStore() }, /revocations is a store of its own/],
    ]
    for (const [options, message] of wrong) {
      assert.throws(() => cookieStore(options), { name: 'TypeError', message }, JSON.stringify(options))
    }
  })
})
