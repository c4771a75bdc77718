import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { Visitor } from '../../support/jar.ts'
import { needs } from '../../support/programs.ts'
import { suiteRedis } from '../../support/redis-suite.ts'
import { balance, get, type MixedFleet, post, startMixedFleet, visitor } from './support.ts'

const COOKIE = 'connect.sid'

/** The identifier in a visitor's old cookie. */
async function idOf(who: Visitor, name = COOKIE): Promise<string> {
  const value = decodeURIComponent((await who.cookie(name)) ?? '')
  return value.replace(/^s:/, '').replace(/\.[^.]*$/, '')
}

const oldKey = async (who: Visitor): Promise<string> => `sess:${await idOf(who)}`

describe('moving in, with old and new servers on one Redis', { skip: needs('redis-server') }, () => {
  const redis = suiteRedis()
  let fleet: MixedFleet
  let oldUrl = ''
  before(async () => {
    fleet = redis.use(await startMixedFleet(redis.url))
    oldUrl = fleet.old[0]?.url ?? ''
  })

  const urlOf = (way: 'both' | 'new', n = 0): string => fleet.new[n]?.urls[way] ?? ''
  const stats = async (): Promise<Record<string, number | undefined>> =>
    ((await (await fetch(`${urlOf('both')}/stats`)).json()) as { events: Record<string, number> }).events

  for (const way of ['both', 'new'] as const) {
    test(`${way}: an old session is taken over with data and login, by all requests of a page at once`, async () => {
      const who = visitor()
      await post(who, oldUrl, '/set?name=cart&value=tea')
      await post(who, oldUrl, '/login?user=ada')
      const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => get(who, urlOf(way, n % 2))))
      assert.equal(new Set(answers.map(({ key }) => key)).size, 1)
      for (const { user, data } of answers) {
        assert.equal(user, 'ada')
        assert.deepEqual(data, { userId: 'ada', cart: 'tea', n: 0 })
      }
      assert.deepEqual((await get(who, oldUrl)).data['cart'], 'tea', 'and the old servers still serve it')
    })

    test(`${way}: with fifty updates at once by one visitor who comes with the old cookie none is lost`, async () => {
      const who = visitor()
      await post(who, oldUrl, '/set?name=cart&value=tea')
      await Promise.all(Array.from({ length: 50 }, (_, n) => post(who, urlOf(way, n % 2), '/add')))
      assert.equal((await get(who, urlOf(way))).data['n'], 50)
      if (way === 'both') assert.equal((await get(who, oldUrl)).data['n'], 50)
    })

    test(`${way}: a logout on a new server is one on the old ones, and one on an old server is one on the new ones`, async () => {
      for (const [there, elsewhere] of [
        [urlOf(way), oldUrl],
        [oldUrl, urlOf(way)],
        [urlOf(way), urlOf(way, 1)],
      ] as const) {
        const who = visitor()
        await post(who, oldUrl, '/login?user=ada')
        assert.equal((await get(who, urlOf(way))).user, 'ada')
        const copy = await who.clone()
        await post(who, there, '/logout')
        for (const each of [who, copy]) {
          const { user = null, data } = await get(each, elsewhere)
          assert.deepEqual([user, data['userId']], [null, undefined])
        }
      }
    })

    test(`${way}: a session that a slow old request saves again after the logout is not taken over again`, async () => {
      const who = visitor()
      await post(who, oldUrl, '/login?user=ada')
      await get(who, urlOf(way))
      const copy = await who.clone()
      const key = await oldKey(who)
      const slow = post(await who.clone(), oldUrl, '/held?name=cart&value=late')
      await fleet.old[0]?.process.receive()
      await post(who, urlOf(way), '/logout')
      await fleet.old[0]?.process.send({ go: true })
      await slow
      assert.equal(await redis.client.exists(key), 1, 'express-session saves it again')
      assert.equal((await get(copy, urlOf(way))).user, null)
      assert.equal(await redis.client.exists(key), 0)
    })

    test(`${way}: after a login on an old server the new ones know the user, and the session of before is dead`, async () => {
      const who = visitor()
      await post(who, oldUrl, '/set?name=cart&value=tea')
      await get(who, urlOf(way))
      const before = await who.clone()
      await post(who, oldUrl, '/login?user=ada')
      const { user, data } = await get(who, urlOf(way))
      assert.deepEqual([user, data['cart']], ['ada', 'tea'])
      assert.deepEqual((await get(before, urlOf(way, 1))).data['cart'], undefined)
    })

    test(`${way}: after a login on a new server what was known before opens nothing, on either kind`, async () => {
      const who = visitor()
      await post(who, oldUrl, '/set?name=cart&value=tea')
      const before = await who.clone()
      await get(who, urlOf(way))
      const between = await who.clone()
      const key = await oldKey(who)
      await post(who, urlOf(way), '/login?user=ada')
      assert.equal(await redis.client.exists(key), 0)
      for (const each of [before, between]) {
        for (const url of [urlOf(way), oldUrl]) {
          const { user = null, data } = await get(await each.clone(), url)
          assert.deepEqual([user, data['userId'], data['cart']], [null, undefined, undefined])
        }
      }
      assert.equal((await get(who, urlOf(way, 1))).user, 'ada')
      if (way === 'both') assert.equal((await get(who, oldUrl)).data['userId'], 'ada')
    })

    test(`${way}: the time to live of the old key decides and not the cookie in it, and follows the new session`, async () => {
      const who = visitor()
      await post(who, oldUrl, '/set?name=cart&value=tea')
      const key = await oldKey(who)
      const old = JSON.parse(String(await redis.client.get(key))) as { cookie: { expires: string } }
      old.cookie.expires = '2020-01-01T00:00:00.000Z'
      await redis.client.set(key, JSON.stringify(old), { EX: 100 })
      assert.equal((await get(await who.clone(), urlOf(way))).data['cart'], 'tea')
      const ttl = await redis.client.ttl(key)
      assert.ok(ttl > 1_700 && ttl <= 1_800, `${ttl} s: the idle timeout`)
      await redis.client.del(key)
      assert.equal((await get(who, urlOf(way))).data['cart'], undefined)
    })

    test(`${way}: a forged old cookie opens nothing and is not asked for in Redis`, async () => {
      const who = visitor()
      await post(who, oldUrl, '/set?name=cart&value=tea')
      const id = await idOf(who)
      const forger = visitor()
      for (const value of [`s:${id}.${'A'.repeat(43)}`, id, `s:${id}`, `s:${id}.`, 's:.x', '%']) {
        await forger.setCookie(`${COOKIE}=${value}; Path=/`)
        assert.equal((await get(forger, urlOf(way))).data['cart'], undefined)
        assert.deepEqual(await forger.cookie('__Host-sid'), undefined)
      }
    })
  }

  test('both: whoever is served by old and new servers in turn keeps login and cart through every step', async () => {
    const { gateway, url } = await balance([
      oldUrl, urlOf('both'), fleet.old[1]?.url ?? '', urlOf('both', 1), urlOf('both'),
    ]) // prettier-ignore
    const who = visitor()
    const kinds = new Set<string>()
    let expected: Record<string, string> = {}
    const check = async (): Promise<void> => {
      for (let n = 0; n < 5; n++) {
        const { kind, data } = await get(who, url)
        kinds.add(kind)
        const { n: _, ...rest } = data
        assert.deepEqual(rest, expected, kind)
      }
    }
    for (let round = 0; round < 4; round++) {
      for (const name of ['cart', 'theme', 'cart', 'note']) {
        const value = `${name}-${round}`
        await post(who, url, `/set?name=${name}&value=${value}`)
        expected = { ...expected, [name]: value }
        await check()
      }
      // The old servers keep the cart alone over a login.
      const { kind } = await post(who, url, '/login?user=ada')
      expected = kind === 'new' ? { ...expected, userId: 'ada' } : { cart: `cart-${round}`, userId: 'ada' }
      await check()
    }
    await post(who, url, '/logout')
    expected = {}
    await check()
    assert.deepEqual([...kinds].toSorted(), ['new', 'old'])
    await gateway.close()
  })

  test('both: after a rollback the old servers have everything, also of who came to a new server first', async () => {
    const who = visitor()
    await post(who, urlOf('both'), '/set?name=cart&value=tea')
    await post(who, urlOf('both'), '/add')
    const first = await get(who, oldUrl)
    assert.deepEqual(first.data, { cart: 'tea', n: 1 })
    await post(who, urlOf('both', 1), '/login?user=ada')
    await post(who, urlOf('both'), '/set?name=theme&value=dark')
    // From here on no new server is asked any more.
    assert.deepEqual((await get(who, oldUrl)).data, { cart: 'tea', n: 1, userId: 'ada', theme: 'dark' })
    await post(who, oldUrl, '/set?name=theme&value=light')
    assert.equal((await get(who, fleet.old[1]?.url ?? '')).data['theme'], 'light')
    // And the next attempt goes on from there.
    assert.deepEqual((await get(who, urlOf('both'))).data, { cart: 'tea', n: 1, userId: 'ada', theme: 'light' })
  })

  test('both: a slow old request that writes back what it read takes nothing back, and its own change is kept', async () => {
    const who = visitor()
    await post(who, oldUrl, '/set?name=cart&value=tea')
    await get(who, urlOf('both'))
    const slow = post(await who.clone(), oldUrl, '/held?name=note&value=slow')
    await fleet.old[0]?.process.receive()
    await post(who, urlOf('both'), '/set?name=cart&value=coffee')
    await post(who, urlOf('both'), '/add')
    await fleet.old[0]?.process.send({ go: true })
    await slow
    assert.equal((await get(who, fleet.old[1]?.url ?? '')).data['cart'], 'tea', 'express-session wrote back the whole')
    const expected = { cart: 'coffee', n: 1, note: 'slow' }
    assert.deepEqual((await get(who, urlOf('both'))).data, expected)
    assert.deepEqual((await get(who, oldUrl)).data, expected, 'and the old side is mended')
  })

  test('both: a slow old request from before the takeover takes nothing back either', async () => {
    const who = visitor()
    await post(who, oldUrl, '/set?name=cart&value=tea')
    const slow = post(await who.clone(), oldUrl, '/held?name=note&value=slow')
    await fleet.old[0]?.process.receive()
    await post(who, urlOf('both'), '/set?name=cart&value=coffee')
    await fleet.old[0]?.process.send({ go: true })
    await slow
    assert.deepEqual((await get(who, urlOf('both'))).data, { cart: 'coffee', n: 0, note: 'slow' })
  })

  test('both: a slow new request keeps its change and what an old server wrote meanwhile', async () => {
    const who = visitor()
    await post(who, oldUrl, '/set?name=cart&value=tea')
    await get(who, urlOf('both'))
    const slow = post(await who.clone(), urlOf('both'), '/held?name=note&value=slow')
    await fleet.new[0]?.process.receive()
    await post(who, oldUrl, '/set?name=cart&value=coffee')
    await fleet.new[0]?.process.send({ go: true })
    await slow
    for (const url of [oldUrl, urlOf('both', 1)]) {
      const { data } = await get(who, url)
      assert.deepEqual(data, { cart: 'coffee', n: 0, note: 'slow' })
    }
  })

  test('both: changes of many requests on old and new servers at once are all kept, each in its field', async () => {
    const who = visitor()
    await post(who, oldUrl, '/set?name=cart&value=tea')
    await get(who, urlOf('both'))
    const work = Array.from({ length: 40 }, (_, n) =>
      n % 2 === 0
        ? post(who, urlOf('both', (n / 2) % 2), '/add')
        : post(who, urlOf('both', n % 3 === 0 ? 1 : 0), `/set?name=f${n}&value=${n}`),
    )
    // One old writer at a time: two at once overwrite each other, as they always did.
    for (let n = 0; n < 5; n++) await post(who, oldUrl, `/set?name=old${n}&value=${n}`)
    await Promise.all(work)
    const { data } = await get(who, urlOf('both'))
    assert.equal(data['n'], 20)
    for (let n = 1; n < 40; n += 2) assert.equal(data[`f${n}`], `${n}`)
    assert.equal(data['old4'], '4')
    assert.deepEqual((await get(who, oldUrl)).data, data)
  })

  test('both: a user that an old server puts into the session, or takes out, without a new identifier is followed', async () => {
    const who = visitor()
    await post(who, oldUrl, '/set?name=cart&value=tea')
    await get(who, urlOf('both'))
    const before = await who.clone()
    await post(who, oldUrl, '/user?user=ada')
    const answers = await Promise.all(Array.from({ length: 6 }, (_, n) => get(who, urlOf('both', n % 2))))
    assert.ok(answers.some(({ user }) => user === 'ada'))
    assert.equal((await get(who, urlOf('both'))).user, 'ada')
    assert.equal((await get(before, urlOf('both'))).user, null, 'the identifier has changed')
    await post(who, oldUrl, '/user')
    const { user, data } = await get(who, urlOf('both'))
    assert.deepEqual([user, data], [null, { cart: 'tea', n: 0 }])
    assert.deepEqual((await get(who, oldUrl)).data, { cart: 'tea', n: 0 })
  })

  test('both: a lost cookie of either kind is given again', async () => {
    const who = visitor()
    await post(who, urlOf('both'), '/set?name=cart&value=tea')
    const { key } = await get(who, urlOf('both'))
    for (const name of [COOKIE, '__Host-sid']) {
      await who.setCookie(`${name}=; Max-Age=0; Path=/; Secure`)
      assert.equal((await get(who, urlOf('both', 1))).key, key)
      assert.notEqual(await who.cookie(name), undefined)
      assert.equal((await get(who, oldUrl)).data['cart'], 'tea')
    }
  })

  test('both: update and revoke outside a request reach the old side', async () => {
    const who = visitor()
    await post(who, urlOf('both'), '/set?name=cart&value=tea')
    const { key } = await get(who, urlOf('both'))
    await post(who, urlOf('both', 1), `/outside?key=${key}`)
    assert.equal((await get(who, oldUrl)).data['n'], 1)
    await post(who, urlOf('both', 1), `/revoke?key=${key}`)
    assert.deepEqual((await get(who, oldUrl)).data, {})
    assert.equal((await get(who, urlOf('both'))).data['cart'], undefined)
  })

  test('an old session that is damaged, foreign or does not fit fails no request, and stays as it is', async () => {
    const before = await stats()
    for (const text of ['{', '[]', 'null', '7', '{"cart":1}', '{"cookie":{},"sojourn:x":1}']) {
      const who = visitor()
      await post(who, oldUrl, '/set?name=cart&value=tea')
      const key = await oldKey(who)
      await redis.client.set(key, text, { EX: 100 })
      for (const way of ['both', 'new'] as const) {
        const { data } = await get(await who.clone(), urlOf(way))
        assert.deepEqual(data, { n: 0 }, text)
        assert.equal(await redis.client.get(key), text)
      }
    }
    const events = await stats()
    assert.equal(events['notMoved'], 6)
    assert.equal(events['changeDropped'], before['changeDropped'], 'nobody had changed anything')
  })

  test('@fastify/session: login, cart and logout go both ways', async () => {
    const who = visitor()
    const fresh = fleet.new[0]?.urls.fastify ?? ''
    const old = fleet.fastify.url
    await post(who, old, '/set?name=cart&value=tea')
    assert.equal((await get(who, fresh)).data['cart'], 'tea')
    await post(who, fresh, '/set?name=cart&value=coffee')
    assert.equal((await get(who, old)).data['cart'], 'coffee')
    await post(who, old, '/login?user=ada')
    assert.equal((await get(who, fresh)).user, 'ada')
    await post(who, fresh, '/login?user=bob')
    assert.deepEqual((await get(who, old)).data, { n: 0, userId: 'bob' })
    await post(who, old, '/logout')
    assert.equal((await get(who, fresh)).user, null)
    await post(who, fresh, '/login?user=eve')
    assert.equal((await get(who, old)).data['userId'], 'eve')
    await post(who, fresh, '/logout')
    assert.deepEqual((await get(who, old)).data, {})
  })
})
