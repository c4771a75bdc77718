import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { type AffinityWalk, ownerAffinity, type OwnerServer, type RequestHeaders } from '../../src/affinity/index.ts'
import { holdersOf } from '../../src/stores/mesh/protocol/placement.ts'
import type { View } from '../../src/stores/mesh/protocol/messages.ts'
import { createKeyRing, createTokenCodec, type TokenCodec } from '../../src/token/index.ts'
import { checkProperty } from '../support/seed.ts'

const tokens = codecOf('f4Zq8vT3nLx0RkWf7dYb2mHs6jPc9gAe', '__Host-sid')
const four = serversOf(4)

suite('the owner', () => {
  test('is whom the mesh makes it, and so are the backups, for any addresses, zones and copies', async () => {
    const server = fc.record({
      host: fc.stringMatching(/^[a-z0-9.-]{1,20}$/),
      port: fc.integer({ min: 1, max: 65_535 }),
      zone: fc.constantFrom('', 'a', 'b', 'c'),
    })
    const fleets = fc.uniqueArray(server, {
      minLength: 1,
      maxLength: 9,
      selector: ({ host, port }) => `${host}:${port}`,
    })
    const copies = fc.oneof(fc.constant('all' as const), fc.integer({ min: 1, max: 9 }))
    const selectors = fc.uint8Array({ minLength: 16, maxLength: 16 })
    await checkProperty(
      fc.property(fleets, copies, selectors, (fleet, copies, selector) => {
        const servers = fleet.map(({ host, port, zone }, index) => ({
          name: `s${index}`,
          mesh: `${host}:${port}`,
          zone,
        }))
        const walk = ownerAffinity(servers, { copies }).begin(undefined, cookie(tokenOf(selector)))
        const holders = holdersOf(viewOf(servers), keyOf(selector), copies).map(({ address }) => address)
        const offered = drain(walk).map(({ mesh }) => mesh)
        assert.deepEqual(offered.slice(0, holders.length), holders)
        assert.deepEqual(offered.toSorted(), servers.map(({ mesh }) => mesh).toSorted(), 'each is offered once')
      }),
    )
  })

  test('stays through login and rotation, and whichever secret signs', () => {
    const affinity = ownerAffinity(four)
    const other = codecOf('Rk2mHs6jPc9gAe4uWf7dYbZq8vT3nLx0', '__Host-sid')
    for (const selector of selectors(50)) {
      const names = [1, 2, 300, 2 ** 31 - 1].flatMap((generation) =>
        [tokens, other].map((codec) => affinity.choose('192.0.2.1', cookie(codec.encode(selector, generation)))?.name),
      )
      assert.equal(new Set(names).size, 1)
    }
  })

  test("stays while the client's address changes, behind NAT or roaming, and needs no address at all", () => {
    const affinity = ownerAffinity(four)
    for (const selector of selectors(50)) {
      const headers = cookie(tokenOf(selector))
      const addresses = ['192.0.2.1', '198.51.100.7', '2001:db8::1', 'unix:', undefined, 'not an address']
      const names = addresses.map((clientIp) => affinity.choose(clientIp, headers)?.name)
      assert.equal(new Set(names).size, 1)
    }
  })

  test('has its share of the sessions, whatever the weights', () => {
    const affinity = ownerAffinity(four.map((server, index) => ({ ...server, weight: 1 + 10 * index })))
    const counts = new Map<string, number>()
    for (const selector of selectors(4000)) {
      const name = affinity.choose(undefined, cookie(tokenOf(selector)))?.name ?? ''
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    assert.equal(counts.size, 4)
    for (const [name, count] of counts) assert.ok(count > 800 && count < 1200, `${name} has ${count} of 4000`)
  })
})

suite('a server that fails', () => {
  test('has its requests go to the backup, and is then taken for one that has left the mesh', () => {
    let nowMs = 1_000_000
    const servers = serversOf(5).map((server, index) => ({ ...server, zone: `z${index % 2}` }))
    for (const selector of selectors(50)) {
      const affinity = ownerAffinity(servers, { now: () => nowMs })
      const headers = cookie(tokenOf(selector))
      const [owner, backup] = holdersOf(viewOf(servers), keyOf(selector), 2)
      const walk = affinity.begin(undefined, headers)
      assert.equal(walk.next()?.mesh, owner?.address)
      walk.failed()
      assert.equal(walk.next()?.mesh, backup?.address)
      walk.succeeded()
      const left = servers.filter(({ mesh }) => mesh !== owner?.address)
      const [heir] = holdersOf(viewOf(left), keyOf(selector), 2)
      assert.equal(affinity.choose(undefined, headers)?.mesh, heir?.address)
      nowMs += 11_000
      assert.equal(affinity.choose(undefined, headers)?.mesh, owner?.address, 'it is tried again after failTimeout')
    }
  })

  test('is tried all the same where no other is left', () => {
    const affinity = ownerAffinity(four)
    const headers = cookie(tokenOf(Buffer.alloc(16, 7)))
    assert.equal(drain(affinity.begin(undefined, headers)).length, 4)
    for (const again of [headers, {}]) assert.equal(drain(affinity.begin(undefined, again)).length, 4)
  })

  test('is left out by setDown(), and all of them being down leaves nobody', () => {
    const affinity = ownerAffinity(four)
    const headers = cookie(tokenOf(Buffer.alloc(16, 7)))
    const tried = new Set<string>()
    for (let index = 0; index < four.length; index += 1) {
      const name = affinity.choose(undefined, headers)?.name ?? ''
      tried.add(name)
      affinity.setDown(name, true)
    }
    assert.equal(tried.size, 4)
    assert.equal(affinity.choose(undefined, headers), undefined)
  })
})

suite('a request whose session cannot be told goes round robin', () => {
  const token = tokenOf(Buffer.alloc(16, 1))
  const unreadable: Record<string, RequestHeaders | undefined> = {
    'no headers': undefined,
    'no cookie': {},
    'another cookie': { cookie: `theme=${token}` },
    'the hint alone': { cookie: '__Host-sid-v=1.2' },
    'an empty one': cookie(''),
    'cut off': cookie(token.slice(0, -1)),
    'longer than any': cookie(token + 'A'.repeat(10)),
    'not in canonical form': cookie(nonCanonical(token)),
    'padded with =': cookie(`${token}==`),
    'base64 in place of base64url': cookie(tokenOf(Buffer.alloc(16, 0xff)).replaceAll('_', '/').replaceAll('-', '+')),
    'quoted, as no server of ours sets it, with a bracket': cookie(`"${token}]`),
    'of another format': cookie(`Ag${token.slice(2)}`),
    'not ASCII': cookie('caf\u{e9}\u{1f36a}'),
    'percent-encoded garbage': cookie('%E0%A4%A'),
    huge: cookie('A'.repeat(1_000_000)),
    'one of ten thousand others': { cookie: Array.from({ length: 10_000 }, (_, index) => `c${index}=1`).join('; ') },
    'under an inherited name': { cookie: 'toString=1; __proto__=2; constructor=3' },
  }
  for (const [title, headers] of Object.entries(unreadable)) {
    test(title, () => {
      const affinity = ownerAffinity(four)
      const names = four.map(() => affinity.choose('192.0.2.1', headers)?.name)
      assert.deepEqual(names, ['s0', 's1', 's2', 's3'])
    })
  }

  test('of other headers, whatever they hold, none makes it fail', async () => {
    const affinity = ownerAffinity(four)
    const line = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string(),
      fc.string().map((text) => `__Host-sid=${text}`),
    )
    await checkProperty(
      fc.property(fc.oneof(line, fc.array(line)), (cookie) => {
        assert.ok(affinity.choose('192.0.2.1', { cookie }))
      }),
    )
  })
})

suite('the cookie', () => {
  test('of several of one name is the first, as the session takes it', () => {
    const [first, second] = differing()
    const headers = { cookie: `a=1; __Host-sid=${first.token}; __Host-sid=${second.token}` }
    assert.equal(ownerAffinity(four).choose(undefined, headers)?.mesh, first.owner)
    const mangled = { cookie: `__Host-sid=garbage; __Host-sid=${second.token}` }
    const affinity = ownerAffinity(four)
    assert.deepEqual(
      four.map(() => affinity.choose(undefined, mangled)?.name),
      ['s0', 's1', 's2', 's3'],
    )
  })

  test('may come in several lines, as HTTP/2 sends it', () => {
    const [{ token, owner }] = differing()
    assert.equal(ownerAffinity(four).choose(undefined, { cookie: ['a=1', `__Host-sid=${token}`] })?.mesh, owner)
  })

  test('is __Host-sid, else sid, by default; or the one that is named, and no other', () => {
    const [first, second] = differing()
    const both = { cookie: `sid=${second.token}; __Host-sid=${first.token}` }
    assert.equal(ownerAffinity(four).choose(undefined, both)?.mesh, first.owner)
    assert.equal(ownerAffinity(four, { cookieName: 'sid' }).choose(undefined, both)?.mesh, second.owner)
    const plain = { cookie: `sid=${second.token}` }
    assert.equal(ownerAffinity(four).choose(undefined, plain)?.mesh, second.owner)
    const named = ownerAffinity(four, { cookieName: 'shop' })
    assert.equal(named.choose(undefined, { cookie: `shop=${first.token}` })?.mesh, first.owner)
    assert.deepEqual(
      four.map(() => named.choose(undefined, both)?.name),
      ['s0', 's1', 's2', 's3'],
    )
  })
})

suite('bad arguments are refused with what to do', () => {
  const bad: [string, readonly unknown[], RegExp][] = [
    ['no servers', [[]], /at least one server/],
    [
      'no mesh',
      [[{ name: 'a' }]],
      /mesh of server "a" must be the address of its meshStore, such as "10\.0\.0\.1:7373"/,
    ],
    ['mesh without a port', [[{ name: 'a', mesh: '10.0.0.1' }]], /mesh of server "a".*not "10\.0\.0\.1"/],
    [
      'one mesh address for two',
      [
        [
          { name: 'a', mesh: 'h:1' },
          { name: 'b', mesh: 'h:1' },
        ],
      ],
      /servers "a" and "b" have one mesh address: h:1/,
    ],
    ['a zone that is no text', [[{ name: 'a', mesh: 'h:1', zone: 1 }]], /zone of server "a" must be text/],
    ['copies 0', [four, { copies: 0 }], /copies must be a whole number above 0 or "all", .* not 0/],
    ['copies as text', [four, { copies: '2' }], /copies must be/],
    ['a cookie name that is none', [four, { cookieName: 'a b' }], /cookieName: "a b" is not a cookie name/],
    ['an empty cookie name', [four, { cookieName: '' }], /cookieName: "" is not a cookie name/],
    ['a cookie name that is no text', [four, { cookieName: 7 }], /cookieName: 7 is not a cookie name/],
  ]
  for (const [title, args, message] of bad) {
    test(title, () => {
      assert.throws(() => Reflect.apply(ownerAffinity, undefined, args), { name: 'TypeError', message })
    })
  }
})

function serversOf(count: number): OwnerServer[] {
  return Array.from({ length: count }, (_, index) => ({ name: `s${index}`, mesh: `10.0.0.${index + 1}:7373` }))
}

function codecOf(secret: string, name: string): TokenCodec {
  return createTokenCodec(createKeyRing(secret), name)
}

function tokenOf(selector: Uint8Array): string {
  return tokens.encode(Buffer.from(selector), 1)
}

/** Computed anew, as the design says it: SHA-256 of the selector. */
function keyOf(selector: Uint8Array): string {
  return createHash('sha256').update(selector).digest('base64url')
}

function selectors(count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) =>
    createHash('sha256').update(String(index)).digest().subarray(0, 16),
  )
}

function cookie(token: string): RequestHeaders {
  return { cookie: `theme=dark; __Host-sid=${token}; __Host-sid-v=3.7` }
}

function viewOf(servers: readonly OwnerServer[]): View {
  const members = servers.map(({ name, mesh, zone = '' }) => ({ id: name, address: mesh, zone }))
  const ballot = { number: 1, id: '' }
  return { ballot, incarnation: 1, members, leaving: [], previous: null, placements: [], losses: [] }
}

/** Another text of the same bytes: its last character has bits that no byte takes. */
function nonCanonical(token: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet[alphabet.indexOf(token.at(-1) ?? '') + 1] ?? ''
  const other = token.slice(0, -1) + last
  assert.deepEqual(Buffer.from(other, 'base64url'), Buffer.from(token, 'base64url'))
  return other
}

/** Two tokens whose owners differ. */
function differing(): [{ token: string; owner: string }, { token: string; owner: string }] {
  const all = selectors(20).map((selector) => ({
    token: tokenOf(selector),
    owner: holdersOf(viewOf(four), keyOf(selector), 2)[0]?.address ?? '',
  }))
  const [first] = all
  const second = all.find(({ owner }) => owner !== first?.owner)
  assert.ok(first && second)
  return [first, second]
}

function drain(walk: AffinityWalk<OwnerServer>): OwnerServer[] {
  const offered: OwnerServer[] = []
  for (let server = walk.next(); server; server = walk.next()) {
    offered.push(server)
    walk.failed()
  }
  return offered
}
