import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { type AffinityServer, ipHash, roundRobin } from '../../src/affinity/index.ts'

const three = [{ name: 'a' }, { name: 'b' }, { name: 'c' }]

suite('client addresses', () => {
  const affinity = ipHash(Array.from({ length: 97 }, (_, index) => ({ name: `s${index}` })))
  const choose = (clientIp: string): string | undefined => affinity.choose(clientIp)?.name

  test('every text form of an IPv6 address reaches the same server', () => {
    const forms = [
      ['2001:db8::1', '2001:DB8:0:0:0:0:0:1', '2001:0db8:0000::0001', '2001:db8::0.0.0.1', '2001:db8::1%eth0'],
      ['::ffff:1.2.3.4', '::ffff:102:304', '0:0:0:0:0:ffff:1.2.3.4', '::FFFF:0102:0304'],
      ['::', '0::0', '0:0:0:0:0:0:0:0', '::0.0.0.0', '0::', '::0'],
      ['fe80::1', 'fe80::1%lo', 'fe80:0::0:1%25'],
      ['1::', '1:0:0:0:0:0:0:0', '1::0:0'],
    ]
    for (const [first = '', ...others] of forms) {
      for (const other of others) assert.equal(choose(other), choose(first), `${other} and ${first}`)
    }
  })

  test('random IPv6 addresses, compressed as URL does it, reach the same server as written out', () => {
    const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }))
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const long = groups.map((value) => value.toString(16).padStart(4, '0')).join(':')
        const short = new URL(`http://[${long}]/`).hostname.slice(1, -1)
        assert.equal(choose(short), choose(long))
      }),
      { verbose: true },
    )
  })

  test('a mapped address counts as IPv6, the last octet of an IPv4 one does not count', () => {
    const isSame = Array.from(
      { length: 50 },
      (_, index) => choose(`10.0.${index}.1`) === choose(`::ffff:10.0.${index}.1`),
    )
    assert.ok(isSame.includes(false))
    assert.equal(choose('10.1.2.3'), choose('10.1.2.250'))
  })

  test('a client on a Unix socket counts as 0.0.0.0', () => {
    assert.equal(choose('unix:'), choose('0.0.0.0'))
    assert.equal(choose('unix:/run/app.sock'), choose('0.0.0.0'))
  })

  test('what is no address is refused with what to do', () => {
    for (const bad of ['', 'unknown', '1.2.3', '1.2.3.4:80', '[::1]', '01.2.3.4', '1.2.3.4 ', '::g', '1.2.3.4%eth0']) {
      assert.throws(() => affinity.choose(bad), { name: 'TypeError', message: /must be an IPv4 or IPv6 address/ }, bad)
      assert.throws(() => affinity.begin(bad), TypeError, bad)
    }
    assert.throws(() => Reflect.apply(choose, undefined, [undefined]), TypeError)
  })
})

suite('servers', () => {
  const bad: [string, unknown, RegExp][] = [
    ['none', [], /at least one server/],
    ['no list', undefined, /at least one server/],
    ['a name twice', [{ name: 'a' }, { name: 'a' }], /"a" twice/],
    ['no name', [{}], /needs a name/],
    ['weight 0', [{ name: 'a', weight: 0 }], /weight of server "a"/],
    ['weight 1.5', [{ name: 'a', weight: 1.5 }], /weight of server "a"/],
    ['weight as text', [{ name: 'a', weight: '2' }], /weight of server "a"/],
    ['maxFails -1', [{ name: 'a', maxFails: -1 }], /maxFails of server "a"/],
    ['failTimeout of half a second', [{ name: 'a', failTimeout: 500 }], /whole seconds/],
  ]
  for (const [title, servers, message] of bad) {
    test(`${title}: refused with what to do`, () => {
      assert.throws(() => Reflect.apply(ipHash, undefined, [servers]), { name: 'TypeError', message })
      assert.throws(() => Reflect.apply(roundRobin, undefined, [servers]), { name: 'TypeError', message })
    })
  }

  test('the chosen server is the given object', () => {
    const servers = [{ name: 'a', url: 'http://127.0.0.1:1' }]
    assert.equal(ipHash(servers).choose('127.0.0.1'), servers[0])
  })
})

suite('walks', () => {
  test('every server that is not down is offered once, and then none', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ weight: fc.integer({ min: 1, max: 9 }), down: fc.boolean() }), { minLength: 1 }),
        fc.ipV4(),
        (specs, clientIp) => {
          const servers: AffinityServer[] = specs.map((spec, index) => ({ name: `s${index}`, ...spec }))
          for (const affinity of [ipHash(servers), roundRobin(servers)]) {
            const offered = new Set<string>()
            const walk = affinity.begin(clientIp)
            for (let server = walk.next(); server; server = walk.next()) {
              assert.ok(!offered.has(server.name) && !server.down)
              offered.add(server.name)
              walk.failed()
            }
            assert.equal(offered.size, servers.filter(({ down }) => !down).length)
            assert.equal(walk.next(), undefined)
          }
        },
      ),
      { verbose: true },
    )
  })

  test('a failed server is left alone for failTimeout whole seconds and then tried once', () => {
    let nowMs = 5_000_400
    const affinity = ipHash([{ name: 'a', failTimeout: 2000 }, { name: 'b' }], { now: () => nowMs })
    const clientIp = Array.from({ length: 99 }, (_, index) => `10.${index}.0.1`).find(
      (address) => affinity.choose(address)?.name === 'a',
    )
    assert.ok(clientIp)
    const walk = affinity.begin(clientIp)
    assert.equal(walk.next()?.name, 'a')
    walk.failed()
    assert.equal(walk.next()?.name, 'b')
    walk.succeeded()
    nowMs += 2599
    assert.equal(affinity.choose(clientIp)?.name, 'b', 'from second 5000 to second 5002 are not more than two')
    nowMs += 1
    const probe = affinity.begin(clientIp)
    assert.equal(probe.next()?.name, 'a')
    assert.equal(affinity.choose(clientIp)?.name, 'b', 'nobody else goes there while one tries')
    probe.succeeded()
    assert.equal(affinity.choose(clientIp)?.name, 'a')
  })

  test('a success that began before a failure does not clear it', () => {
    const affinity = roundRobin([{ name: 'a' }, { name: 'b' }])
    const early = affinity.begin()
    assert.equal(early.next()?.name, 'a')
    assert.equal(affinity.choose()?.name, 'b')
    const late = affinity.begin()
    assert.equal(late.next()?.name, 'a')
    late.failed()
    early.succeeded()
    const after = Array.from({ length: 9 }, () => affinity.choose()?.name)
    assert.deepEqual(new Set(after), new Set(['b']))
  })

  test('a lone server is offered however often it failed', () => {
    for (const affinity of [ipHash([{ name: 'a' }]), roundRobin([{ name: 'a' }])]) {
      for (let index = 0; index < 5; index += 1) {
        const walk = affinity.begin('127.0.0.1')
        assert.equal(walk.next()?.name, 'a')
        walk.failed()
        assert.equal(walk.next(), undefined)
      }
    }
  })

  test('maxFails failures are needed, and 0 never counts', () => {
    const affinity = roundRobin([
      { name: 'a', maxFails: 3 },
      { name: 'b', maxFails: 0, weight: 9 },
    ])
    const counts = { a: 0, b: 0 }
    for (let index = 0; index < 200; index += 1) {
      const walk = affinity.begin()
      const name = walk.next()?.name
      if (name === 'a') counts.a += 1
      if (name === 'b') counts.b += 1
      walk.failed()
    }
    assert.deepEqual(counts, { a: 3, b: 197 })
  })

  test('setDown() moves the clients of that server and no others, and back', () => {
    const affinity = ipHash(three)
    const clients = Array.from({ length: 200 }, (_, index) => `10.${index}.7.1`)
    const before = clients.map((clientIp) => affinity.choose(clientIp)?.name)
    affinity.setDown('b', true)
    const during = clients.map((clientIp) => affinity.choose(clientIp)?.name)
    for (const [index, name] of before.entries()) {
      if (name === 'b') assert.notEqual(during[index], 'b')
      else assert.equal(during[index], name)
    }
    affinity.setDown('b', false)
    assert.deepEqual(
      clients.map((clientIp) => affinity.choose(clientIp)?.name),
      before,
    )
    assert.throws(() => affinity.setDown('z', true), { name: 'TypeError', message: /no server is named "z"/ })
  })

  test('an outcome that is missing or reported twice is an error', () => {
    const walk = ipHash(three).begin('127.0.0.1')
    assert.throws(() => walk.failed(), /call next\(\) first/)
    walk.next()
    assert.throws(() => walk.next(), /report failed\(\) or succeeded\(\)/)
    walk.succeeded()
    assert.throws(() => walk.succeeded(), /report once/)
    assert.equal(walk.next(), undefined)
  })
})
